package nodeward.termination;

import java.time.Instant;

/**
 * A sign that the node is going away. {@code id} names the same thing over restarts of the agent,
 * {@code detail} is AWS's own word ({@code terminate}, {@code system-reboot}, {@code Terminated}),
 * {@code at} is when it happens and {@link Instant#MAX} when nobody has said, {@code note} is what
 * AWS tells people about it, empty for most.
 */
public record Notice(Kind kind, String id, String detail, Instant at, String note) {
  /** Where it comes from. */
  public enum Kind {
    SPOT("spot"),
    AUTO_SCALING("autoscaling"),
    MAINTENANCE("maintenance"),
    REBALANCE("rebalance"),
    MANUAL("manual"),
    /** A container runtime that nothing on the node could mend. */
    REPAIR("repair"),
    SHUTDOWN("shutdown");

    private final String text;

    Kind(String text) {
      this.text = text;
    }

    /** The word in taints, metrics and Events. */
    public String text() {
      return text;
    }
  }

  public Notice(Kind kind, String id, String detail, Instant at) {
    this(kind, id, detail, at, "");
  }

  boolean said() {
    return !at.equals(Instant.MAX);
  }

  @Override
  public String toString() {
    return "%s %s at %s".formatted(kind.text(), detail, said() ? at : "no set time");
  }
}
