package nodeward.metadata;

import java.net.InetSocketAddress;
import java.util.Optional;
import nodeward.metadata.PodDirectory.Asker;
import nodeward.node.Pod;

/**
 * The instance metadata service as pods see it: session tokens, the name of their role, credentials
 * of it, and the pages of the instance's own metadata that are open to them. Whatever cannot be
 * answered is refused with the status that makes the SDKs do the right thing ({@link Refusal}).
 */
final class InstanceDoor implements Door {
  private final Routing routing;
  private final Grants grants;
  private final Answers answers;
  private final Tokens tokens;
  private final Openness openness;
  private final InstancePages pages;

  InstanceDoor(
      Routing routing,
      Grants grants,
      Answers answers,
      Tokens tokens,
      Openness openness,
      InstancePages pages) {
    this.routing = routing;
    this.grants = grants;
    this.answers = answers;
    this.tokens = tokens;
    this.openness = openness;
    this.pages = pages;
  }

  @Override
  public Handling handle(Request request) {
    return answers.counted(routed(request));
  }

  @Override
  public Reply refuse(Refusal refusal, InetSocketAddress from, String why) {
    var unread = new Request("-", "-", Headers.NONE, from);
    return answers.counted(answers.refused(unread, refusal, why));
  }

  private Handling routed(Request request) {
    Route route = routing.route(request.method(), request.target(), request.headers());
    return switch (route) {
      case Route.Refused(Refusal refusal, String why) -> answers.refused(request, refusal, why);
      case Route.WrongMethod(String allowed) ->
          answers.refused(request, Refusal.METHOD, "allowed: " + allowed).with("Allow", allowed);
      case Route.OfPod ofPod ->
          grants
              .pod(request.from().getAddress())
              .map(pod -> of(pod, request, ofPod))
              .orElseGet(() -> new Handling.Later(() -> heldUp(request, ofPod)));
    };
  }

  /** The address is no pod's yet. */
  private Reply heldUp(Request request, Route.OfPod route) throws InterruptedException {
    return switch (grants.awaitPod(request.from().getAddress())) {
      case Asker.Known(Pod pod) -> Answers.settled(of(pod, request, route));
      case Asker.Host host ->
          answers.refused(request, Refusal.OUTSIDER, "only pods are served, not the host");
      case Asker.Stranger stranger ->
          answers.refused(request, Refusal.OUTSIDER, "only pods of this node are served");
      case Asker.Contested(String pods) ->
          answers.refused(
              request,
              Answers.text(request.from()),
              Refusal.UNKNOWN_POD,
              "several pods have it: " + pods,
              "the pod of this address is not known: try again");
      case Asker.Unknown unknown ->
          answers.refused(
              request,
              Refusal.UNKNOWN_POD,
              grants.watching()
                  ? "the pod of this address is not known: try again"
                  : "the node's pods are not known: try again");
    };
  }

  private Handling of(Pod pod, Request request, Route.OfPod route) {
    if (route instanceof Route.NewToken asked) {
      return new Reply(200, "token", "text/plain", tokens.issue(pod.uid(), asked.ttl()))
          .with(Routing.TOKEN_TTL, Long.toString(asked.ttl().toSeconds()));
    }
    Openness.Rules rules = openness.of(pod);
    String from = pod.fullName();
    Optional<String> token = route.token();
    if (token.isPresent() && !tokens.valid(token.get(), pod.uid())) {
      return answers.refused(
          request, from, Refusal.TOKEN, "the token is not this pod's or has ended");
    }
    if (token.isEmpty() && rules.requireV2()) {
      return answers.refused(request, from, Refusal.TOKEN, "a token is needed (IMDSv2)");
    }
    return switch (route) {
      case Route.NewToken asked -> throw new IllegalStateException("answered above");
      case Route.RoleName name -> forRole(pod, request, Optional.empty(), grants.role(pod));
      case Route.RoleKeys keys -> forRole(pod, request, Optional.of(keys.role()), grants.role(pod));
      case Route.Instance page when rules.open().contains(page.preset()) ->
          page(from, request, page.target());
      case Route.Instance closed ->
          answers.refused(request, from, Refusal.PATH, "not open to this pod");
    };
  }

  /** Answers with the role's name, or with its credentials when one is asked for. */
  private Handling forRole(Pod pod, Request request, Optional<String> role, PodRole granted) {
    String from = pod.fullName();
    return switch (granted) {
      case PodRole.None none ->
          answers.refused(request, from, Refusal.NO_ROLE, "the pod has no role");
      case PodRole.Malformed(String why) -> answers.refused(request, from, Refusal.BAD_ROLE, why);
      case PodRole.Denied(String why) -> answers.refused(request, from, Refusal.ROLE_DENIED, why);
      case PodRole.Undetermined undetermined ->
          new Handling.Later(() -> undetermined(pod, request, role));
      case PodRole.Assigned assigned when role.isEmpty() ->
          new Reply(200, "role_name", "text/plain", assigned.name());
      case PodRole.Assigned(String name, RoleSession session)
          when !role.get().equals(name) && !role.get().equals(session.roleArn()) ->
          answers.refused(request, from, Refusal.OTHER_ROLE, "the pod's role is another one");
      case PodRole.Assigned assigned ->
          answers.credentials(request, pod, assigned, InstanceDoor::written);
    };
  }

  private Reply undetermined(Pod pod, Request request, Optional<String> role)
      throws InterruptedException {
    PodRole granted = grants.awaitRole(pod);
    return granted instanceof PodRole.Undetermined(String why)
        ? answers.refused(request, pod.fullName(), Refusal.NOT_READY, why)
        : Answers.settled(forRole(pod, request, role, granted));
  }

  private Handling page(String from, Request request, String path) {
    return pages
        .known(path)
        .<Handling>map(known -> shown(from, request, known))
        .orElseGet(() -> new Handling.Later(() -> shown(from, request, pages.fetch(path))));
  }

  private Reply shown(String from, Request request, InstancePages.Page page) {
    return switch (page) {
      case InstancePages.Page.Found(String text) -> new Reply(200, "open_path", "text/plain", text);
      case InstancePages.Page.Missing missing ->
          new Reply(404, "open_path", "text/plain", "there is nothing at this path\n");
      case InstancePages.Page.Unavailable(String why) ->
          answers.refused(
              request, from, Refusal.UPSTREAM, why, "instance metadata does not answer: try again");
    };
  }

  private static String written(CredentialCache.Answer.Held held, RoleSession session) {
    return KeysJson.ofInstance(held.credentials(), held.issued());
  }
}
