package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Manifests;
import nodeward.cluster.Poll;
import nodeward.cluster.RealNode;
import nodeward.linux.TableFiller;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * The packaged agent on a real node whose connection tracking table fills, and a pod with flows in
 * a table of its own: what the Node, the metrics and the commands say is what the conntrack tool
 * says.
 */
@Tag("e2e")
final class ConntrackE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final int ADMIN_PORT = 9821;
  private static final String NODE = "full-table";
  private static final int ELSEWHERE = 0x0a09_0000;
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private RealNode node;
  private PackagedAgent agent;

  @BeforeEach
  void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"), ControlPlane.Part.CONTROLLERS);
    AgentIdentity.grant(plane);
    node = RealNode.start(plane, NODE, List.of());
    agent = PackagedAgent.on(node, directory.resolve("agent.log"), ADMIN_PORT);
    Path etc = Files.createDirectories(node.path("/etc/nodeward"));
    Files.copy(
        node.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS), etc.resolve("kubeconfig"));
    // The limit is one for all namespaces of this machine, so the test's own bound is lower.
    Files.writeString(
        etc.resolve("config.yaml"),
        """
        node: {name: %s}
        kubernetes: {kubeconfig: /etc/nodeward/kubeconfig}
        aws: {metadataEndpoint: "http://127.0.0.1:1", region: eu-west-1}
        gate: {enabled: false}
        metadata: {enabled: false}
        termination: {enabled: false}
        conntrack: {interval: 1s, nearFull: 0.06, critical: 0.95, holdersInterval: 1s}
        runtime: {interval: 1s}
        admin: {listen: "%s:%d"}
        """
            .formatted(NODE, node.nodeAddress(), ADMIN_PORT));
    agent.start();
    agent.await("the agent is ready", SOON, agent::isReady);
  }

  @AfterEach
  void stop() {
    var all = new ArrayList<AutoCloseable>();
    for (AutoCloseable each : new AutoCloseable[] {agent, node, plane}) {
      if (each != null) {
        all.add(each);
      }
    }
    assertThat(all).allSatisfy(AutoCloseable::close);
  }

  @Test
  void whoFillsTheTableIsToldTheSameByNodeMetricsCommandsAndTheTool() throws Exception {
    awaitCondition("False", "ConntrackOk");
    int cart = run("cart");
    int limit =
        Integer.parseInt(node.run("sysctl", "-n", "net.netfilter.nf_conntrack_max").strip());
    int flows = limit / 10;
    TableFiller.fillIn(node.path("/proc/1/ns/net"), flows, cart, ELSEWHERE);

    awaitCondition("True", "ConntrackNearFull");
    long counted = Long.parseLong(node.run("conntrack", "-C").strip());
    assertThat(counted).isGreaterThanOrEqualTo(flows);
    assertThat(listed(cart)).isEqualTo(flows);
    Poll.until(
        "the condition names the pod",
        SOON,
        () -> condition().path("message").asText().contains("held by default/cart "));
    assertThat(agent.metric("nodeward_conntrack_holder_flows{holder=\"default/cart\",}"))
        .isEqualTo(flows);
    assertThat(agent.metric("nodeward_conntrack_entries")).isGreaterThanOrEqualTo(flows);
    assertThat(agent.metric("nodeward_conntrack_entries_limit")).isEqualTo(limit);
    Poll.until("the Event is there", SOON, () -> events().contains("ConntrackNearFull"));

    PackagedAgent.Ended top = agent.run("conntrack", "top");
    assertThat(top.code()).describedAs("%s", top).isZero();
    assertThat(top.out())
        .anyMatch(
            line -> line.matches(" *%1$d +\\d+ %% +%1$d +0 .* default/cart".formatted(flows)));
    assertThat(agent.run("conntrack", "top", "--by", "destination").out())
        .anyMatch(line -> line.matches(" *%d +\\d+ %% +10\\.9\\.0\\.0:443/tcp".formatted(flows)));
  }

  @Test
  void podsOwnTablesAreReadInTheirNamespaces() throws Exception {
    int cart = run("cart");
    int web = run("web");
    JsonNode before = ownTables();
    assertThat(before.path("rows")).isEmpty();
    for (String namespace : node.run("ls", "/run/netns").lines().toList()) {
      Path there = node.path("/run/netns/" + namespace);
      if (node.run("nsenter", "--net=/run/netns/" + namespace, "ip", "-o", "address")
          .contains(text(cart) + "/")) {
        TableFiller.fillIn(there, 1200, cart, ELSEWHERE);
        TableFiller.fillIn(there, 100, ELSEWHERE, cart);
      } else {
        TableFiller.fillIn(there, 40, web, ELSEWHERE);
      }
    }

    JsonNode own = ownTables();

    assertThat(own.path("flows").asInt()).isEqualTo(1340);
    assertThat(own.path("pods").asInt()).isEqualTo(2);
    assertThat(own.path("unread")).isEmpty();
    assertThat(own.path("rows"))
        .extracting(
            row ->
                "%s %d %d"
                    .formatted(
                        row.path("name").asText(),
                        row.path("client").asInt(),
                        row.path("server").asInt()))
        .containsExactly("default/cart 1200 100", "default/web 40 0");
    assertThat(agent.run("conntrack", "top", "--namespaces").out())
        .contains("1340 flows in tables of 2 pods' own, 0 % unreplied, 0 % in TIME_WAIT");

    // As the daemon's unit would: with everything but the right to enter a namespace.
    Process weak =
        node.exec(
            node.command(weak(PackagedAgent.command("conntrack", List.of("top", "--namespaces"))))
                .redirectErrorStream(true)
                .redirectOutput(directory.resolve("weak.txt").toFile()));
    assertThat(weak.waitFor()).isEqualTo(1);
    assertThat(directory.resolve("weak.txt"))
        .content()
        .contains("needs CAP_SYS_ADMIN, which nodeward.service does not have")
        .contains("EPERM");
  }

  private static String[] weak(List<String> command) {
    var all =
        new ArrayList<>(
            List.of("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"));
    all.addAll(command);
    return all.toArray(String[]::new);
  }

  /** A pod of the node; its address. */
  private int run(String name) throws IOException {
    plane.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: %1$s}
        spec:
          nodeName: %2$s
          terminationGracePeriodSeconds: 0
          containers:
          - {name: main, image: %3$s, imagePullPolicy: Never, args: [term-delay, "0"]}
        """
            .formatted(name, NODE, Manifests.PODTOOL_IMAGE));
    Poll.until(name + " has an address", SOON, () -> !address(name).isEmpty());
    Poll.until(
        "the agent knows it", SOON, () -> agent.part("pods").path("pods").asInt() >= podCount());
    return ByteBuffer.wrap(InetAddress.ofLiteral(address(name)).getAddress()).getInt();
  }

  private int podCount() throws IOException {
    return plane.get("/api/v1/pods").path("items").size();
  }

  private String address(String pod) throws IOException {
    JsonNode status = plane.get("/api/v1/namespaces/default/pods/" + pod).path("status");
    return status.path("phase").asText().equals("Running") ? status.path("podIP").asText() : "";
  }

  private static String text(int address) throws IOException {
    return InetAddress.getByAddress(ByteBuffer.allocate(4).putInt(address).array())
        .getHostAddress();
  }

  /** How many flows the tool lists whose first sender this is. */
  private long listed(int source) throws IOException {
    return node.run("conntrack", "-L", "-s", text(source)).lines().count();
  }

  private JsonNode ownTables() throws Exception {
    PackagedAgent.Ended ended = agent.run("conntrack", "top", "--namespaces", "-o", "json");
    assertThat(ended.code()).describedAs("%s", ended).isZero();
    return JSON.readTree(String.join("\n", ended.out()));
  }

  private JsonNode condition() throws IOException {
    for (JsonNode condition : plane.get("/api/v1/nodes/" + NODE).at("/status/conditions")) {
      if (condition.path("type").asText().equals("ConntrackPressure")) {
        return condition;
      }
    }
    return JSON.missingNode();
  }

  private void awaitCondition(String status, String reason) {
    Poll.until(
        "ConntrackPressure is " + status + " " + reason,
        SOON,
        () ->
            condition().path("status").asText().equals(status)
                && condition().path("reason").asText().equals(reason));
  }

  private List<String> events() throws IOException {
    var reasons = new ArrayList<String>();
    for (JsonNode event : plane.get("/api/v1/namespaces/default/events").path("items")) {
      if (event.at("/involvedObject/name").asText().equals(NODE)) {
        reasons.add(event.path("reason").asText());
      }
    }
    return reasons;
  }
}
