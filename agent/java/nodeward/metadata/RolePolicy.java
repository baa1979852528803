package nodeward.metadata;

import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import nodeward.config.Config;
import nodeward.node.Pod;

/**
 * Tells a pod's role from its annotations, in the forms that kube2iam and kiam know: a name, a path
 * and a name, a full ARN. Pure but for the base ARN, which is asked for when it is not configured.
 */
final class RolePolicy {
  static final String ROLE = "iam.amazonaws.com/role";
  static final String EXTERNAL_ID = "iam.amazonaws.com/external-id";
  static final String SESSION_NAME = "iam.amazonaws.com/session-name";

  private static final int LONGEST_SESSION_NAME = 64;
  // IAM and STS API reference: names [\w+=,.@-]{1,64}, paths up to 512, external ids 2 to 1224.
  private static final Pattern SEGMENT = Pattern.compile("[A-Za-z0-9_+=,.@-]+");
  private static final Pattern ARN =
      Pattern.compile("arn:aws(?:-[a-z]+)*:iam::\\d{12}:role/(.+)", Pattern.DOTALL);
  private static final Pattern EXTERNAL_ID_FORM = Pattern.compile("[A-Za-z0-9_+=,.@:/-]{2,1224}");
  private static final Pattern NOT_OF_SESSION_NAMES = Pattern.compile("[^A-Za-z0-9_+=,.@-]");

  private final Config.Metadata config;
  private final BaseRole base;

  RolePolicy(Config.Metadata config, BaseRole base) {
    this.config = config;
    this.base = base;
  }

  /** An empty annotation means none, even where there is a default role. */
  PodRole of(Pod pod) {
    String role = pod.annotation(ROLE).orElse(config.defaultRole()).strip();
    if (role.isEmpty()) {
      return new PodRole.None();
    }
    String externalId = pod.annotation(EXTERNAL_ID).orElse("").strip();
    if (!externalId.isEmpty() && !EXTERNAL_ID_FORM.matcher(externalId).matches()) {
      return new PodRole.Malformed(EXTERNAL_ID + " is not 2 to 1224 characters of [\\w+=,.@:/-]");
    }
    String sessionName =
        pod.annotation(SESSION_NAME)
            .map(String::strip)
            .filter(s -> !s.isEmpty())
            .orElse(pod.namespace() + "." + pod.name());
    if (sessionName.length() < 2) {
      return new PodRole.Malformed(SESSION_NAME + " is shorter than 2 characters");
    }
    return tagged(assigned(role, externalId, validSessionName(sessionName)), pod);
  }

  private PodRole tagged(PodRole role, Pod pod) {
    if (config.sessionTags().isEmpty() || !(role instanceof PodRole.Assigned assigned)) {
      return role;
    }
    return SessionTags.of(config.sessionTags(), pod)
        .<PodRole>map(
            tags -> new PodRole.Assigned(assigned.name(), assigned.session().tagged(tags)))
        .orElseGet(() -> new PodRole.Undetermined("the pod's service account is not known yet"));
  }

  private PodRole assigned(String role, String externalId, String sessionName) {
    var arn = ARN.matcher(role);
    boolean full = arn.matches();
    String name = full ? arn.group(1) : role.startsWith("/") ? role.substring(1) : role;
    if (!isPathAndName(name)) {
      return new PodRole.Malformed(
          ROLE
              + " \""
              + Refusals.printable(role)
              + "\" is neither a role's name nor an ARN like arn:aws:iam::123456789012:role/NAME");
    }
    Optional<String> known =
        (config.baseRoleArn().isEmpty() ? base.arn() : Optional.of(config.baseRoleArn()))
            .map(b -> b.endsWith("/") ? b : b + "/");
    if (full) {
      String shown = known.filter(role::startsWith).map(b -> role.substring(b.length())).orElse("");
      return assigned(shown.isEmpty() ? role : shown, role, externalId, sessionName);
    }
    return known
        .map(b -> assigned(name, b + name, externalId, sessionName))
        .orElseGet(() -> new PodRole.Undetermined("the account of the node is not known yet"));
  }

  private PodRole assigned(String name, String arn, String externalId, String sessionName) {
    return new PodRole.Assigned(
        name, new RoleSession(arn, externalId, sessionName, config.sessionDuration()));
  }

  /** Segments that {@link Routing} lets through, so that every role that is listed can be asked. */
  private static boolean isPathAndName(String text) {
    String[] segments = text.split("/", -1);
    for (String s : segments) {
      if (!SEGMENT.matcher(s).matches() || s.equals(".") || s.equals("..")) {
        return false;
      }
    }
    String name = segments[segments.length - 1];
    return name.length() <= 64 && text.length() - name.length() <= 511;
  }

  /** Equal texts give equal names; long ones keep their start and end in a checksum. */
  private static String validSessionName(String text) {
    String valid = NOT_OF_SESSION_NAMES.matcher(text).replaceAll("-");
    if (valid.length() <= LONGEST_SESSION_NAME) {
      return valid;
    }
    var sum = new CRC32C();
    sum.update(text.getBytes(StandardCharsets.UTF_8));
    return "%s-%08x".formatted(valid.substring(0, LONGEST_SESSION_NAME - 9), sum.getValue());
  }
}
