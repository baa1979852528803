package nodeward.component;

import java.time.Instant;
import java.time.temporal.ChronoUnit;

/**
 * The two clocks of the agent. {@link #now} is what people and the API server see, in whole
 * milliseconds, and may jump; {@link #nanos} only ever grows and measures waits.
 */
public interface Time {
  Instant now();

  long nanos();

  Time SYSTEM =
      new Time() {
        @Override
        public Instant now() {
          return Instant.now().truncatedTo(ChronoUnit.MILLIS);
        }

        @Override
        public long nanos() {
          return System.nanoTime();
        }
      };
}
