package nodeward.kube;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import nodeward.node.Evicted;
import nodeward.node.Evicted.By;
import nodeward.node.Evictions;
import nodeward.node.Pod;

/**
 * Evictions by {@code POST pods/eviction} of policy/v1, and deletions by {@code DELETE}, which mind
 * no disruption budget. The pod's UID is a precondition of both, so that a new pod of the same
 * name, perhaps on another node, is never hit; the API server looks at disruption budgets before it
 * looks at the UID, so such a pod may be {@link Evicted.Blocked} too. Never retries by itself. Safe
 * for use by several threads.
 */
public final class KubeEvictions implements Evictions {
  private static final String UID_DIFFERS = "the UID in the precondition";
  private static final String NO_SUCH_RESOURCE = "could not find the requested resource";
  private static final String TWO_BUDGETS = "more than one PodDisruptionBudget";
  private static final String BUDGET = "DisruptionBudget";
  private static final String NAMESPACE_ENDS = "NamespaceTerminating";

  private final KubeClient kube;

  public KubeEvictions(KubeClient kube) {
    this.kube = kube;
  }

  @Override
  public Evicted evict(Pod pod, Manner manner) throws IOException {
    String path =
        "/api/v1/namespaces/%s/pods/%s"
            .formatted(KubeClient.segment(pod.namespace()), KubeClient.segment(pod.name()));
    return evicted(
        switch (manner.way()) {
          case EVICTION ->
              kube.send(
                  "evict pod " + pod.fullName(),
                  "POST",
                  path + "/eviction",
                  KubeClient.JSON,
                  eviction(pod, manner).toString());
          case DELETION ->
              kube.send(
                  "delete pod " + pod.fullName(),
                  "DELETE",
                  path,
                  KubeClient.JSON,
                  fill(JsonNodeFactory.instance.objectNode(), pod, manner)
                      .put("apiVersion", "v1")
                      .put("kind", "DeleteOptions")
                      .toString());
        });
  }

  private static ObjectNode eviction(Pod pod, Manner manner) {
    ObjectNode eviction = JsonNodeFactory.instance.objectNode();
    eviction.put("apiVersion", "policy/v1").put("kind", "Eviction");
    eviction.putObject("metadata").put("namespace", pod.namespace()).put("name", pod.name());
    fill(eviction.putObject("deleteOptions"), pod, manner);
    return eviction;
  }

  private static ObjectNode fill(ObjectNode options, Pod pod, Manner manner) {
    options.putObject("preconditions").put("uid", pod.uid());
    manner.grace().ifPresent(grace -> options.put("gracePeriodSeconds", grace.toSeconds()));
    if (manner.extent() == Extent.CHECKED) {
      options.putArray("dryRun").add("All");
    }
    return options;
  }

  private static Evicted evicted(Answer answer) throws IOException {
    if (answer.accepted()) {
      return new Evicted.Accepted();
    }
    String message = answer.message();
    int code = answer.code();
    if (code == 404 && message.contains(NO_SUCH_RESOURCE)) {
      // A proxy or an API server without the subresource: the pod is there.
      return new Evicted.Refused(answer.summary());
    }
    if (code == 404 || (code == 409 && message.contains(UID_DIFFERS))) {
      return new Evicted.Gone();
    }
    if (code == 429) {
      By by = answer.hasCause(BUDGET) ? By.BUDGET : By.SERVER;
      return new Evicted.Blocked(by, answer.explanation(), answer.retryAfter());
    }
    if (code == 403 && answer.hasCause(NAMESPACE_ENDS)) {
      return new Evicted.Blocked(By.NAMESPACE, answer.explanation(), answer.retryAfter());
    }
    if (code == 500 && message.contains(TWO_BUDGETS)) {
      return new Evicted.Blocked(By.BUDGETS, answer.explanation(), answer.retryAfter());
    }
    if (code >= 500) {
      throw answer.failure();
    }
    return new Evicted.Refused(answer.summary());
  }
}
