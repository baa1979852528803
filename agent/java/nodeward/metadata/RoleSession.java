package nodeward.metadata;

import java.time.Duration;
import java.util.Map;

/**
 * A role session as STS is asked for it, apart from what is the same for the whole agent: the
 * region and the tags of the node. Equal sessions share their credentials, no others do. {@code
 * externalId} may be empty; it is half a secret and not told.
 */
public record RoleSession(
    String roleArn,
    String externalId,
    String sessionName,
    Duration duration,
    Map<String, String> tags) {
  public RoleSession {
    tags = Map.copyOf(tags);
  }

  /** Without tags of its own. */
  public RoleSession(String roleArn, String externalId, String sessionName, Duration duration) {
    this(roleArn, externalId, sessionName, duration, Map.of());
  }

  RoleSession tagged(Map<String, String> tags) {
    return new RoleSession(roleArn, externalId, sessionName, duration, tags);
  }

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
        + ", tags="
        + tags
        + "]";
  }
}
