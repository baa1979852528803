package nodeward.termination;

import java.util.List;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.termination.LifecycleHook.Hook;
import nodeward.termination.Plan.Cordoner;

/** What happens to a {@link Termination}. */
sealed interface Event {
  /** These notices stand; one that is not among them is withdrawn. */
  record Seen(List<Notice> standing) implements Event {
    public Seen {
      standing = List.copyOf(standing);
    }
  }

  /** An operator asks for the node to be drained. */
  record Requested(Notice notice) implements Event {}

  /**
   * The Node carries the marks of this plan although nothing was stored here; these notices stand.
   */
  record Found(Plan plan, List<Notice> standing) implements Event {
    public Found {
      standing = List.copyOf(standing);
    }
  }

  /** The Node carries the marks; {@link Cordoner#UNKNOWN} when there is no such Node. */
  record Marked(Cordoner cordoner) implements Event {}

  record Progressed(List<Left> left) implements Event {
    public Progressed {
      left = List.copyOf(left);
    }
  }

  record Drained(DrainReport report) implements Event {}

  /** Whether this node may be held; no when too many are. */
  record Placed(boolean taken) implements Event {}

  /** Auto Scaling has the instance out of its load balancers. */
  record OutOfBalancers() implements Event {}

  /** Auto Scaling has told which hook holds the instance. */
  record Hooked(Hook hook) implements Event {}

  /** Nothing holds the instance any more. */
  record Detached(String how) implements Event {}

  record Undone() implements Event {}

  /** Time has passed. */
  record Tick() implements Event {}
}
