package nodeward.e2e;

import static nodeward.e2e.TerminationScene.SOON;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import nodeward.aws.FakeImds;
import nodeward.cluster.ControlPlane;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * What aws-node-termination-handler tests end to end, a test for each of its scenarios, with the
 * packaged agent against a real API server; what differs on purpose is said where it does.
 */
@Tag("e2e")
final class TerminationE2eTest {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;

  private TerminationScene scene;

  @BeforeAll
  static void startPlane() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"), ControlPlane.Part.KWOK);
    AgentIdentity.grant(plane);
  }

  @AfterAll
  static void stopPlane() {
    if (plane != null) {
      plane.close();
    }
  }

  @AfterEach
  void stop() {
    if (scene != null) {
      scene.close();
    }
  }

  private TerminationScene begin(String termination) throws IOException {
    scene = new TerminationScene(plane, directory, termination).pods(2).start();
    return scene;
  }

  /** Unlike there, the hook is completed. */
  @Test
  void asgLifecycleImds() throws Exception {
    begin("");

    scene.imds.targetState("Terminated");
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID, Duration.ofSeconds(2));

    scene.awaitCordon();
    assertThat(scene.taints()).contains("nodeward.dev/terminating=autoscaling:NoSchedule");
    assertThat(scene.read().at("/metadata/labels").path(TerminationScene.EXCLUDE).asText())
        .isEqualTo("nodeward");
    scene.awaitNoPods();
    scene.awaitState("completed");
    assertThat(scene.completions()).containsExactly("CONTINUE");
    assertThat(scene.autoScaling.state(FakeImds.INSTANCE_ID)).isEqualTo("Terminating:Proceed");
    scene.awaitLooks(10);
    assertThat(scene.nodePatches()).hasSize(1);
    assertThat(scene.evictions()).isEqualTo(2);
  }

  @Test
  void cordonOnly() throws Exception {
    begin("cordonOnly: true");

    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));

    scene.awaitState("held");
    scene.awaitLooks(5);
    assertThat(scene.cordoned()).isTrue();
    assertThat(scene.podsLeft()).isEqualTo(2);
  }

  @Test
  void emitEvents() throws Exception {
    begin("");

    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));

    scene.awaitEvent("SpotInterruption: The node goes away: spot terminate at 20");
    scene.awaitEvent("Cordon: Node successfully cordoned");
    scene.awaitEvent("CordonAndDrain: Node successfully cordoned and drained");
  }

  @Test
  void imdsV2() throws Exception {
    begin("");

    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    scene.awaitState("completed");

    // Each is refused there without a token of its own.
    assertThat(scene.imds.requests(FakeImds.TOKEN)).isEqualTo(1);
    assertThat(scene.imds.connections()).isEqualTo(1);
  }

  @Test
  void maintenanceEvent() throws Exception {
    begin("maintenance: {lead: 10m}");

    scene.imds.maintenance(
        TerminationScene.event("system-reboot", "active", Instant.now().plusSeconds(300)));

    scene.awaitNoPods();
    scene.awaitState("completed");
    assertThat(scene.cordoned()).isTrue();
    scene.awaitEvent("ScheduledEvent: ");
  }

  /** Unlike there, it is undone once, and not what an operator did. */
  @Test
  void maintenanceEventCancellation() throws Exception {
    begin("maintenance: {lead: 10m}");
    Instant at = Instant.now().plusSeconds(300);
    scene.imds.maintenance(TerminationScene.event("system-reboot", "active", at));
    scene.awaitState("completed");

    scene.imds.maintenance("[]");
    scene.imds.maintenanceHistory(TerminationScene.event("system-reboot", "canceled", at));

    scene.awaitAsBefore();
    scene.awaitState("in service");
    scene.edit("{\"spec\":{\"unschedulable\":true}}");
    scene.awaitLooks(8);
    assertThat(scene.cordoned()).isTrue();
  }

  @Test
  void maintenanceEventDryRun() throws Exception {
    begin("dryRun: true, maintenance: {lead: 10m}");

    scene.imds.maintenance(
        TerminationScene.event("system-reboot", "active", Instant.now().plusSeconds(300)));

    assertThatNothingIsDone("ScheduledEvent: ");
  }

  @Test
  void maintenanceEventReboot() throws Exception {
    begin("maintenance: {lead: 10m}");
    Instant at = Instant.now().plusSeconds(3);
    scene.imds.maintenance(TerminationScene.event("system-reboot", "active", at));
    scene.awaitState("completed");
    scene.agent.await("its time has come", SOON, () -> Instant.now().isAfter(at));
    scene.agent.stop();

    scene.boot("11111111-2222-4333-8444-000000000002");
    scene.agent.start();

    scene.awaitAsBefore();
    // The event is still listed.
    scene.awaitLooks(5);
    assertThat(scene.cordoned()).isFalse();
    assertThat(scene.state()).isEqualTo("in service");
  }

  @Test
  void prometheusMetrics() throws Exception {
    begin("");

    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    scene.awaitState("completed");

    assertThat(scene.agent.metric("nodeward_termination_notices_total{kind=\"spot\",}"))
        .isEqualTo(1);
    for (String until : List.of("cordoned", "drained", "completed")) {
      assertThat(
              scene.agent.metric(
                  "nodeward_termination_duration_seconds{until=\"%s\",}".formatted(until)))
          .isBetween(0.0, 60.0);
    }
    assertThat(scene.agent.metric("nodeward_termination_deadline_seconds")).isBetween(30.0, 110.0);
    assertThat(scene.agent.metric("nodeward_termination_contact_timestamp_seconds"))
        .isGreaterThan(Instant.now().getEpochSecond() - 60.0);
  }

  /** Unlike there, the cordon ends. */
  @Test
  void rebalanceRecommendation() throws Exception {
    begin("rebalance: {action: cordon, hold: 4s, maxShare: 1}");

    scene.imds.rebalance(Instant.now());

    scene.awaitCordon();
    assertThat(scene.taints()).contains("nodeward.dev/terminating=rebalance:NoSchedule");
    scene.awaitAsBefore();
    scene.awaitLooks(5);
    assertThat(scene.cordoned()).isFalse();
    assertThat(scene.podsLeft()).isEqualTo(2);
    assertThat(scene.evictions()).isZero();
  }

  @Test
  void rebalanceRecommendationDrain() throws Exception {
    begin("rebalance: {action: drain, maxShare: 1}");

    scene.imds.rebalance(Instant.now());

    scene.awaitNoPods();
    scene.awaitEvent("RebalanceRecommendation: ");
  }

  @Test
  void rebalanceRecommendationDryRun() throws Exception {
    begin("dryRun: true, rebalance: {action: drain}");

    scene.imds.rebalance(Instant.now());

    assertThatNothingIsDone("RebalanceRecommendation: ");
  }

  @Test
  void spotInterruption() throws Exception {
    begin("");

    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));

    scene.awaitCordon();
    assertThat(scene.taints()).contains("nodeward.dev/terminating=spot:NoSchedule");
    scene.awaitNoPods();
    assertThat(scene.autoScaling.calls("DescribeAutoScalingInstances")).isZero();
  }

  @Test
  void spotInterruptionDryRun() throws Exception {
    begin("dryRun: true");

    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));

    assertThatNothingIsDone("SpotInterruption: ");
  }

  /** In a pod's network with a hop limit of 1 the token is never answered. */
  @Test
  void hostNetworkingOff() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(1);
    scene.imds.fail(FakeImds.TOKEN, FakeImds.Fault.HANG);
    scene.agent.start();

    scene.agent.await(
        "the hop limit is named",
        SOON,
        () -> scene.agent.part("termination").path("health").asText().contains("hop limit"));
    assertThat(scene.agent.page("/readyz").code()).isEqualTo(503);
    scene.imds.recover().spotNotice("terminate", Instant.now().plusSeconds(120));

    scene.awaitNoPods();
  }

  /** A template, a header, a proxy, a URL that is a secret, and a receiver that fails at first. */
  @Test
  void webhookWithProxyAndSecret() throws Exception {
    var heard = new CopyOnWriteArrayList<String>();
    HttpServer proxy = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    proxy.createContext(
        "/",
        exchange -> {
          String body =
              new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
          heard.add(
              exchange.getRequestURI()
                  + " "
                  + exchange.getRequestHeaders().getFirst("X-Key")
                  + " "
                  + body);
          exchange.sendResponseHeaders(heard.size() == 1 ? 503 : 200, -1);
          exchange.close();
        });
    proxy.start();
    try {
      begin(
          """
          webhook: {url: "http://hooks.example/T0/not-to-be-seen",
            proxy: "http://127.0.0.1:%d", headers: ["X-Key: also-secret"],
            template: '{"m":"{{.Moment}} {{.Node}} {{.Kind}}"}'}
          """
              .formatted(proxy.getAddress().getPort())
              .replace("\n", " "));
      scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
      scene.awaitState("completed");

      String message = "http://hooks.example/T0/not-to-be-seen also-secret {\"m\":\"%s %s spot\"}";
      scene.agent.await("four posts", SOON, () -> heard.size() == 4);
      assertThat(heard)
          .containsExactly(
              message.formatted("notice", scene.node),
              message.formatted("notice", scene.node),
              message.formatted("drained", scene.node),
              message.formatted("completed", scene.node));
      assertThat(scene.agent.logged("not-to-be-seen")).isEmpty();
      assertThat(scene.agent.logged("also-secret")).isEmpty();
      assertThat(scene.agent.run("check-config").out().toString()).doesNotContain("secret");
    } finally {
      proxy.stop(0);
    }
  }

  @Test
  void simulatedNoticesGoTheRealWayOnNodesThatAllowThem() throws Exception {
    begin("allowSimulation: true");

    assertThat(scene.agent.run("simulate-notice", "spot").out()).containsExactly("simulated: spot");
    scene.awaitNoPods();
    scene.awaitState("completed");
    assertThat(scene.agent.run("simulate-notice", "off").code()).isZero();
    scene.awaitAsBefore();
    assertThat(scene.agent.run("simulate-notice", "earthquake").code()).isEqualTo(1);
  }

  @Test
  void doctorTellsWhatIsMissing() throws Exception {
    begin("");

    PackagedAgent.Ended ended = scene.agent.run("doctor");

    assertThat(ended.out())
        .contains(
            "ok      the agent runs",
            "ok      create pods/eviction",
            "ok      delete pods",
            "ok      autoscaling:CompleteLifecycleAction",
            "ok      autoscaling:RecordLifecycleActionHeartbeat");
    assertThat(ended.code()).describedAs("%s", ended).isZero();
    assertThat(scene.completions()).isEmpty();
    assertThat(scene.agent.run("simulate-notice", "spot").err().toString())
        .contains("termination.allowSimulation is false");
  }

  private void assertThatNothingIsDone(String event) throws Exception {
    scene.awaitEvent(event);
    scene.awaitLooks(8);
    assertThat(scene.nodePatches()).isEmpty();
    assertThat(scene.podsLeft()).isEqualTo(2);
    assertThat(scene.state()).isEqualTo("in service");
    assertThat(scene.events().stream().filter(e -> e.startsWith(event))).hasSize(1);
  }
}
