package nodeward.e2e;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import nodeward.cluster.ControlPlane;

/** A Node of a control plane without kubelet and controllers: the test writes what those would. */
public record HandMadeNode(ControlPlane plane, String name) {
  public static final String GATE = "readiness.k8s.io/nodeward";

  static final String GATE_TAINT = GATE + "=pending:NoSchedule";

  public String path() {
    return "/api/v1/nodes/" + name;
  }

  /** As a kubelet does that was told to register with the gate taint. */
  public void register() throws IOException {
    register("{key: %s, value: pending, effect: NoSchedule}".formatted(GATE));
  }

  /** As a kubelet does that was told to register with these taints, in YAML; none when empty. */
  void register(String taints) throws IOException {
    plane.apply(
        """
        apiVersion: v1
        kind: Node
        metadata: {name: %s, labels: {kubernetes.io/hostname: %1$s}}
        spec:
          providerID: aws:///eu-west-1a/i-0123456789abcdef0
          taints: [%s]
        """
            .formatted(name, taints));
  }

  /**
   * Adds a taint as another controller does, which is known to the API server by the name: reads,
   * writes what it read and its own, and begins again when the Node has changed meanwhile.
   */
  void addTaint(String manager, String key, String value) throws IOException {
    while (true) {
      JsonNode seen = read();
      ObjectNode patch = JsonNodeFactory.instance.objectNode();
      patch
          .putObject("metadata")
          .put("resourceVersion", seen.at("/metadata/resourceVersion").asText());
      ArrayNode taints = patch.putObject("spec").putArray("taints");
      seen.at("/spec/taints").forEach(taints::add);
      ObjectNode taint = taints.addObject().put("key", key).put("effect", "NoSchedule");
      if (!value.isEmpty()) {
        taint.put("value", value);
      }
      try {
        plane.patch(path() + "?fieldManager=" + manager, patch.toString());
        return;
      } catch (IOException e) {
        if (!e.getMessage().contains(": 409 ")) {
          throw e;
        }
      }
    }
  }

  /** DaemonSet kube-proxy, and a pod of it that is bound to this node. */
  public void bindKubeProxy() throws IOException {
    plane.apply(
        """
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: kube-proxy, namespace: kube-system}
        spec:
          selector: {matchLabels: {app: kube-proxy}}
          template:
            metadata: {labels: {app: kube-proxy}}
            spec:
              hostNetwork: true
              tolerations: [{operator: Exists}]
              containers: [{name: kube-proxy, image: kube-proxy}]
        """);
    String uid =
        plane
            .get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy")
            .at("/metadata/uid")
            .asText();
    plane.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: kube-proxy-%1$s
          namespace: kube-system
          ownerReferences:
          - {apiVersion: apps/v1, kind: DaemonSet, name: kube-proxy, uid: %2$s, controller: true}
        spec:
          nodeName: %1$s
          containers: [{name: kube-proxy, image: kube-proxy}]
        """
            .formatted(name, uid));
  }

  /** The status that kubelet reports of it: {@code True} or {@code False}. */
  public void kubeProxyIsReady(String status) throws IOException {
    plane.patch(
        "/api/v1/namespaces/kube-system/pods/kube-proxy-" + name + "/status",
        """
        {"status": {"phase": "Running", "conditions": [
          {"type": "Ready", "status": "%s", "lastTransitionTime": "%s"}]}}
        """
            .formatted(status, Instant.now().truncatedTo(ChronoUnit.SECONDS)));
  }

  public JsonNode read() throws IOException {
    return plane.get(path());
  }

  /** Each as {@code key=value:Effect}. */
  List<String> taints() throws IOException {
    return taints(read());
  }

  public boolean isGated() throws IOException {
    return taints().contains(GATE_TAINT);
  }

  static List<String> taints(JsonNode node) {
    var taints = new ArrayList<String>();
    for (JsonNode taint : node.at("/spec/taints")) {
      String value = taint.path("value").asText();
      taints.add(
          taint.path("key").asText()
              + (value.isEmpty() ? "" : "=" + value)
              + ":"
              + taint.path("effect").asText());
    }
    return taints;
  }
}
