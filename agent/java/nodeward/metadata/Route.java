package nodeward.metadata;

import java.time.Duration;
import java.util.Optional;
import nodeward.config.Preset;

/** What a request asks for, once it is known to be unambiguous. */
sealed interface Route {
  /** What depends on the pod that asks. The token, when there is one, is not yet checked. */
  sealed interface OfPod extends Route {
    Optional<String> token();
  }

  /** A new session token that lives as long as given. */
  record NewToken(Duration ttl) implements OfPod {
    @Override
    public Optional<String> token() {
      return Optional.empty();
    }
  }

  /** The name of the pod's role. */
  record RoleName(Optional<String> token) implements OfPod {}

  /** Credentials of the role, named as in the listing or by its ARN. */
  record RoleKeys(String role, Optional<String> token) implements OfPod {}

  /** The instance's own metadata at this path, which the preset may open. */
  record Instance(String target, Preset preset, Optional<String> token) implements OfPod {}

  /** Another method than those that the path knows. */
  record WrongMethod(String allowed) implements Route {}

  /** Nothing that is served here. */
  record Refused(Refusal refusal, String why) implements Route {}
}
