package nodeward.runtime;

import java.time.Duration;

/** Finds out whether one container runtime of this node, or its kubelet, works. */
interface RuntimeProbe {
  /** Its name in metrics and messages: lower case, one word. */
  String runtime();

  /** The condition that tells of it. */
  default String condition() {
    return RuntimeWatch.CONDITION;
  }

  /** That condition's reason while all is well. */
  default String healthyReason() {
    return "ContainerRuntimeIsHealthy";
  }

  /** That condition's reason when it fails for this cause. */
  String reason(Probed.Bad cause);

  /**
   * Asks once; blocks no longer than {@link #ROUNDS} times the limit if the kernel lets it.
   *
   * @param limit for one round of questions
   */
  Probed probe(Duration limit);

  /** A probe asks about the daemon, then about single containers. */
  int ROUNDS = 2;
}
