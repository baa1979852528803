package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.linux.FakeProc;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * What depends on who comes first, on a real API server with the rights that are shipped: another
 * agent, somebody who puts the taint back, a history that is forgotten, a SIGKILL.
 */
@Tag("e2e")
final class GateRacesE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final Duration QUIET = Duration.ofSeconds(5);
  private static final int ROUNDS_OF_TWO = 12;
  private static final int MOST_ROUNDS_OF_TWO = 60;
  private static final int KILLS = 16;
  private static final int CONTESTED_ROUNDS = 5;
  private static final String FOREIGN = "example.com/foreign";
  // Put by the API server on each new Node; the node lifecycle controller would take it away.
  private static final String NOT_READY = "node.kubernetes.io/not-ready:NoSchedule";
  private static final String MARK = "/metadata/annotations/nodeward.dev~1gate";
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private final List<PackagedAgent> agents = new ArrayList<>();
  private ControlPlane plane;
  private HandMadeNode node;

  @BeforeEach
  void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"));
    AgentIdentity.grant(plane);
    node = new HandMadeNode(plane, "raced");
    node.bindKubeProxy();
    node.kubeProxyIsReady("False");
    // A node that has just booted: without the taint it gets it, and is not adopted.
    new FakeProc(directory.resolve("proc"))
        .write("sys/kernel/random/boot_id", "11111111-2222-4333-8444-555555555555\n")
        .write("uptime", "5.00 9.00\n")
        .write("stat", "btime " + Instant.now().getEpochSecond() + "\n");
  }

  @AfterEach
  void stop() {
    agents.forEach(PackagedAgent::close);
    if (plane != null) {
      plane.close();
    }
  }

  @Test
  void twoAgentsOnOneNodeWriteEachChangeOnceAndLoseNothing() throws Exception {
    PackagedAgent one = agent("one");
    PackagedAgent other = agent("other");
    one.start();
    other.start();
    for (PackagedAgent agent : agents) {
      agent.await("the agent serves", SOON, () -> agent.page("/healthz").code() == 200);
    }

    int round = 0;
    int expectedWrites = 0;
    while (round < ROUNDS_OF_TWO || (stale() == 0 && round < MOST_ROUNDS_OF_TWO)) {
      round++;
      node.kubeProxyIsReady("False");
      boolean bare = round % 2 == 0;
      if (bare) {
        // Both of them add the taint.
        node.register("");
      } else {
        node.register();
      }
      expectedWrites += bare ? 2 : 1;
      awaitBoth("closed");
      one.await("the node is tainted", SOON, () -> node.isGated());
      var written = new ArrayList<>(List.of(NOT_READY));
      for (int i = 0; i < 6; i++) {
        if (i == 2) {
          node.kubeProxyIsReady("True");
        }
        String key = "example.com/round-" + i;
        node.addTaint("somebody", key, "");
        written.add(key + ":NoSchedule");
      }
      awaitBoth("open");

      JsonNode opened = node.read();
      assertThat(HandMadeNode.taints(opened))
          .describedAs("round " + round)
          .containsExactlyInAnyOrderElementsOf(written);
      assertThat(isMarked(opened)).describedAs("round " + round).isTrue();
      if (round == ROUNDS_OF_TWO) {
        awaitQuiet(one);
      }
      plane.delete(node.path());
      awaitBoth("unregistered");
    }

    assertThat(stale()).describedAs("writes that came second: without them, no race").isPositive();
    assertThat(done()).isEqualTo(expectedWrites);
    for (PackagedAgent agent : agents) {
      assertThat(agent.logged("taint was put back")).isEmpty();
      assertThat(agent.logged("ERROR")).isEmpty();
    }
  }

  @Test
  void aTaintThatSomebodyPutsBackIsRemovedWithPausesAndItsWriterNamed() throws Exception {
    PackagedAgent agent = agent("only");
    node.register();
    node.addTaint("somebody", FOREIGN, "");
    agent.start();
    agent.await("the gate is closed", SOON, () -> state(agent).equals("closed"));
    node.kubeProxyIsReady("True");
    agent.await("the gate opens", SOON, () -> !node.isGated());

    for (int round = 0; round < CONTESTED_ROUNDS; round++) {
      node.addTaint("meddler", HandMadeNode.GATE, "pending");
      agent.await("the taint is removed again", SOON, () -> !node.isGated());
    }

    agent.await(
        "an Event names the writer",
        SOON,
        () ->
            plane
                .get("/api/v1/namespaces/default/events")
                .toString()
                .contains("was put back 5 times on the open node, last by meddler"));
    List<Instant> removals =
        plane.audit(AgentIdentity.USER_AGENT).stream()
            .filter(e -> e.verb().equals("patch") && e.resource().equals("nodes"))
            .filter(e -> e.subresource().isEmpty() && e.code() == 200)
            .map(AuditEntry::received)
            .toList();
    assertThat(removals).describedAs("one opening, then the rounds").hasSize(1 + CONTESTED_ROUNDS);
    for (int i = 2; i < removals.size(); i++) {
      assertThat(Duration.between(removals.get(i - 1), removals.get(i)))
          .isGreaterThan(Duration.ofSeconds(9));
    }
    assertThat(node.taints()).containsExactly(NOT_READY, FOREIGN + ":NoSchedule");
    assertThat(state(agent)).isEqualTo("open");
  }

  @Test
  void aForgottenHistoryIsListedAnewAndTheGateOpensByWhatTheListShows() throws Exception {
    PackagedAgent agent = agent("only");
    node.register();
    agent.start();
    agent.await("the gate is closed", SOON, () -> state(agent).equals("closed"));

    var written = new ArrayList<>(List.of(NOT_READY));
    for (int round = 0; round < 2; round++) {
      Instant frozen = Instant.now();
      agent.freeze();
      // Cuts its connections: what they have brought is read when it goes on.
      plane.killApiServer();
      plane.startApiServer();
      for (int i = 0; i < 4; i++) {
        node.addTaint("somebody", FOREIGN + round + i, "");
        written.add(FOREIGN + round + i + ":NoSchedule");
      }
      if (round == 1) {
        node.kubeProxyIsReady("True");
      }
      plane.forgetHistory();
      agent.thaw();
      for (String resource : List.of("nodes", "pods")) {
        agent.await(
            "410 for the watch of " + resource + " and a new list",
            SOON,
            () -> isListedAfterAnOldWatch(resource, frozen));
      }
      agent.await("ready", SOON, agent::isReady);
    }
    agent.await("the gate opens", SOON, () -> !node.isGated());

    JsonNode opened = node.read();
    assertThat(HandMadeNode.taints(opened)).containsExactlyElementsOf(written);
    assertThat(isMarked(opened)).isTrue();
  }

  @Test
  void anAgentKilledAroundTheOpeningLeavesATruthfulNodeAndTheNextOneOpensIt() throws Exception {
    PackagedAgent agent = agent("only");
    int killedBefore = 0;
    int killedAfter = 0;
    Duration moment = Duration.ofMillis(20);
    for (int round = 0; round < KILLS; round++) {
      String where = "round " + round + ", killed after " + moment;
      node.kubeProxyIsReady("False");
      node.register();
      node.addTaint("somebody", FOREIGN, "");
      agent.start();
      agent.await("the gate is closed", SOON, () -> state(agent).equals("closed"));
      node.kubeProxyIsReady("True");
      LockSupport.parkNanos(moment.toNanos());
      agent.kill();

      JsonNode left = node.read();
      boolean opened = isMarked(left);
      assertThat(HandMadeNode.taints(left).contains(HandMadeNode.GATE_TAINT))
          .describedAs(where)
          .isNotEqualTo(opened);
      // Each round comes closer to the moment of the patch, from both sides.
      if (opened) {
        killedAfter++;
        moment = moment.multipliedBy(2).dividedBy(3);
      } else {
        killedBefore++;
        moment = moment.multipliedBy(3).dividedBy(2);
      }

      agent.start();
      agent.await(where + ": the gate is open", SOON, () -> state(agent).equals("open"));
      JsonNode after = node.read();
      assertThat(HandMadeNode.taints(after))
          .describedAs(where)
          .containsExactly(NOT_READY, FOREIGN + ":NoSchedule");
      assertThat(isMarked(after)).describedAs(where).isTrue();
      if (opened) {
        assertThat(after.at(MARK)).describedAs(where).isEqualTo(left.at(MARK));
      }
      agent.kill();
      plane.delete(node.path());
    }

    assertThat(killedBefore).describedAs("kills before the patch").isPositive();
    assertThat(killedAfter).describedAs("kills after the patch").isPositive();
  }

  private PackagedAgent agent(String name) throws IOException {
    Path home = Files.createDirectory(directory.resolve(name));
    int adminPort;
    try (var socket = new ServerSocket(0)) {
      adminPort = socket.getLocalPort();
    }
    Path config =
        Files.writeString(
            home.resolve("config.yaml"),
            """
            node: {name: %s, procRoot: %s}
            kubernetes: {kubeconfig: "%s"}
            gate: {require: [{namespace: kube-system, daemonSet: kube-proxy}]}
            metadata: {enabled: false}
            conntrack: {enabled: false}
            runtime: {enabled: false}
            termination: {enabled: false}
            admin: {listen: "127.0.0.1:%d"}
            control: {socket: %5$s/control.sock}
            state: {directory: %5$s/state}
            """
                .formatted(
                    node.name(),
                    directory.resolve("proc"),
                    plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS),
                    adminPort,
                    home));
    PackagedAgent agent = PackagedAgent.here(config, adminPort);
    agents.add(agent);
    return agent;
  }

  private static String state(PackagedAgent agent) throws IOException {
    return agent.part("gate").path("state").asText();
  }

  private void awaitBoth(String state) throws IOException {
    for (PackagedAgent agent : agents) {
      agent.await("both gates are " + state, SOON, () -> state(agent).equals(state));
    }
  }

  /** Nobody writes the Node any more, for a while. */
  private void awaitQuiet(PackagedAgent agent) throws IOException {
    var last = new String[] {""};
    var since = new Instant[] {Instant.now()};
    agent.await(
        "nobody writes the Node",
        SOON,
        () -> {
          String version = node.read().at("/metadata/resourceVersion").asText();
          if (!version.equals(last[0])) {
            last[0] = version;
            since[0] = Instant.now();
          }
          return Instant.now().isAfter(since[0].plus(QUIET));
        });
  }

  private double stale() throws IOException {
    return sum("nodeward_gate_writes_total{outcome=\"stale\",}");
  }

  private double done() throws IOException {
    return sum("nodeward_gate_writes_total{outcome=\"done\",}");
  }

  private double sum(String series) throws IOException {
    double sum = 0;
    for (PackagedAgent agent : agents) {
      sum += agent.metric(series);
    }
    return sum;
  }

  /** A watch from a version of before, and after it a list. */
  private boolean isListedAfterAnOldWatch(String resource, Instant since) throws IOException {
    boolean watched = false;
    for (AuditEntry entry : plane.audit(AgentIdentity.USER_AGENT)) {
      if (entry.received().isBefore(since) || !entry.resource().equals(resource)) {
        continue;
      }
      if (entry.verb().equals("watch")) {
        watched = true;
      } else if (watched && entry.verb().equals("list")) {
        return true;
      }
    }
    return false;
  }

  /** Whether the mark on the Node is of this very Node and this boot. */
  private static boolean isMarked(JsonNode read) throws IOException {
    String text = read.at(MARK).asText();
    if (text.isEmpty()) {
      return false;
    }
    JsonNode mark = JSON.readTree(text);
    assertThat(mark.path("nodeUID").asText()).isEqualTo(read.at("/metadata/uid").asText());
    assertThat(mark.path("bootID").asText()).isEqualTo("11111111-2222-4333-8444-555555555555");
    assertThat(mark.path("keys").toString()).isEqualTo("[\"%s\"]".formatted(HandMadeNode.GATE));
    return true;
  }
}
