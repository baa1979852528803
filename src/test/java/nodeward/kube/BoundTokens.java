package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import nodeward.component.Time;

/**
 * The tokens that a fake API server has issued by TokenRequest, each bound to a pod. Those whose
 * pod or time has ended are refused; kube-apiserver remembers a good one for up to 10 s, so that
 * there the end of the pod is seen a little later. Tokens from elsewhere are none of its business.
 */
final class BoundTokens {
  private record Issued(String namespace, String pod, String uid, Instant end) {}

  private static final String PREFIX = "issued-";
  private static final int LEAST_SECONDS = 600;
  private static final int USUAL_SECONDS = 3600;

  private final ObjectStore store;
  private final Time time;
  private final Map<String, Issued> issued = new ConcurrentHashMap<>();

  BoundTokens(ObjectStore store, Time time) {
    this.store = store;
    this.time = time;
  }

  void refuseAll() {
    issued.clear();
  }

  /** Fails with 401 for a token of ours that is not good any more. */
  void authenticate(String token) {
    if (!token.startsWith(PREFIX)) {
      return;
    }
    Issued known = issued.get(token);
    boolean good =
        known != null
            && time.now().isBefore(known.end)
            && store
                .get(ObjectStore.PODS, known.namespace, known.pod)
                .filter(p -> p.at("/metadata/uid").asText().equals(known.uid))
                .isPresent();
    if (!good) {
      throw Refusal.of(401, "Unauthorized", "Unauthorized");
    }
  }

  ObjectNode issue(String namespace, String account, ObjectNode request) {
    store
        .get(ObjectStore.SERVICE_ACCOUNTS, namespace, account)
        .orElseThrow(() -> Refusal.notFound(ObjectStore.SERVICE_ACCOUNTS, account));
    JsonNode bound = request.at("/spec/boundObjectRef");
    String name = bound.path("name").asText();
    JsonNode pod =
        store
            .get(ObjectStore.PODS, namespace, name)
            .orElseThrow(() -> Refusal.notFound(ObjectStore.PODS, name));
    String uid = pod.at("/metadata/uid").asText();
    if (!pod.at("/spec/serviceAccountName").asText().equals(account)) {
      throw Refusal.badRequest(
          "cannot bind token for serviceaccount \"%s\" to pod running with different serviceaccount"
                  .formatted(account)
              + " name.");
    }
    if (!bound.path("uid").asText(uid).equals(uid)) {
      throw Refusal.boundToOther(name, bound.path("uid").asText());
    }
    long seconds = request.at("/spec/expirationSeconds").asLong(USUAL_SECONDS);
    if (seconds < LEAST_SECONDS) {
      throw Refusal.of(
          422,
          "Invalid",
          "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid"
              + " value: %d: may not specify a duration less than 10 minutes".formatted(seconds));
    }
    Instant end = time.now().plusSeconds(seconds);
    String token = PREFIX + UUID.randomUUID();
    issued.put(token, new Issued(namespace, name, uid, end));
    ObjectNode answer = request.deepCopy();
    answer.put("kind", "TokenRequest").put("apiVersion", "authentication.k8s.io/v1");
    answer.withObject("/metadata").put("name", account).put("namespace", namespace);
    answer.withObject("/spec").put("expirationSeconds", seconds);
    answer
        .withObject("/status")
        .put("token", token)
        .put(
            "expirationTimestamp",
            end.truncatedTo(java.time.temporal.ChronoUnit.SECONDS).toString());
    return answer;
  }
}
