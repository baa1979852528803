package nodeward.metadata;

import java.util.Map;

/**
 * An answer, whole. {@code outcome} is its name in metrics. No text from outside may become a
 * header.
 */
record Reply(int status, String outcome, String type, String body, Map<String, String> headers)
    implements Handling {

  Reply(int status, String outcome, String type, String body) {
    this(status, outcome, type, body, Map.of());
  }

  static Reply refused(Refusal refusal, String why) {
    Map<String, String> headers = refusal.status() == 503 ? Map.of("Retry-After", "1") : Map.of();
    return new Reply(refusal.status(), refusal.text(), "text/plain", why + "\n", headers);
  }

  Reply with(String header, String value) {
    return new Reply(status, outcome, type, body, Map.of(header, value));
  }

  /** Its body may hold a secret. */
  @Override
  public String toString() {
    return "Reply[" + status + " " + outcome + ", " + body.length() + " characters]";
  }
}
