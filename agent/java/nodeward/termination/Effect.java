package nodeward.termination;

import java.util.List;
import nodeward.drain.Left;
import nodeward.node.NodeEvents;

/** What a {@link Termination} wants done. Each may be carried out again without harm. */
sealed interface Effect {
  /** A notice became part of the plan. */
  record Announce(Notice notice) implements Effect {}

  /** An Event on the Node. */
  record Tell(NodeEvents.Type type, String reason, String message) implements Effect {}

  /** Keeps the state where a restarted agent finds it. */
  record Store(State state) implements Effect {}

  /** Forgets what was kept. */
  record Forget() implements Effect {}

  /** Finds the lifecycle hook and keeps its action alive. */
  record KeepHook(Plan plan) implements Effect {}

  /** Asks for a place among the nodes that may be held; answered by {@link Event.Placed}. */
  record TakePlace() implements Effect {}

  /** Gives the place back. */
  record LeavePlace() implements Effect {}

  /** Cordon, taint, label and annotation in one change; answered by {@link Event.Marked}. */
  record Mark(Plan plan) implements Effect {}

  /**
   * Starts the drain, or moves the deadline of the one that runs; answered by {@link
   * Event.Progressed}.
   */
  record Drain(Plan plan) implements Effect {}

  /**
   * Lets go what holds the instance; answered by {@link Event.Detached}. {@code left} says whether
   * pods are left.
   */
  record Detach(Plan plan, List<Left> left) implements Effect {
    public Detach {
      left = List.copyOf(left);
    }
  }

  /** Stops the drain and leaves the hook alone. */
  record StopWork() implements Effect {}

  /** Takes off the marks that are Nodeward's; answered by {@link Event.Undone}. */
  record Undo(Plan plan) implements Effect {}
}
