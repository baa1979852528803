package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.component.Time;
import nodeward.node.Condition;
import nodeward.node.Evictions;
import nodeward.node.NodeChange;
import nodeward.node.NodeEvents;
import nodeward.node.Pod;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * That the shipped rights are what the adapters ask for: all of that and nothing more, by the audit
 * log of a real API server.
 */
@Tag("e2e")
class RightsE2eTest {
  private static final List<String> FILES = List.of("rights/rbac.yaml", "base/evictions.yaml");
  // What everybody may: to ask what oneself may.
  private static final String OF_ALL = "create selfsubjectaccessreviews";
  private static final Duration LIMIT = Duration.ofSeconds(10);

  @TempDir static Path directory;

  @Test
  void everyRightOfTheManifestsIsUsedAndNoneIsMissing() throws Exception {
    try (var plane = ControlPlane.start(directory)) {
      var granted = new TreeSet<String>();
      for (String file : FILES) {
        Path path = Path.of(System.getProperty("nodeward.basedir"), "daemonset").resolve(file);
        plane.apply(Files.readString(path));
        rights(path, granted);
      }
      plane.apply(
          """
          apiVersion: v1
          kind: Node
          metadata: {name: node-1}
          ---
          apiVersion: v1
          kind: PersistentVolume
          metadata: {name: volume}
          spec:
            capacity: {storage: 1Gi}
            accessModes: [ReadWriteOnce]
            hostPath: {path: /nowhere}
          ---
          apiVersion: storage.k8s.io/v1
          kind: VolumeAttachment
          metadata: {name: attachment}
          spec: {attacher: a, nodeName: node-1, source: {persistentVolumeName: volume}}
          """);
      for (String name : List.of("evicted", "deleted")) {
        plane.apply(
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: %s}
            spec: {nodeName: node-1, containers: [{name: main, image: none}]}
            """
                .formatted(name));
      }
      Path kubeconfig =
          plane.kubeconfig(
              "system:serviceaccount:nodeward:nodeward",
              List.of("system:serviceaccounts:nodeward"));
      try (var early = client(kubeconfig, "early")) {
        Await.until("the rights are known", () -> known(early));
      }

      try (var kube = client(kubeconfig, "used")) {
        use(kube);
      }

      // The log is written after the response.
      try {
        Await.until("all of it is in the audit log", () -> used(plane).containsAll(granted));
      } catch (AssertionError e) {
        // What is missing is told below.
        assertThat(used(plane)).isEqualTo(granted);
        throw e;
      }
      assertThat(used(plane)).isEqualTo(granted);
      assertThat(plane.audit("nodeward/used")).filteredOn(e -> e.code() == 403).isEmpty();
    }
  }

  /** Everything that the agent does on the API server, each once. */
  private static void use(KubeClient kube) throws Exception {
    try (var node = new OwnNode(kube, "node-1", Time.SYSTEM);
        var pods = new OwnPods(kube, "node-1");
        var events = new KubeEvents(kube, "node-1", Time.SYSTEM);
        var namespaces = new KubeNamespaces(kube);
        var budgets = new KubeBudgets(kube)) {
      node.start();
      pods.start();
      events.start();
      namespaces.start();
      budgets.watch(Set.of("default"));
      Await.until("the Node is watched", node::watching);
      Await.until("the pods are", () -> pods.watching() && pods.current().size() == 2);
      Await.until("the budgets are", () -> budgets.current("default").isPresent());
      namespaces.await("default", LIMIT);
      Await.until("the namespace is watched", () -> namespaces.health().isHealthy());
      node.change(NodeChange.of(node.read().orElseThrow()).cordoned());
      node.writeConditions(
          List.of(new Condition("T", Condition.Status.FALSE, "R", "m", Instant.now())));
      // Told twice, so that the second is a count on the first.
      events.tell(NodeEvents.Type.NORMAL, "Told", "by a test");
      events.tell(NodeEvents.Type.NORMAL, "Told", "by a test");
      var daemonSets = new KubeDaemonSets(kube);
      daemonSets.read("default", "missing");
      daemonSets.select("default", "a=b");
      var attachments = new KubeAttachments(kube, "node-1");
      attachments.of(Set.of("default/claim"));
      attachments.isThere("attachment");
      var closed = new KubeClosedNodes(kube, "node-1", Time.SYSTEM);
      closed.take(0);
      closed.release();
      var held = new KubeHeldNodes(kube, "node-1", Time.SYSTEM);
      held.take(1);
      held.release();
      var turn = new KubeRepairTurn(kube, "node-1", Time.SYSTEM);
      turn.take(0);
      turn.release();
      new KubeTokenReviews(kube).review("x", "nodeward.dev");
      new KubePermissions(kube).check();
      var evictions = new KubeEvictions(kube);
      for (Pod pod : pods.current()) {
        evictions.evict(
            pod,
            pod.name().equals("evicted")
                ? Evictions.Manner.POLITE
                : Evictions.Manner.POLITE.by(Evictions.Way.DELETION));
      }
    }
  }

  private static boolean known(KubeClient kube) throws IOException {
    return kube.get("probe", "/api/v1/nodes?limit=1").accepted()
        && kube.get("probe", "/api/v1/namespaces?limit=1").accepted()
        && kube.get(
                    "probe",
                    "/apis/coordination.k8s.io/v1/namespaces/nodeward/leases/nodeward-gate")
                .code()
            != 403
        && new KubePermissions(kube).check().stream().allMatch(c -> c.hint().isEmpty());
  }

  /** The rules one by one: verb, resource, and the name where the rule has one. */
  private static void rights(Path file, Set<String> into) throws IOException {
    var yaml = YAMLMapper.builder().build();
    try (var documents = yaml.readerFor(JsonNode.class).<JsonNode>readValues(file.toFile())) {
      documents.forEachRemaining(
          document -> {
            for (JsonNode rule : document.path("rules")) {
              for (JsonNode resource : rule.path("resources")) {
                for (JsonNode verb : rule.path("verbs")) {
                  String right = verb.asText() + " " + resource.asText();
                  rule.path("resourceNames").forEach(n -> into.add(right + " " + n.asText()));
                  if (rule.path("resourceNames").isEmpty()) {
                    into.add(right);
                  }
                }
              }
            }
          });
    }
  }

  private static Set<String> used(ControlPlane plane) throws IOException {
    var used = new TreeSet<String>();
    for (AuditEntry entry : plane.audit("nodeward/used")) {
      String resource =
          entry.subresource().isEmpty()
              ? entry.resource()
              : entry.resource() + "/" + entry.subresource();
      boolean named = entry.resource().equals("leases") && !entry.verb().equals("create");
      used.add(entry.verb() + " " + resource + (named ? " " + entry.name() : ""));
    }
    used.remove(OF_ALL);
    return used;
  }

  private static KubeClient client(Path kubeconfig, String version) {
    return Scene.client(
        Scene.config(kubeconfig.toString(), LIMIT, LIMIT),
        version,
        Map.of(),
        new CollectorRegistry());
  }
}
