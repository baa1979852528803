package nodeward.metadata;

import java.util.Optional;
import java.util.regex.Pattern;
import nodeward.config.Preset;

/**
 * Which preset a path of the instance metadata belongs to. Whatever is not named here is closed for
 * good, above all {@code iam}, {@code identity-credentials} and {@code user-data}.
 */
final class OpenPaths {
  private static final String BELOW = "(/[A-Za-z0-9._:-]+)*/?";
  private static final Pattern PLACEMENT = Pattern.compile("/meta-data/placement" + BELOW);
  private static final Pattern NETWORK =
      Pattern.compile(
          "/meta-data/(network" + BELOW + "|mac|ipv6|hostname|(local|public)-(hostname|ipv4))");
  private static final Pattern IDENTITY =
      Pattern.compile("/dynamic/instance-identity(/|/(document|pkcs7|signature|rsa2048))?");

  private OpenPaths() {}

  /** The path begins after the version and is known to be canonical. */
  static Optional<Preset> presetOf(String path) {
    if (path.equals("/meta-data/instance-id")) {
      return Optional.of(Preset.INSTANCE_ID);
    }
    if (PLACEMENT.matcher(path).matches()) {
      return Optional.of(Preset.PLACEMENT);
    }
    if (NETWORK.matcher(path).matches()) {
      return Optional.of(Preset.NETWORK);
    }
    return IDENTITY.matcher(path).matches()
        ? Optional.of(Preset.INSTANCE_IDENTITY)
        : Optional.empty();
  }
}
