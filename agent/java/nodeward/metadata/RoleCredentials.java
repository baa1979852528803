package nodeward.metadata;

import java.io.IOException;

/** Issues credentials of roles; blocks for one call to STS. */
@FunctionalInterface
public interface RoleCredentials {
  Assumed assume(RoleSession session) throws IOException;
}
