package nodeward.metadata;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import java.net.InetSocketAddress;
import java.util.Collection;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.stream.Collectors;
import nodeward.config.Address;
import nodeward.node.Pod;

/**
 * What both doors answer in the same way: refusals, which are told in the log, and a role's
 * credentials, which are told in the audit. Every answer is counted once, by {@link #counted}.
 */
final class Answers {
  /** How the door writes credentials. */
  @FunctionalInterface
  interface Form extends BiFunction<CredentialCache.Answer.Held, RoleSession, String> {}

  /** What a pod got last, which it gets again and again; its text is a secret. */
  private static final class Written {
    final Form form;
    final Credentials credentials;
    final String text;

    Written(Form form, Credentials credentials, String text) {
      this.form = form;
      this.credentials = credentials;
      this.text = text;
    }
  }

  private final ConcurrentHashMap<String, Written> written = new ConcurrentHashMap<>();
  private final Grants grants;
  private final Refusals refusals;
  private final Audit audit;
  private final Counter requests;

  Answers(Grants grants, Refusals refusals, Audit audit, CollectorRegistry registry) {
    this.grants = grants;
    this.refusals = refusals;
    this.audit = audit;
    this.requests =
        Counter.build("nodeward_metadata_requests_total", "Requests of pods, by what came of them.")
            .labelNames("outcome")
            .register(registry);
  }

  /** Forgets the pods that are gone. */
  void keep(Collection<Pod> pods) {
    written.keySet().retainAll(pods.stream().map(Pod::uid).collect(Collectors.toSet()));
  }

  Handling counted(Handling handling) {
    return switch (handling) {
      case Reply reply -> counted(reply);
      case Handling.Later(Handling.Work work) ->
          new Handling.Later(() -> counted(settled(work.reply())));
    };
  }

  Reply counted(Reply reply) {
    requests.labels(reply.outcome()).inc();
    return reply;
  }

  /** On a thread of the request's own all waiting is done there. */
  static Reply settled(Handling handling) throws InterruptedException {
    return switch (handling) {
      case Reply reply -> reply;
      case Handling.Later(Handling.Work work) -> work.reply();
    };
  }

  Reply refused(Request request, Refusal refusal, String why) {
    return refused(request, text(request.from()), refusal, why);
  }

  Reply refused(Request request, String from, Refusal refusal, String why) {
    return refused(request, from, refusal, why, why);
  }

  /** What the log says is not always for the pod. */
  Reply refused(Request request, String from, Refusal refusal, String why, String told) {
    refusals.tell(refusal, from, request.toString(), why);
    return Reply.refused(refusal, told);
  }

  /** The role's credentials: at once when they are held, else when STS has given them. */
  Handling credentials(Request request, Pod pod, PodRole.Assigned assigned, Form form) {
    RoleSession session = assigned.session();
    try {
      var held = grants.held(session);
      if (held.isPresent()) {
        return given(pod, session, held.get(), form);
      }
    } catch (InterruptedException e) {
      throw new IllegalStateException("nothing was waited for", e);
    }
    return new Handling.Later(() -> awaited(request, pod, assigned, form));
  }

  /** STS' own words stay in the log: they name the node's role. */
  private Reply awaited(Request request, Pod pod, PodRole.Assigned assigned, Form form)
      throws InterruptedException {
    RoleSession session = assigned.session();
    String from = pod.fullName();
    return switch (grants.await(session)) {
      case CredentialCache.Answer.Held held -> given(pod, session, held, form);
      case CredentialCache.Answer.Denied(String why) -> {
        refusals.tell(Refusal.STS_DENIED, from, request.toString(), why);
        yield new Reply(
            Refusal.STS_DENIED.status(),
            Refusal.STS_DENIED.text(),
            "application/json",
            KeysJson.error(
                "AssumeRoleUnauthorizedAccess",
                assigned.name() + " does not exist or does not trust this node"),
            Map.of());
      }
      case CredentialCache.Answer.Unavailable(String why) ->
          refused(
              request, from, Refusal.STS_UNAVAILABLE, why, "no credentials at present: try again");
    };
  }

  @SuppressWarnings("ReferenceEquality") // each door has one form for its life
  private Reply given(Pod pod, RoleSession session, CredentialCache.Answer.Held held, Form form) {
    audit.given(pod, session, held.credentials());
    Written last = written.get(pod.uid());
    if (last == null || last.form != form || !last.credentials.equals(held.credentials())) {
      last = new Written(form, held.credentials(), form.apply(held, session));
      written.put(pod.uid(), last);
    }
    return new Reply(200, "credentials", "application/json", last.text, Map.of());
  }

  static String text(InetSocketAddress address) {
    return new Address(address.getAddress(), address.getPort()).toString();
  }
}
