package nodeward.termination;

import java.io.IOException;
import java.time.Duration;

/**
 * The termination lifecycle hook of this instance's Auto Scaling group. Asked only after a notice.
 */
public interface LifecycleHook {
  /** A termination hook of a group. */
  record Hook(String group, String name, Duration heartbeatTimeout, Duration globalTimeout) {}

  /**
   * How this instance stands in its group. {@code lifecycleState} is AWS's word, also one we do not
   * know.
   */
  sealed interface Standing {
    record NoGroup() implements Standing {}

    record NoHook(String group, String lifecycleState) implements Standing {}

    record Hooked(Hook hook, String lifecycleState) implements Standing {
      /** Whether an action waits to be completed now. */
      public boolean waiting() {
        return lifecycleState.endsWith("Terminating:Wait");
      }

      /** Whether the group holds the instance no more: it goes on, is kept, or is in the pool. */
      public boolean over() {
        return lifecycleState.endsWith(":Proceed")
            || lifecycleState.endsWith(":Retained")
            || lifecycleState.endsWith("Terminated")
            || (lifecycleState.startsWith("Warmed:")
                && !lifecycleState.startsWith("Warmed:Terminating"));
      }
    }
  }

  /** What became of a heartbeat or a completion. */
  sealed interface Answer {
    record Done() implements Answer {}

    /**
     * "No active Lifecycle Action": not yet in the wait state, or over already; {@link #standing}
     * tells which.
     */
    record NoAction(String why) implements Answer {}
  }

  /** Two Describe calls at most. */
  Standing standing() throws IOException;

  Answer heartbeat(Hook hook) throws IOException;

  /** What a completed action stands for; either ends a terminating instance. */
  enum Result {
    CONTINUE,
    ABANDON
  }

  /** Completes the action. */
  Answer complete(Hook hook, Result result) throws IOException;
}
