package nodeward.readiness;

import java.io.IOException;
import java.time.Duration;

/**
 * The launch lifecycle hook that keeps a new instance from being InService until its gate is open.
 */
public interface LaunchHook {
  /** How the instance stands. */
  sealed interface Standing {
    /**
     * In no group, past its launch, or without a launch hook that is ours: nothing is to be done.
     */
    record Nothing(String why) implements Standing {}

    /** On its way to the wait state. */
    record NotYet(String lifecycleState) implements Standing {}

    /** In the warm pool: when it is called into service, the hook holds it once more. */
    record Resting(String lifecycleState) implements Standing {}

    record Waiting(String group, String hook, Duration heartbeatTimeout, Into into)
        implements Standing {}
  }

  /** Where an action that is completed lets the instance go. */
  enum Into {
    SERVICE,
    WARM_POOL
  }

  /** How an action is completed. */
  enum Result {
    CONTINUE,
    ABANDON
  }

  /** The hook of an agent that is not to ask at all. */
  static LaunchHook disabled() {
    return new LaunchHook() {
      @Override
      public Standing standing() {
        return new Standing.Nothing("gate.launchHook.enabled is false");
      }

      @Override
      public boolean isResting() {
        return false;
      }

      @Override
      public void heartbeat(Standing.Waiting waiting) {}

      @Override
      public void complete(Standing.Waiting waiting, Result result) {}
    };
  }

  /** Two Describe calls at most. */
  Standing standing() throws IOException;

  /** Whether the instance is meant for the warm pool; asks the instance's own metadata alone. */
  boolean isResting() throws IOException;

  /** Nothing happens when the action is over already; {@link #standing} tells. */
  void heartbeat(Standing.Waiting waiting) throws IOException;

  /** An action that is over already counts as completed. */
  void complete(Standing.Waiting waiting, Result result) throws IOException;
}
