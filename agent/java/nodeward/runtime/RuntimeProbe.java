package nodeward.runtime;

import java.time.Duration;

/** Finds out whether one container runtime of this node works. */
interface RuntimeProbe {
  /** The runtime's name in metrics and messages: lower case, one word. */
  String runtime();

  /** The condition's reason when the runtime fails for this cause. */
  String reason(Probed.Bad cause);

  /** Asks the runtime once; blocks no longer than the limit if the kernel lets it. */
  Probed probe(Duration limit);
}
