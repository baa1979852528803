package nodeward.metadata;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;
import nodeward.config.Config;
import nodeward.node.Pod;

/**
 * Tells a pod's role from its annotations, in the forms that kube2iam and kiam know: a name, a path
 * and a name, a full ARN. Where namespaces are restricted the pod's must allow the role, the
 * default one too. Any thread may ask; {@link #of} never blocks, and what it does not know yet it
 * does not guess.
 */
final class RolePolicy {
  static final String ROLE = "iam.amazonaws.com/role";
  static final String EXTERNAL_ID = "iam.amazonaws.com/external-id";
  static final String SESSION_NAME = "iam.amazonaws.com/session-name";

  private static final String ACCOUNT_NOT_KNOWN = "the account of the node is not known yet";
  private static final int LONGEST_SESSION_NAME = 64;
  // IAM and STS API reference: names [\w+=,.@-]{1,64}, paths up to 512, external ids 2 to 1224.
  private static final Pattern SEGMENT = Pattern.compile("[A-Za-z0-9_+=,.@-]+");
  private static final Pattern ARN =
      Pattern.compile("arn:aws(?:-[a-z]+)*:iam::\\d{12}:role/(.+)", Pattern.DOTALL);
  private static final Pattern EXTERNAL_ID_FORM = Pattern.compile("[A-Za-z0-9_+=,.@:/-]{2,1224}");
  private static final Pattern NOT_OF_SESSION_NAMES = Pattern.compile("[^A-Za-z0-9_+=,.@-]");

  private final Config.Metadata config;
  private final BaseRole base;
  private final Namespaces namespaces;
  // By namespace, made anew when its annotations or the base have changed.
  private final Map<String, Restriction> restrictions = new ConcurrentHashMap<>();

  /** The roles that a namespace allows, and what they were made from. */
  private record Restriction(Namespaces.Answer.Found from, String base, AllowedRoles roles) {}

  RolePolicy(Config.Metadata config, BaseRole base, Namespaces namespaces) {
    this.config = config;
    this.base = base;
    this.namespaces = namespaces;
  }

  /** As {@link #of}, but waits as long as given while the pod's namespace is not known. */
  PodRole await(Pod pod, Duration limit) throws InterruptedException {
    PodRole role = of(pod);
    if (role instanceof PodRole.Undetermined && config.namespaceRestrictions()) {
      var _ = namespaces.await(pod.namespace(), limit);
      return of(pod);
    }
    return role;
  }

  /** Forgets what was made of other namespaces than those of these pods. */
  void keep(Collection<Pod> pods) {
    Set<String> left = pods.stream().map(Pod::namespace).collect(Collectors.toSet());
    restrictions.keySet().retainAll(left);
    namespaces.keep(left);
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
    PodRole wished = tagged(assigned(role, externalId, validSessionName(sessionName)), pod);
    return config.namespaceRestrictions() && wished instanceof PodRole.Assigned assigned
        ? restricted(pod.namespace(), assigned)
        : wished;
  }

  /** Where what a role name is completed with comes from; empty while it is not known. */
  Optional<String> baseArn() {
    return (config.baseRoleArn().isEmpty() ? base.arn() : Optional.of(config.baseRoleArn()))
        .map(b -> b.endsWith("/") ? b : b + "/");
  }

  private PodRole restricted(String namespace, PodRole.Assigned wished) {
    Optional<String> known = baseArn();
    if (known.isEmpty()) {
      return new PodRole.Undetermined(ACCOUNT_NOT_KNOWN);
    }
    return switch (namespaces.find(namespace)) {
      case Namespaces.Answer.Unknown(String why) -> new PodRole.Undetermined(why);
      case Namespaces.Answer.Absent() ->
          new PodRole.Denied("namespace " + namespace + " does not exist");
      case Namespaces.Answer.Found found ->
          allowed(namespace, found, known.get())
              .objection(wished.session().roleArn())
              .<PodRole>map(why -> new PodRole.Denied("namespace " + namespace + ": " + why))
              .orElse(wished);
    };
  }

  private AllowedRoles allowed(String namespace, Namespaces.Answer.Found found, String known) {
    Restriction standing = restrictions.get(namespace);
    if (standing == null || !standing.from.equals(found) || !standing.base.equals(known)) {
      var roles = new AllowedRoles(found.annotations(), config.namespaceRestrictionFormat(), known);
      standing = new Restriction(found, known, roles);
      restrictions.put(namespace, standing);
    }
    return standing.roles;
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
    Optional<String> known = baseArn();
    if (full) {
      String shown = known.filter(role::startsWith).map(b -> role.substring(b.length())).orElse("");
      return assigned(shown.isEmpty() ? role : shown, role, externalId, sessionName);
    }
    return known
        .map(b -> assigned(name, b + name, externalId, sessionName))
        .orElseGet(() -> new PodRole.Undetermined(ACCOUNT_NOT_KNOWN));
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
