package nodeward.metadata;

import java.time.Duration;

/**
 * A role session as STS is asked for it; equal sessions share their credentials. {@code externalId}
 * may be empty; it is half a secret and not told.
 */
public record RoleSession(
    String roleArn, String externalId, String sessionName, Duration duration) {
  @Override
  public String toString() {
    return "RoleSession[roleArn="
        + roleArn
        + ", externalId="
        + (externalId.isEmpty() ? "none" : "***")
        + ", sessionName="
        + sessionName
        + ", duration="
        + duration
        + "]";
  }
}
