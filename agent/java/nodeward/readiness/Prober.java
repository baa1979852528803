package nodeward.readiness;

import java.time.Duration;
import java.util.Optional;
import nodeward.config.Probe;

/** Carries local probes out. */
@FunctionalInterface
public interface Prober {
  /** Why the probe fails now, in words; empty when it passes. Blocks for {@code limit} at most. */
  Optional<String> failure(Probe probe, Duration limit);
}
