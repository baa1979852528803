package nodeward.kube;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import nodeward.node.Evicted;
import nodeward.node.Evictions;
import nodeward.node.Pod;

/**
 * Evictions by {@code POST pods/eviction} of policy/v1. The pod's UID is a precondition, so that a
 * new pod of the same name, perhaps on another node, is never hit; the API server looks at
 * disruption budgets before it looks at the UID, so such a pod may be {@link Evicted.Blocked} too.
 * Never retries by itself. Safe for use by several threads.
 */
public final class KubeEvictions implements Evictions {
  /** How a request goes to the API server: carried out, or checked alone. */
  private enum Mode {
    REAL,
    DRY_RUN
  }

  private static final String UID_DIFFERS = "the UID in the precondition";
  private static final String TWO_BUDGETS = "more than one PodDisruptionBudget";
  private static final String NAMESPACE_ENDS = "NamespaceTerminating";

  private final KubeClient kube;

  public KubeEvictions(KubeClient kube) {
    this.kube = kube;
  }

  @Override
  public Evicted evict(Pod pod) throws IOException {
    return send(pod, Mode.REAL);
  }

  @Override
  public Evicted tryEvict(Pod pod) throws IOException {
    return send(pod, Mode.DRY_RUN);
  }

  private Evicted send(Pod pod, Mode mode) throws IOException {
    String path =
        "/api/v1/namespaces/%s/pods/%s/eviction"
            .formatted(KubeClient.segment(pod.namespace()), KubeClient.segment(pod.name()));
    return evicted(
        kube.send(
            "evict pod " + pod.fullName(),
            "POST",
            path,
            KubeClient.JSON,
            body(pod, mode).toString()));
  }

  private static ObjectNode body(Pod pod, Mode mode) {
    ObjectNode eviction = JsonNodeFactory.instance.objectNode();
    eviction.put("apiVersion", "policy/v1").put("kind", "Eviction");
    eviction.putObject("metadata").put("namespace", pod.namespace()).put("name", pod.name());
    ObjectNode options = eviction.putObject("deleteOptions");
    options.putObject("preconditions").put("uid", pod.uid());
    if (mode == Mode.DRY_RUN) {
      options.putArray("dryRun").add("All");
    }
    return eviction;
  }

  private static Evicted evicted(Answer answer) throws IOException {
    if (answer.accepted()) {
      return new Evicted.Accepted();
    }
    String message = answer.message();
    int code = answer.code();
    if (code == 404 || (code == 409 && message.contains(UID_DIFFERS))) {
      return new Evicted.Gone();
    }
    if (code == 429
        || (code == 403 && answer.hasCause(NAMESPACE_ENDS))
        || (code == 500 && message.contains(TWO_BUDGETS))) {
      return new Evicted.Blocked(answer.explanation(), answer.retryAfter());
    }
    if (code >= 500) {
      throw answer.failure();
    }
    return new Evicted.Refused(answer.summary());
  }
}
