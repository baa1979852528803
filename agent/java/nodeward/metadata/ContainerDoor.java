package nodeward.metadata;

import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nodeward.node.Pod;
import nodeward.node.Pods;

/**
 * The container credentials endpoint: one path, the caller proven by the ServiceAccount token of
 * its pod, so that pods of the host network can have roles too. The role is found as for every
 * other pod.
 *
 * <p>Protocol: "Container credential provider" in the AWS SDKs and tools reference guide.
 */
final class ContainerDoor implements Door {
  static final String PATH = "/v1/credentials";
  private static final String BEARER = "Bearer ";

  private final Set<String> hosts;
  private final Pods pods;
  private final Bearers bearers;
  private final Grants grants;
  private final Answers answers;

  /** The hosts as {@link Routing} has them. */
  ContainerDoor(Set<String> hosts, Pods pods, Bearers bearers, Grants grants, Answers answers) {
    this.hosts = Set.copyOf(hosts);
    this.pods = pods;
    this.bearers = bearers;
    this.grants = grants;
    this.answers = answers;
  }

  @Override
  public Handling handle(Request request) {
    return answers.counted(routed(request));
  }

  @Override
  public Reply refuse(Refusal refusal, InetSocketAddress from, String why) {
    return answers.counted(refused(new Request("-", "-", Headers.NONE, from), refusal, why));
  }

  private Handling routed(Request request) {
    Headers headers = request.headers();
    List<String> host = headers.all("Host");
    if (host.size() != 1 || !hosts.contains(Routing.withoutPort(host.getFirst()))) {
      return refused(request, Refusal.HOST, "not a host of this service");
    }
    if (headers.has("X-Forwarded-For")) {
      return refused(request, Refusal.FORWARDED, "forwarded requests are not served");
    }
    if (!request.target().equals(PATH)) {
      return refused(request, Refusal.PATH, "there is only " + PATH);
    }
    if (!request.method().equals("GET") && !request.method().equals("HEAD")) {
      return refused(request, Refusal.METHOD, "allowed: GET, HEAD").with("Allow", "GET, HEAD");
    }
    List<String> authorization = headers.all("Authorization");
    if (authorization.size() != 1 || authorization.getFirst().isEmpty()) {
      return refused(request, Refusal.TOKEN, "the pod's ServiceAccount token is needed");
    }
    String given = authorization.getFirst();
    String token = given.startsWith(BEARER) ? given.substring(BEARER.length()) : given;
    return bearers
        .known(token)
        .map(finding -> found(request, finding))
        .orElseGet(
            () ->
                new Handling.Later(
                    () ->
                        Answers.settled(
                            found(request, bearers.review(token, request.from().getAddress())))));
  }

  private Handling found(Request request, Bearers.Finding finding) {
    return switch (finding) {
      case Bearers.Finding.Refused(String why) ->
          refused(
              request, Answers.text(request.from()), Refusal.TOKEN, why, "the token is refused");
      case Bearers.Finding.Unavailable(String why) ->
          refused(
              request,
              Answers.text(request.from()),
              Refusal.REVIEW,
              why,
              "the token cannot be reviewed at present: try again");
      case Bearers.Finding.Pod owner ->
          pod(owner)
              .map(pod -> of(pod, request, grants.role(pod)))
              .orElseGet(
                  () ->
                      refused(
                          request,
                          owner.namespace() + "/" + owner.name(),
                          Refusal.UNKNOWN_POD,
                          "the token's pod is not one of this node's",
                          "the token's pod is not known here: try again"));
    };
  }

  /** The token proves the pod; that it runs here, and still does, the watch tells. */
  private Optional<Pod> pod(Bearers.Finding.Pod owner) {
    return pods.current().stream()
        .filter(pod -> pod.uid().equals(owner.uid()))
        .filter(pod -> pod.namespace().equals(owner.namespace()) && pod.name().equals(owner.name()))
        .filter(pod -> !pod.finished())
        .findFirst();
  }

  private Handling of(Pod pod, Request request, PodRole granted) {
    String from = pod.fullName();
    return switch (granted) {
      case PodRole.None none ->
          refused(request, from, Refusal.NO_ROLE, "the pod has no role", "the pod has no role");
      case PodRole.Malformed(String why) -> refused(request, from, Refusal.BAD_ROLE, why, why);
      case PodRole.Denied(String why) -> refused(request, from, Refusal.ROLE_DENIED, why, why);
      case PodRole.Undetermined undetermined ->
          new Handling.Later(() -> undetermined(pod, request));
      case PodRole.Assigned assigned ->
          answers.credentials(request, pod, assigned, ContainerDoor::written);
    };
  }

  private Reply undetermined(Pod pod, Request request) throws InterruptedException {
    PodRole granted = grants.awaitRole(pod);
    return granted instanceof PodRole.Undetermined(String why)
        ? refused(request, pod.fullName(), Refusal.NOT_READY, why, why)
        : Answers.settled(of(pod, request, granted));
  }

  private Reply refused(Request request, Refusal refusal, String why) {
    return refused(request, Answers.text(request.from()), refusal, why, why);
  }

  /** As instance metadata refuses, but in JSON, which these SDK providers show. */
  private Reply refused(Request request, String from, Refusal refusal, String why, String told) {
    Reply plain = answers.refused(request, from, refusal, why, told);
    return new Reply(
        plain.status(),
        plain.outcome(),
        "application/json",
        KeysJson.error(refusal.text(), told),
        Map.copyOf(plain.headers()));
  }

  private static String written(CredentialCache.Answer.Held held, RoleSession session) {
    return KeysJson.ofContainer(held.credentials(), session.roleArn());
  }
}
