package nodeward.component;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;

/** One round of a component's periodic work. */
@FunctionalInterface
public interface Pass {
  /** Returns the wait until the next round; a {@link Loop#wake} ends that wait early. */
  Duration pass(Instant now) throws IOException, InterruptedException;
}
