package nodeward.drain;

import java.util.Optional;
import nodeward.component.Backoff;
import nodeward.node.Evicted;
import nodeward.node.Pod;

/** What a drain knows of one pod that is to go. For the drain's thread alone. */
final class Work {
  /** How far a pod is. */
  enum Stage {
    /** A request is to be sent when {@code due} has come. */
    DUE,
    ASKING,
    GOING,
    GIVEN_UP,
    GONE
  }

  final Backoff backoff;
  final Tier tier;
  Pod pod;
  Stage stage = Stage.DUE;
  String why = "its turn has not come";
  long due;
  boolean evicted;
  boolean forced;

  /** What held the last try up. */
  Optional<Evicted.By> heldBy = Optional.empty();

  /** The state of its budget that a try was made on, so that none is made twice on the same. */
  String triedOn = "";

  Work(Pod pod, Backoff backoff, long due) {
    this.pod = pod;
    this.tier = Tier.of(pod);
    this.backoff = backoff;
    this.due = due;
  }

  boolean settled() {
    return stage == Stage.GONE || stage == Stage.GIVEN_UP;
  }

  boolean waitsForBudget() {
    return stage == Stage.DUE
        && heldBy.filter(by -> by == Evicted.By.BUDGET || by == Evicted.By.BUDGETS).isPresent();
  }
}
