package nodeward.metadata;

import java.time.Duration;

/**
 * A role session as STS is asked for it; equal sessions share their credentials. {@code externalId}
 * may be empty.
 */
public record RoleSession(
    String roleArn, String externalId, String sessionName, Duration duration) {}
