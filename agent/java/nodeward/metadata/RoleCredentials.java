package nodeward.metadata;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;

/** Issues credentials of roles; blocks for one call to STS. */
@FunctionalInterface
public interface RoleCredentials {
  Assumed assume(RoleSession session) throws IOException;

  /** How far AWS's clock was ahead of the node's at the last answer; negative when behind. */
  default Optional<Duration> clockSkew() {
    return Optional.empty();
  }
}
