package nodeward.termination;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nodeward.termination.LifecycleHook.Hook;

/**
 * What the node is to be ready for, and by when. It grows by notices that join it and its deadline
 * only ever gets earlier; {@link Instant#MAX} is none. {@code since} is when the first notice was
 * seen, {@code hook} is known once Auto Scaling was asked.
 */
public record Plan(
    List<Notice> notices, Instant since, Instant deadline, Cordoner cordoner, Optional<Hook> hook) {

  /** Who had made the node unschedulable, so that only Nodeward's own cordon is ever undone. */
  public enum Cordoner {
    UNKNOWN("unknown"),
    NODEWARD("nodeward"),
    OTHERS("others");

    private final String text;

    Cordoner(String text) {
      this.text = text;
    }

    public String text() {
      return text;
    }
  }

  public Plan {
    notices = List.copyOf(notices);
    if (notices.isEmpty()) {
      throw new IllegalArgumentException("a plan without a notice");
    }
  }

  /** The kind of the notice that began it. */
  public Notice.Kind kind() {
    return notices.getFirst().kind();
  }

  public boolean of(Notice.Kind kind) {
    return notices.stream().anyMatch(n -> n.kind() == kind);
  }

  public boolean knows(Notice notice) {
    return notices.stream().anyMatch(n -> n.id().equals(notice.id()));
  }

  /** With this notice as one of its own and a deadline no later than this one. */
  Plan joinedBy(Notice notice, Instant until) {
    var all = new ArrayList<>(notices);
    if (!knows(notice)) {
      all.add(notice);
    }
    Instant earlier = until.isBefore(deadline) ? until : deadline;
    return new Plan(all, since, earlier, cordoner, hook);
  }

  Plan cordonedBy(Cordoner who) {
    return new Plan(notices, since, deadline, who, hook);
  }

  Plan with(Hook known) {
    return new Plan(notices, since, deadline, cordoner, Optional.of(known));
  }
}
