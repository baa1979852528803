package nodeward.metadata;

import java.time.Duration;
import java.util.Optional;

/** What a request asks for, once it is known to be unambiguous. */
sealed interface Route {
  /** A new session token that lives as long as given. */
  record NewToken(Duration ttl) implements Route {}

  /** The name of the pod's role. The token, when there is one, is not yet checked. */
  record RoleName(Optional<String> token) implements Route {}

  /** Credentials of the role, named as in the listing or by its ARN; the token is not checked. */
  record RoleKeys(String role, Optional<String> token) implements Route {}

  /** Another method than those that the path knows. */
  record WrongMethod(String allowed) implements Route {}

  /** Nothing that is served here. */
  record Refused(Refusal refusal, String why) implements Route {}
}
