package nodeward.node;

import java.time.Instant;

/** A condition of a Node. In the types that the agent owns, {@link Status#TRUE} is bad. */
public record Condition(
    String type, Status status, String reason, String message, Instant lastTransition) {
  /** The three values of the API. */
  public enum Status {
    TRUE("True"),
    FALSE("False"),
    UNKNOWN("Unknown");

    private final String text;

    Status(String text) {
      this.text = text;
    }

    public String text() {
      return text;
    }

    /** Anything but True and False is Unknown, as the API says. */
    public static Status of(String text) {
      return switch (text) {
        case "True" -> TRUE;
        case "False" -> FALSE;
        default -> UNKNOWN;
      };
    }
  }
}
