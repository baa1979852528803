package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Poll;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code agent drain}, {@code cordon} and {@code uncordon} with the shipped rights against a real
 * API server with its controllers, beside the real kubectl; kwok plays the nodes.
 */
@Tag("e2e")
final class DrainE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final String PODS = "/api/v1/namespaces/default/pods";

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;
  private static String kubeconfig;

  @BeforeAll
  static void start() throws IOException {
    plane = ControlPlane.start(directory, ControlPlane.Part.values());
    AgentIdentity.grant(plane);
    kubeconfig = plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS).toString();
  }

  @AfterAll
  static void stop() {
    if (plane != null) {
      plane.close();
    }
  }

  @Test
  void drainEvictsExactlyTheReplicaSetsPodsAndSpeaksAsKubectlDoes() throws Exception {
    Map<String, String> before = workloads("ours");
    workloads("theirs");

    PackagedAgent.Ended drain = agent("drain", "ours", "--ignore-daemonsets");
    String theirs = plane.kubectl("drain", "theirs", "--ignore-daemonsets");

    assertThat(drain.code()).describedAs("%s", drain).isZero();
    Map<String, String> after = podsOn("ours");
    assertThat(after.keySet()).noneMatch(name -> name.startsWith("web-"));
    var others = new TreeMap<>(before);
    others.keySet().removeIf(name -> name.startsWith("web-"));
    assertThat(after).isEqualTo(others).hasSize(2);
    var replicas = new ArrayList<>(before.keySet());
    replicas.removeAll(others.keySet());
    assertThat(evictions()).containsExactlyInAnyOrderElementsOf(replicas).hasSize(3);

    assertThat(drain.out().getFirst()).isEqualTo("node/ours cordoned");
    assertThat(drain.out().getLast()).isEqualTo("node/ours drained");
    assertThat(normalised(drain.out()))
        .containsExactlyInAnyOrderElementsOf(normalised(theirs.lines().toList()));
    String daemon = others.keySet().stream().filter(p -> p.startsWith("daemon-")).findFirst().get();
    assertThat(drain.err())
        .containsExactly("Warning: ignoring DaemonSet-managed Pods: default/" + daemon);

    for (String command : List.of("cordon", "uncordon", "uncordon", "cordon")) {
      PackagedAgent.Ended ended = agent(command, "node/ours");
      String kubectl = plane.kubectl(command, "theirs");
      assertThat(ended.code()).isZero();
      assertThat(normalised(ended.out())).isEqualTo(normalised(kubectl.lines().toList()));
      assertThat(unschedulable("ours")).isEqualTo(command.equals("cordon"));
    }
  }

  @Test
  void nakedPodWithoutForceIsTheEndBeforeAnythingIsEvicted() throws Exception {
    Map<String, String> before = workloads("refused");
    plane.apply(pod("naked", "refused"));
    awaitRunning("refused", before.size() + 1);

    PackagedAgent.Ended drain = agent("drain", "refused", "--ignore-daemonsets");

    assertThat(drain.code()).isEqualTo(1);
    assertThat(drain.out()).containsExactly("node/refused cordoned");
    assertThat(drain.err())
        .containsExactly(
            "error: unable to drain node \"refused\" due to error: cannot delete Pods that declare"
                + " no controller (use --force to override): default/naked, continuing command...",
            "There are pending nodes to be drained:",
            " refused");
    assertThat(podsOn("refused")).containsAllEntriesOf(before).containsKey("naked");

    assertThat(agent("drain", "refused", "--ignore-daemonsets", "--force").code()).isZero();
    assertThat(podsOn("refused")).doesNotContainKey("naked");
  }

  @Test
  void podsThatABudgetHoldsAreNamedWhenTimeIsUp() throws Exception {
    Map<String, String> before = workloads("held");
    plane.apply(
        """
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {name: held}
        spec: {maxUnavailable: 0, selector: {matchLabels: {app: web-held}}}
        """);
    Poll.until(
        "the budget knows its pods",
        SOON,
        () ->
            plane
                    .get("/apis/policy/v1/namespaces/default/poddisruptionbudgets/held")
                    .at("/status/currentHealthy")
                    .asInt()
                == 3);

    PackagedAgent.Ended drain = agent("drain", "held", "--ignore-daemonsets", "--timeout", "3s");

    assertThat(drain.code()).isEqualTo(3);
    String timeIsUp =
        drain.err().stream()
            .filter(line -> line.startsWith("agent: node held is not drained, time is up: "))
            .findFirst()
            .orElseThrow();
    before.keySet().stream()
        .filter(name -> name.startsWith("web-"))
        .forEach(
            name -> {
              assertThat(timeIsUp).contains("default/" + name);
              assertThat(drain.err())
                  .anyMatch(
                      line ->
                          line.startsWith("error when evicting pods/\"" + name + "\"")
                              && line.contains("The disruption budget held needs 3 healthy pods"));
            });
    assertThat(podsOn("held")).isEqualTo(before);
  }

  @Test
  void wrongUsageIsTwoAndWhatCannotBeDoneIsOne() throws Exception {
    assertThat(agent("drain", "--no-such-option").code()).isEqualTo(2);
    assertThat(agent("drain", "nowhere", "--timeout", "soon").code()).isEqualTo(2);

    for (String command : List.of("drain", "cordon", "uncordon")) {
      PackagedAgent.Ended nowhere = agent(command, "nowhere");
      assertThat(nowhere.code()).isEqualTo(1);
      assertThat(nowhere.err()).containsExactly("agent: nodes \"nowhere\" not found");
    }

    PackagedAgent.Ended noServer =
        PackagedAgent.runHere("cordon", "anything", "--kubeconfig", "/does/not/exist");
    assertThat(noServer.code()).isEqualTo(1);
    assertThat(noServer.err()).singleElement().asString().contains("/does/not/exist");
  }

  private static PackagedAgent.Ended agent(String command, String... arguments) throws Exception {
    var all = new ArrayList<>(List.of(arguments));
    all.addAll(List.of("--kubeconfig", kubeconfig));
    return PackagedAgent.runHere(command, all.toArray(String[]::new));
  }

  /** A node with a pod of a DaemonSet, a mirror pod and three of a Deployment, all running. */
  private static Map<String, String> workloads(String node) throws IOException {
    plane.addFakeNode(node);
    String uid = plane.get("/api/v1/nodes/" + node).at("/metadata/uid").asText();
    plane.apply(
        """
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: daemon-%1$s}
        spec:
          selector: {matchLabels: {app: daemon-%1$s}}
          template:
            metadata: {labels: {app: daemon-%1$s}}
            spec: %2$s
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web-%1$s}
        spec:
          replicas: 3
          selector: {matchLabels: {app: web-%1$s}}
          template:
            metadata: {labels: {app: web-%1$s}}
            spec: %2$s
        ---
        apiVersion: v1
        kind: Pod
        metadata:
          name: static-%1$s
          annotations: {kubernetes.io/config.mirror: "1", kubernetes.io/config.source: file}
          ownerReferences:
          - {apiVersion: v1, kind: Node, name: %1$s, uid: %3$s, controller: true}
        spec: {nodeName: %1$s, containers: [{name: main, image: main}]}
        """
            .formatted(node, spec(node), uid));
    return awaitRunning(node, 5);
  }

  private static String pod(String name, String node) {
    return "{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: %s}"
        .formatted(name, spec(node));
  }

  private static String spec(String node) {
    return "{nodeSelector: {kubernetes.io/hostname: %s}, containers: [{name: main, image: main}]}"
        .formatted(node);
  }

  private static Map<String, String> awaitRunning(String node, int pods) throws IOException {
    Poll.until(
        pods + " pods run on " + node,
        SOON,
        () -> {
          int running = 0;
          for (JsonNode pod : on(node)) {
            running += pod.at("/status/phase").asText().equals("Running") ? 1 : 0;
          }
          return running == pods;
        });
    return podsOn(node);
  }

  private static Map<String, String> podsOn(String node) throws IOException {
    var pods = new TreeMap<String, String>();
    on(node)
        .forEach(p -> pods.put(p.at("/metadata/name").asText(), p.at("/metadata/uid").asText()));
    return pods;
  }

  private static JsonNode on(String node) throws IOException {
    return plane.get(PODS + "?fieldSelector=spec.nodeName=" + node).path("items");
  }

  private static boolean unschedulable(String node) throws IOException {
    return plane.get("/api/v1/nodes/" + node).at("/spec/unschedulable").asBoolean();
  }

  /** The pods of node {@code ours} that the agent asked to evict. */
  private static List<String> evictions() throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT).stream()
        .filter(entry -> entry.subresource().equals("eviction"))
        .map(AuditEntry::name)
        .filter(name -> name.contains("-ours-"))
        .toList();
  }

  /** Without what differs between two nodes with the same workloads. */
  private static List<String> normalised(List<String> lines) {
    return lines.stream()
        .map(line -> line.replaceAll("\\b(ours|theirs)\\b", "NODE"))
        .map(line -> line.replaceAll("web-NODE-[a-z0-9]+-[a-z0-9]+", "web-NODE"))
        .toList();
  }
}
