package nodeward.termination;

import java.time.Instant;
import java.util.List;

/** Tells people outside of the cluster; sent in the background, a failure is only logged. */
public interface Notifier {
  /** What there is to tell. */
  enum Moment {
    NOTICE("notice"),
    DRAINED("drained"),
    COMPLETED("completed"),
    FAILED("failed");

    private final String text;

    Moment(String text) {
      this.text = text;
    }

    public String text() {
      return text;
    }
  }

  /** One message; {@code notice} is the one that it is about, or the plan's first. */
  record Message(
      Moment moment, String node, Notice notice, Instant deadline, String why, Instant at) {}

  void tell(Message message);

  /** Where nobody is to be told. */
  Notifier NONE = _ -> {};

  /** The first pods, in words. */
  static String named(List<?> left) {
    return left.isEmpty() ? "" : "pods left: " + left.size() + ", first " + left.getFirst();
  }
}
