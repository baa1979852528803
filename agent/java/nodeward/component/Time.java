package nodeward.component;

import java.time.Instant;

/**
 * The two clocks of the agent. {@link #now} is what people and the API server see and may jump;
 * {@link #nanos} only ever grows and measures waits.
 */
public interface Time {
  Instant now();

  long nanos();

  Time SYSTEM =
      new Time() {
        @Override
        public Instant now() {
          return Instant.now();
        }

        @Override
        public long nanos() {
          return System.nanoTime();
        }
      };
}
