package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import nodeward.cluster.ControlPlane;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** The gate against a real API server on which others write too, and which comes and goes. */
@Tag("e2e")
final class GateE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final int ROUNDS = 30;
  private static final int FOREIGN_TAINTS = 12;

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private HandMadeNode node;
  private Path kubeconfig;
  private PackagedAgent agent;

  @BeforeEach
  void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"));
    node = new HandMadeNode(plane, "gated");
    kubeconfig = directory.resolve("kubeconfig");
    int adminPort = free();
    Path config =
        Files.writeString(
            directory.resolve("config.yaml"),
            """
            node: {name: %s}
            kubernetes: {kubeconfig: %s}
            gate: {require: [{namespace: kube-system, daemonSet: kube-proxy}]}
            metadata: {enabled: false}
            conntrack: {enabled: false}
            runtime: {enabled: false}
            termination: {enabled: false}
            admin: {listen: "127.0.0.1:%d"}
            control: {socket: %s}
            state: {directory: %s}
            """
                .formatted(
                    node.name(),
                    kubeconfig,
                    adminPort,
                    directory.resolve("control.sock"),
                    directory.resolve("state")));
    agent = PackagedAgent.here(config, adminPort);
  }

  @AfterEach
  void stop() {
    if (agent != null) {
      agent.close();
    }
    if (plane != null) {
      plane.close();
    }
  }

  @Test
  void foreignTaintsWrittenWhileTheGateOpensSurvive() throws Exception {
    writeKubeconfig();
    node.bindKubeProxy();
    agent.start();
    agent.await("the agent serves", SOON, () -> agent.page("/healthz").code() == 200);

    for (int round = 0; round < ROUNDS; round++) {
      node.kubeProxyIsReady("False");
      node.register();
      awaitGate("closed");
      var written = new ArrayList<String>();
      for (int i = 0; i < FOREIGN_TAINTS; i++) {
        if (i == FOREIGN_TAINTS / 3) {
          node.kubeProxyIsReady("True");
        }
        String key = "example.com/round-" + round + "-" + i;
        node.addTaint("somebody", key, "");
        written.add(key + ":NoSchedule");
      }
      agent.await("the gate opens", SOON, () -> !node.isGated());

      assertThat(node.taints()).describedAs("round " + round).containsAll(written);
      plane.delete(node.path());
      agent.await(
          "the agent has seen the end of the Node",
          SOON,
          () -> agent.part("gate").path("state").asText().equals("unregistered"));
    }

    // Writes of ours that came too late for what they were decided on: without them, no race.
    assertThat(agent.metric("nodeward_gate_writes_total{outcome=\"stale\",}")).isPositive();
    assertThat(agent.metric("nodeward_gate_writes_total{outcome=\"done\",}"))
        .isGreaterThanOrEqualTo(ROUNDS);
  }

  @Test
  void apiServerThatIsKilledWhileTheGateIsClosedIsWaitedForAndTheGateOpens() throws Exception {
    writeKubeconfig();
    node.register();
    node.bindKubeProxy();
    node.kubeProxyIsReady("False");
    agent.start();
    awaitGate("closed");
    agent.await("ready", SOON, agent::isReady);
    assertThat(agent.part("gate").at("/missing/kube-system~1kube-proxy").asText())
        .isEqualTo("not Ready");

    plane.killApiServer();
    agent.await(
        "the agent is not ready and says why",
        SOON,
        () -> {
          PackagedAgent.Page page = agent.page("/readyz");
          return page.code() == 503
              && page.body().contains("node: cannot watch nodes: ")
              && page.body().contains("pods: cannot watch pods: ");
        });
    assertThat(agent.part("gate").path("state").asText()).isEqualTo("closed");
    plane.startApiServer();
    agent.await("ready again", SOON, agent::isReady);
    assertThat(node.isGated()).isTrue();
    node.kubeProxyIsReady("True");

    agent.await("the gate opens", SOON, () -> !node.isGated());
    awaitGate("open");
    assertThat(agent.logged("kubernetes: watching nodes again")).hasSize(1);
    assertThat(agent.logged("kubernetes: watching pods again")).hasSize(1);
  }

  @Test
  void whatIsMissingAtTheStartIsToldOnceAndWaitedFor() throws Exception {
    agent.start();
    String noKubeconfig = "kubeconfig %s (from kubernetes.kubeconfig) does not exist";
    awaitTrouble(noKubeconfig.formatted(kubeconfig));

    plane.killApiServer();
    writeKubeconfig();
    awaitTrouble("cannot watch nodes: Failed to connect to");
    awaitTrouble("cannot watch pods: Failed to connect to");
    awaitMoreFailures();

    plane.startApiServer();
    awaitTrouble("node gated is not registered");
    String unregistered = "gate: node=gated is not registered";
    agent.await("the gate knows", SOON, () -> !agent.logged(unregistered).isEmpty());
    assertThat(agent.page("/readyz").body()).isEqualTo("node: node gated is not registered\n");
    assertThat(agent.part("gate").path("state").asText()).isEqualTo("unregistered");

    node.register();
    node.bindKubeProxy();
    agent.await("ready", SOON, agent::isReady);
    awaitGate("closed");
    node.kubeProxyIsReady("True");
    agent.await("the gate opens", SOON, () -> !node.isGated());

    assertThat(agent.logged("does not exist")).hasSize(2);
    assertThat(agent.logged("kubernetes: cannot watch nodes")).hasSize(1);
    assertThat(agent.logged("kubernetes: cannot watch pods")).hasSize(1);
    assertThat(agent.logged(unregistered)).hasSize(1);
    assertThat(agent.stop()).isZero();
  }

  private void writeKubeconfig() throws IOException {
    Path complete = Files.copy(plane.adminKubeconfig(), directory.resolve("kubeconfig.new"));
    Files.move(complete, kubeconfig);
  }

  private void awaitGate(String state) throws IOException {
    agent.await(
        "the gate is " + state,
        SOON,
        () -> agent.part("gate").path("state").asText().equals(state));
  }

  /** On the page for load balancers, in the words for people, and with the process going on. */
  private void awaitTrouble(String why) throws Exception {
    agent.await(
        "not ready: " + why,
        SOON,
        () -> {
          PackagedAgent.Page page = agent.page("/readyz");
          return page.code() == 503 && page.body().contains(why);
        });
    PackagedAgent.Ended status = agent.run("status");
    assertThat(status.code()).isZero();
    assertThat(String.join("\n", status.out())).contains("ready    no", why);
  }

  private void awaitMoreFailures() throws IOException {
    String failures = "nodeward_kube_requests_total{verb=\"list\",code=\"none\",}";
    agent.await(
        "a failure is counted", SOON, () -> agent.page("/metrics").body().contains(failures));
    double before = agent.metric(failures);
    agent.await("several tries more", SOON, () -> agent.metric(failures) > before + 5);
  }

  private static int free() throws IOException {
    try (var socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
