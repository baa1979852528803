package nodeward;

import java.time.Instant;
import nodeward.runtime.Evacuation;
import nodeward.termination.Notice.Kind;
import nodeward.termination.State;
import nodeward.termination.TerminationWatch;

/** The drain of a node whose container runtime nothing could mend, as a notice like any other. */
final class RepairDrain implements Evacuation {
  private final TerminationWatch termination;

  RepairDrain(TerminationWatch termination) {
    this.termination = termination;
  }

  @Override
  public void keep(Instant deadline) {
    if (!termination.isRequested(Kind.REPAIR)) {
      termination.request(Kind.REPAIR, deadline);
    }
  }

  @Override
  public boolean over() {
    return switch (termination.state()) {
      case State.Detaching(var plan, _) -> plan.of(Kind.REPAIR);
      case State.Completed(var plan, _) -> plan.of(Kind.REPAIR);
      case State.InService _,
          State.Noticed _,
          State.Cordoned _,
          State.Held _,
          State.Draining _,
          State.Returned _ ->
          false;
    };
  }

  @Override
  public void end() {
    termination.withdraw(Kind.REPAIR);
  }
}
