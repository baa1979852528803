package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import nodeward.aws.FakeAutoScaling;
import nodeward.aws.FakeImds;
import nodeward.aws.FakeSts;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Manifests;
import nodeward.cluster.Poll;
import nodeward.cluster.RealNode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * The life of a node with the packaged agent on it: a real kubelet, containerd, kube-proxy and
 * pods, the shipped RBAC, and AWS as fakes over HTTP.
 */
@Tag("e2e")
final class MainJobE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final int ADMIN_PORT = 9821;
  private static final String NODE = "main-job";
  private static final String GROUP = "workers";
  private static final String HOOK = "drain";
  private static final String KEYS =
      "http://169.254.169.254/latest/meta-data/iam/security-credentials";
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private FakeImds imds;
  private FakeSts sts;
  private FakeAutoScaling autoScaling;
  private RealNode node;
  private PackagedAgent agent;

  @BeforeEach
  void start() throws IOException {
    plane =
        ControlPlane.start(
            directory.resolve("plane"), ControlPlane.Part.CONTROLLERS, ControlPlane.Part.SCHEDULER);
    AgentIdentity.grant(plane);
    var everywhere = new InetSocketAddress("0.0.0.0", 0);
    imds = FakeImds.start(everywhere);
    sts = FakeSts.start(everywhere);
    autoScaling =
        FakeAutoScaling.start(everywhere)
            .hook(GROUP, HOOK, FakeAutoScaling.Transition.TERMINATING, Duration.ofMinutes(10))
            .instance(GROUP, FakeImds.INSTANCE_ID);
    node = RealNode.start(plane, NODE, List.of(HandMadeNode.GATE_TAINT));
    agent = PackagedAgent.on(node, directory.resolve("agent.log"), ADMIN_PORT);
    Path etc = Files.createDirectories(node.path("/etc/nodeward"));
    Files.copy(
        node.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS), etc.resolve("kubeconfig"));
    Files.writeString(etc.resolve("config.yaml"), config());
  }

  @AfterEach
  void stop() {
    List<AutoCloseable> all = new ArrayList<>();
    for (AutoCloseable each : new AutoCloseable[] {agent, node, plane, autoScaling, sts, imds}) {
      if (each != null) {
        all.add(each);
      }
    }
    assertThat(all).allSatisfy(AutoCloseable::close);
  }

  private String config() {
    return """
    node: {name: %1$s}
    kubernetes: {kubeconfig: /etc/nodeward/kubeconfig}
    aws:
      metadataEndpoint: http://%2$s:%3$d
      stsEndpoint: http://%2$s:%4$d
      autoScalingEndpoint: http://%2$s:%5$d
    gate: {require: [{namespace: kube-system, daemonSet: kube-proxy}]}
    metadata: {interceptInterfaces: [%6$s]}
    conntrack: {interval: 1s}
    runtime: {interval: 1s}
    termination: {pollInterval: 1s}
    admin: {listen: "%7$s:%8$d"}
    """
        .formatted(
            NODE,
            node.hostAddress(),
            imds.port(),
            sts.port(),
            autoScaling.port(),
            node.podBridge(),
            node.nodeAddress(),
            ADMIN_PORT);
  }

  @Test
  void theAgentTakesARealNodeFromBootToTheCompletedHook() throws Exception {
    bootWithTheAgentFirst();
    gateKeepsWorkloadsAwayUntilKubeProxyIsReady();
    podsGetTheirOwnRoleOrNone();
    healthIsOnTheNodeAndInTheMetrics();
    statusTellsPeopleAndPrograms();
    stopAndStartDoNotDrain();
    terminationDrainsTheNodeAndCompletesTheHook();
    theShippedRightsWereEnough();
  }

  /** The node boots again as an unknown one, this time with the agent before its kubelet. */
  private void bootWithTheAgentFirst() throws Exception {
    node.killKubelet();
    plane.delete(nodePath());
    agent.start();
    agent.await(
        "the agent waits for the Node",
        SOON,
        () -> {
          PackagedAgent.Page page = agent.page("/readyz");
          return page.code() == 503
              && page.body().strip().equals("node: node main-job is not registered");
        });
    assertThat(node.run("iptables", "-t", "nat", "-S", "NODEWARD"))
        .contains(
            "-i cni0 -p tcp -m tcp --dport 80 -j DNAT --to-destination "
                + node.nodeAddress()
                + ":8181");

    node.startKubelet();
    agent.await("the Node is registered", SOON, () -> gate("closed"));
    assertThat(taints()).contains(HandMadeNode.GATE_TAINT);
    agent.await("the agent is ready", SOON, agent::isReady);
  }

  private void gateKeepsWorkloadsAwayUntilKubeProxyIsReady() throws Exception {
    plane.apply(deployment("web", 2, "{}", "[term-delay, \"2\"]"));
    plane.apply(deployment("shop", 1, "{iam.amazonaws.com/role: shop-role}", "[imds]"));
    plane.apply(deployment("plain", 1, "{}", "[imds]"));
    agent.await("the node itself is Ready", SOON, node::isReady);
    // With the kubelet's own taints gone, that of the gate is what keeps the scheduler away.
    agent.await(
        "no other taint is left", SOON, () -> taints().equals(List.of(HandMadeNode.GATE_TAINT)));
    agent.await(
        "the scheduler has refused all workloads",
        SOON,
        () ->
            pods("default").size() == 4
                && pods("default").stream()
                    .allMatch(
                        pod ->
                            pod.at("/status/conditions/0/reason").asText().equals("Unschedulable")
                                && pod.at("/spec/nodeName").isMissingNode()));
    assertThat(agent.part("gate").at("/missing/kube-system~1kube-proxy").asText())
        .isEqualTo("no such DaemonSet in the cluster");
    // The kubelet gave the Node its taint: until here the agent has written nothing to it.
    assertThat(nodeWrites()).isZero();

    plane.apply(Manifests.KUBE_PROXY);
    agent.await("the gate opens", SOON, () -> !taints().contains(HandMadeNode.GATE_TAINT));

    assertThat(nodeWrites()).isEqualTo(1);
    assertThat(isReady(kubeProxy())).isTrue();
    JsonNode mark = JSON.readTree(annotation("nodeward.dev/gate"));
    assertThat(mark.path("nodeUID").asText()).isEqualTo(node().at("/metadata/uid").asText());
    assertThat(mark.path("bootID").asText()).isEqualTo(node.bootId());
    agent.await("the agent says so", SOON, () -> gate("open"));
    agent.await("the Event is there", SOON, () -> events().contains("NodeGateOpened"));
    assertThat(agent.metric("nodeward_gate_open")).isEqualTo(1);
    agent.await(
        "the workloads run",
        SOON,
        () ->
            pods("default").stream()
                .allMatch(
                    pod ->
                        pod.at("/status/phase").asText().equals("Running")
                            && pod.at("/spec/nodeName").asText().equals(NODE)));
  }

  private void podsGetTheirOwnRoleOrNone() throws Exception {
    // By IMDSv2, asked as the pods started, when the API server may not know their addresses yet.
    JsonNode shop = logOf("shop");
    assertThat(shop.at("/token/status").asInt()).describedAs("%s", shop).isEqualTo(200);
    assertThat(shop.at("/role/body").asText()).isEqualTo("shop-role");
    assertThat(shop.at("/credentials/status").asInt()).isEqualTo(200);
    JsonNode credentials = JSON.readTree(shop.at("/credentials/body").asText());
    assertThat(credentials.propertyStream().map(e -> e.getKey()))
        .containsExactlyInAnyOrder(
            "Code", "LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token", "Expiration");
    assertThat(credentials.path("AccessKeyId").asText()).isEqualTo("ASIAFAKE000000000001");
    assertThat(sts.assumptions()).hasSize(1);
    assertThat(sts.assumptions().getFirst().role())
        .isEqualTo("arn:aws:iam::" + FakeImds.ACCOUNT + ":role/shop-role");
    assertThat(sts.assumptions().getFirst().accessKeyId()).isEqualTo(FakeImds.NODE_ACCESS_KEY);
    JsonNode plain = logOf("plain");
    assertThat(plain.at("/token/status").asInt()).describedAs("%s", plain).isEqualTo(200);
    assertThat(plain.at("/role/status").asInt()).isEqualTo(404);

    // By version 1, with and without slash; the same session again, and every other path denied.
    assertThat(ask("shop", KEYS + "/", KEYS, KEYS + "/shop-role", KEYS + "/other-role", userData()))
        .satisfiesExactly(
            list -> assertThat(list).startsWith("200 shop-role"),
            slash -> assertThat(slash).startsWith("200 shop-role"),
            keys -> assertThat(keys).startsWith("200 {").contains("ASIAFAKE000000000001"),
            other -> assertThat(other).startsWith("404 "),
            denied -> assertThat(denied).startsWith("404 "));
    assertThat(ask("plain", KEYS + "/", KEYS + "/shop-role"))
        .hasSize(2)
        .allSatisfy(answer -> assertThat(answer).startsWith("404 "));
    assertThat(sts.assumptions()).hasSize(1);
  }

  private static String userData() {
    return "http://169.254.169.254/latest/user-data";
  }

  private void healthIsOnTheNodeAndInTheMetrics() throws Exception {
    for (int i = 1; i <= 20; i++) {
      node.run(
          ("conntrack -I -p udp -s 10.2.3.%d -d 10.3.0.10 --sport 4000 --dport 53 -t 300"
                  .formatted(i))
              .split(" "));
    }

    agent.await(
        "the metric is the kernel's own count of this node's flows",
        SOON,
        () ->
            agent.metric("nodeward_conntrack_entries")
                == Long.parseLong(node.run("conntrack", "-C").strip()));
    assertThat(agent.metric("nodeward_conntrack_entries")).isGreaterThanOrEqualTo(20);
    assertThat(agent.metric("nodeward_conntrack_entries_limit"))
        .isEqualTo(
            Long.parseLong(node.run("cat", "/proc/sys/net/netfilter/nf_conntrack_max").strip()));
    assertThat(agent.part("conntrack").path("source").asText()).isEqualTo("netlink");
    assertThat(agent.metric("nodeward_runtime_up{runtime=\"containerd\",}")).isEqualTo(1);

    awaitCondition("ConntrackPressure", "False", "ConntrackOk");
    awaitCondition("ContainerRuntimeUnhealthy", "False", "ContainerRuntimeIsHealthy");
    assertThat(condition("ContainerRuntimeUnhealthy").path("message").asText())
        .contains("containerd");
  }

  private void statusTellsPeopleAndPrograms() throws Exception {
    PackagedAgent.Ended table = agent.run("status");
    assertThat(table.code()).describedAs("%s", table).isZero();
    assertThat(table.out().getFirst()).isEqualTo("node     main-job");
    assertThat(table.out())
        .contains("ready    yes")
        .anyMatch(line -> line.matches("gate +ok +state: open"))
        .anyMatch(line -> line.matches("runtime +ok +docker: absent: .*"))
        .anyMatch(line -> line.matches("termination +ok +state: in service"));

    PackagedAgent.Ended json = agent.run("status", "-o", "json");
    JsonNode status = JSON.readTree(String.join("\n", json.out()));
    assertThat(status.path("ready").asBoolean()).isTrue();
    assertThat(status.at("/components/gate/state").asText()).isEqualTo("open");
    assertThat(status.at("/components/metadata/sessions").asInt()).isEqualTo(1);
    assertThat(status.at("/components/pods/pods").asInt()).isEqualTo(5);
  }

  private void stopAndStartDoNotDrain() throws Exception {
    Set<String> before = uids();
    long writes = nodeWrites();

    assertThat(agent.stop()).isZero();

    awaitCondition("ConntrackPressure", "Unknown", "AgentStopped");
    awaitCondition("ContainerRuntimeUnhealthy", "Unknown", "AgentStopped");
    assertThat(node().at("/spec/unschedulable").asBoolean()).isFalse();
    assertThat(agent.run("status").code()).isEqualTo(1);

    agent.start();
    Poll.until("the agent is ready again", SOON, agent::isReady);
    agent.await("the gate is still open", SOON, () -> gate("open"));
    awaitCondition("ConntrackPressure", "False", "ConntrackOk");
    awaitCondition("ContainerRuntimeUnhealthy", "False", "ContainerRuntimeIsHealthy");
    assertThat(uids()).isEqualTo(before);
    assertThat(pods("default")).noneMatch(pod -> pod.at("/metadata").has("deletionTimestamp"));
    assertThat(evictions()).isEmpty();
    assertThat(nodeWrites()).isEqualTo(writes);
  }

  private void terminationDrainsTheNodeAndCompletesTheHook() throws Exception {
    List<String> workloads = new ArrayList<>();
    List<String> containers = new ArrayList<>();
    for (JsonNode pod : pods("default")) {
      workloads.add(pod.at("/metadata/name").asText());
      containers.add(container(pod));
    }
    JsonNode proxy = kubeProxy();
    assertThat(tasks()).containsAll(containers).contains(container(proxy));

    autoScaling.terminating(FakeImds.INSTANCE_ID);
    imds.targetState("Terminated");
    agent.await("the node is cordoned", SOON, () -> node().at("/spec/unschedulable").asBoolean());
    assertThat(taints()).contains("nodeward.dev/terminating=autoscaling:NoSchedule");
    assertThat(node().at("/metadata/labels").properties())
        .anyMatch(
            e -> e.getKey().equals("node.kubernetes.io/exclude-from-external-load-balancers"));
    assertThat(annotation("nodeward.dev/drain")).contains("autoscaling");
    agent.await(
        "no workload is left on the node",
        SOON,
        () ->
            pods("default").stream()
                .noneMatch(pod -> pod.at("/spec/nodeName").asText().equals(NODE)));
    assertThat(evictions()).containsExactlyInAnyOrderElementsOf(workloads);
    assertThat(tasks()).doesNotContainAnyElementsOf(containers).contains(container(proxy));
    assertThat(autoScaling.completions()).isEmpty();

    autoScaling.waiting(FakeImds.INSTANCE_ID);
    agent.await("the hook is completed", SOON, () -> !autoScaling.completions().isEmpty());

    assertThat(autoScaling.completions())
        .singleElement()
        .satisfies(
            action -> {
              assertThat(action.hook()).isEqualTo(HOOK);
              assertThat(action.instance()).isEqualTo(FakeImds.INSTANCE_ID);
              assertThat(action.result()).isEqualTo("CONTINUE");
              assertThat(action.outcome()).isEqualTo("done");
            });
    assertThat(autoScaling.state(FakeImds.INSTANCE_ID)).isEqualTo("Terminating:Proceed");
    agent.await(
        "the agent says so",
        SOON,
        () -> agent.part("termination").path("state").asText().equals("completed"));
    agent.await("the Event is there", SOON, () -> events().contains("ASGLifecycle"));
    assertThat(kubeProxy().at("/metadata/uid")).isEqualTo(proxy.at("/metadata/uid"));
    assertThat(kubeProxy().at("/metadata").has("deletionTimestamp")).isFalse();
    assertThat(isReady(kubeProxy())).isTrue();
  }

  private void theShippedRightsWereEnough() throws IOException {
    assertThat(plane.audit(AgentIdentity.USER_AGENT))
        .isNotEmpty()
        .allSatisfy(entry -> assertThat(entry.user()).isEqualTo(AgentIdentity.USER))
        .noneMatch(entry -> entry.code() == 401 || entry.code() == 403);
  }

  private static String deployment(String name, int replicas, String annotations, String args) {
    return """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: %1$s}
    spec:
      replicas: %2$d
      selector: {matchLabels: {app: %1$s}}
      template:
        metadata: {labels: {app: %1$s}, annotations: %3$s}
        spec:
          containers:
          - {name: %1$s, image: %5$s, imagePullPolicy: Never, args: %4$s}
    """
        .formatted(name, replicas, annotations, args, Manifests.PODTOOL_IMAGE);
  }

  /** What podtool saw of instance metadata when it started. */
  private JsonNode logOf(String deployment) throws IOException {
    Poll.until(
        deployment + " has logged",
        SOON,
        () -> !plane.kubectl("logs", "deployment/" + deployment).isEmpty());
    return JSON.readTree(plane.kubectl("logs", "deployment/" + deployment));
  }

  /** A GET of each from the pod; status and body, a line each. */
  private List<String> ask(String deployment, String... urls) throws IOException {
    var command =
        new ArrayList<>(List.of("exec", "deployment/" + deployment, "--", "/podtool", "http-get"));
    command.addAll(List.of(urls));
    return plane
        .kubectl(command.toArray(String[]::new))
        .lines()
        .filter(line -> !line.isBlank())
        .toList();
  }

  private static String nodePath() {
    return "/api/v1/nodes/" + NODE;
  }

  private JsonNode node() throws IOException {
    return plane.get(nodePath());
  }

  private List<String> taints() throws IOException {
    return HandMadeNode.taints(node());
  }

  private String annotation(String key) throws IOException {
    return node().at("/metadata/annotations").path(key).asText();
  }

  private boolean gate(String state) throws IOException {
    return agent.part("gate").path("state").asText().equals(state);
  }

  private JsonNode condition(String type) throws IOException {
    for (JsonNode condition : node().at("/status/conditions")) {
      if (condition.path("type").asText().equals(type)) {
        return condition;
      }
    }
    return JSON.missingNode();
  }

  private void awaitCondition(String type, String status, String reason) {
    Poll.until(
        type + " is " + status + " " + reason,
        SOON,
        () ->
            condition(type).path("status").asText().equals(status)
                && condition(type).path("reason").asText().equals(reason));
  }

  private List<JsonNode> pods(String namespace) throws IOException {
    var pods = new ArrayList<JsonNode>();
    plane.get("/api/v1/namespaces/" + namespace + "/pods").path("items").forEach(pods::add);
    return pods;
  }

  private JsonNode kubeProxy() throws IOException {
    assertThat(pods("kube-system")).hasSize(1);
    return pods("kube-system").getFirst();
  }

  private static boolean isReady(JsonNode pod) {
    for (JsonNode condition : pod.at("/status/conditions")) {
      if (condition.path("type").asText().equals("Ready")) {
        return condition.path("status").asText().equals("True");
      }
    }
    return false;
  }

  private Set<String> uids() throws IOException {
    var uids = new TreeSet<String>();
    for (JsonNode pod : pods("default")) {
      uids.add(pod.at("/metadata/uid").asText());
    }
    return uids;
  }

  private static String container(JsonNode pod) {
    return pod.at("/status/containerStatuses/0/containerID").asText().replace("containerd://", "");
  }

  /** The containers that run on the node, as containerd tells it. */
  private List<String> tasks() throws IOException {
    return node.run("ctr", "-n", "k8s.io", "tasks", "ls", "-q").lines().toList();
  }

  private Set<String> events() throws IOException {
    var reasons = new TreeSet<String>();
    for (JsonNode event : plane.get("/api/v1/namespaces/default/events").path("items")) {
      if (event.at("/involvedObject/name").asText().equals(NODE)) {
        reasons.add(event.path("reason").asText());
      }
    }
    return reasons;
  }

  /** The pods that the agent asked to evict, once for each time it asked. */
  private List<String> evictions() throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT).stream()
        .filter(entry -> entry.subresource().equals("eviction"))
        .map(AuditEntry::name)
        .toList();
  }

  /** How often the agent has written to the Node, its status apart. */
  private long nodeWrites() throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT).stream()
        .filter(
            entry ->
                entry.verb().equals("patch")
                    && entry.resource().equals("nodes")
                    && entry.subresource().isEmpty()
                    && entry.code() == 200)
        .count();
  }
}
