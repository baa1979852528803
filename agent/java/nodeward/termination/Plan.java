package nodeward.termination;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import nodeward.termination.LifecycleHook.Hook;

/**
 * What the node is to be ready for, and by when. It grows by notices that join it and its deadline
 * only ever gets earlier; {@link Instant#MAX} is none. {@code since} is when the first notice was
 * seen, {@code hook} is known once Auto Scaling was asked. {@code boot} is the boot in which it
 * began, empty when unknown; {@code settled} are the ids of notices that need nothing more though
 * they may be there for a while yet.
 */
public record Plan(
    List<Notice> notices,
    Instant since,
    Instant deadline,
    Cordoner cordoner,
    Optional<Hook> hook,
    String boot,
    List<String> settled) {

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
    settled = List.copyOf(settled);
    if (notices.isEmpty()) {
      throw new IllegalArgumentException("a plan without a notice");
    }
  }

  public Plan(
      List<Notice> notices,
      Instant since,
      Instant deadline,
      Cordoner cordoner,
      Optional<Hook> hook) {
    this(notices, since, deadline, cordoner, hook, "", List.of());
  }

  /** The kind of the notice that began it. */
  public Notice.Kind kind() {
    return notices.getFirst().kind();
  }

  public boolean of(Notice.Kind kind) {
    return notices.stream().anyMatch(n -> n.kind() == kind);
  }

  public boolean of(Notice.Kind kind, String detail) {
    return notices.stream().anyMatch(n -> n.kind() == kind && n.detail().equals(detail));
  }

  /** Whether none of its notices is of another kind. */
  public boolean onlyOf(Notice.Kind kind) {
    return notices.stream().allMatch(n -> n.kind() == kind);
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
    return new Plan(all, since, deadline, cordoner, hook, boot, settled).by(until);
  }

  Plan cordonedBy(Cordoner who) {
    return new Plan(notices, since, deadline, who, hook, boot, settled);
  }

  Plan with(Hook known) {
    return new Plan(notices, since, deadline, cordoner, Optional.of(known), boot, settled);
  }

  /** With a deadline no later than this. */
  Plan by(Instant until) {
    Instant earlier = until.isBefore(deadline) ? until : deadline;
    return new Plan(notices, since, earlier, cordoner, hook, boot, settled);
  }

  Plan inBoot(String id) {
    return new Plan(notices, since, deadline, cordoner, hook, id, settled);
  }

  /** With the notices that are left when these have nothing more to say. */
  Plan left(List<Notice> rest) {
    return new Plan(rest, since, deadline, cordoner, hook, boot, settled);
  }

  Plan settling(Collection<Notice> done) {
    var all = new TreeSet<>(settled);
    done.forEach(n -> all.add(n.id()));
    return new Plan(notices, since, deadline, cordoner, hook, boot, List.copyOf(all));
  }

  Plan settled(List<String> ids) {
    return new Plan(notices, since, deadline, cordoner, hook, boot, ids);
  }
}
