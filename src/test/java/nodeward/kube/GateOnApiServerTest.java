package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.Config.Gate.IfMissing;
import nodeward.config.Config.Gate.Mode;
import nodeward.kube.FakeApiServer.Request;
import nodeward.node.FakeConditions;
import nodeward.node.Taint;
import nodeward.readiness.Boot;
import nodeward.readiness.ClosedNodes;
import nodeward.readiness.GateKeeper;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The whole gate on a fake API server that refuses, breaks off, forgets, or holds a crowd. */
class GateOnApiServerTest {
  private static final Taint GATE = Taint.parse("readiness.k8s.io/nodeward=pending:NoSchedule");
  private static final String FOREIGN =
      "{key: example.com/a, effect: NoExecute, timeAdded: \"2026-11-21T07:59:00Z\"}";
  private static final String OURS =
      "{key: readiness.k8s.io/nodeward, value: pending, effect: NoSchedule}";
  private static final String LAST = "{key: example.com/b, value: v, effect: NoSchedule}";
  // What a JSON patch whose test fails is answered with.
  private static final String DOES_NOT_FIT =
      "the server rejected our request due to an error in our request";

  @TempDir Path directory;
  private Scene scene;
  private GateKeeper keeper;
  private String daemonSet;
  private final AtomicInteger nodeWrites = new AtomicInteger();

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory, Duration.ofSeconds(1), Duration.ofSeconds(5));
    daemonSet =
        scene
            .api
            .put(
                """
                kind: DaemonSet
                metadata: {namespace: kube-system, name: kube-proxy}
                spec: {template: {spec: {tolerations: [{operator: Exists}]}}}
                """)
            .at("/metadata/uid")
            .asText();
    keeper =
        scene.open(
            new GateKeeper(
                config(),
                new Boot("boot-1", Instant.now(), Duration.ZERO),
                new GateKeeper.Ports(
                    scene.node,
                    scene.pods,
                    new KubeDaemonSets(scene.kube),
                    (type, reason, message) -> {},
                    new FakeConditions(),
                    alone(),
                    (probe, limit) -> Optional.empty(),
                    () -> ""),
                Optional.empty(),
                new CollectorRegistry(),
                Time.SYSTEM));
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @ParameterizedTest
  @CsvSource({
    "409, Conflict, the object has been modified",
    "422, Invalid, " + DOES_NOT_FIT,
    "403, Forbidden, nodes is forbidden",
    "429, TooManyRequests, slow down",
    "500, InternalError, etcd is away",
    "504, Timeout, took too long",
  })
  void aRemovalThatIsRefusedIsTriedAgainWithoutEnd(int code, String reason, String message) {
    putNode(FOREIGN, OURS, LAST);
    scene.api.answer(GateOnApiServerTest::isWrite, code, reason, message);
    putReadyPod();
    start();
    // Five refusals are one failed pass, so this is the second at least.
    Await.until("it is tried again and again", () -> writes() > 6);
    assertThat(keeper.health().toString()).contains("node-1");

    scene.api.answerNormally();
    awaitState("open");

    assertThat(taints()).containsExactly("example.com/a", "example.com/b");
    assertThat(nodeWrites).hasValue(1);
    Await.until("it recovers", () -> keeper.health().isHealthy());
  }

  @ParameterizedTest
  @CsvSource({
    "409, Conflict, the object has been modified",
    "422, Invalid, " + DOES_NOT_FIT,
    "403, Forbidden, nodes is forbidden",
  })
  void aTaintWhoseAddingIsRefusedIsAddedInTheEnd(int code, String reason, String message) {
    putNode(FOREIGN, LAST);
    scene.api.answer(GateOnApiServerTest::isWrite, code, reason, message);
    start();
    Await.until("it is tried again and again", () -> writes() > 6);

    scene.api.answerNormally();
    awaitState("closed");

    assertThat(taints()).containsExactly("example.com/a", "example.com/b", GATE.key());
    assertThat(nodeWrites).hasValue(1);
  }

  /** The API server has done what it was asked, and nobody heard. */
  @ParameterizedTest
  @ValueSource(strings = {"timeout", "connection cut"})
  void aWriteWhoseAnswerIsLostIsNotRepeated(String how) throws IOException {
    putNode(FOREIGN, OURS, LAST);
    start();
    awaitState("closed");

    scene.api.delay(Duration.ofMillis(how.equals("timeout") ? 1500 : 400));
    putReadyPod();
    Await.until("the write is on its way", () -> writes() > 0);
    if (how.equals("connection cut")) {
      scene.api.dropConnections();
    }
    Await.until("it is done", () -> taints().equals(List.of("example.com/a", "example.com/b")));
    scene.api.delay(Duration.ZERO);
    awaitState("open");

    assertThat(taints()).containsExactly("example.com/a", "example.com/b");
    assertThat(nodeWrites).hasValue(1);
  }

  @Test
  void aHistoryThatIsForgottenChangesNothing() {
    putNode(FOREIGN, OURS);
    start();
    awaitState("closed");

    scene.api.forgetHistory();
    putReadyPod();
    awaitState("open");

    assertThat(taints()).containsExactly("example.com/a");
    assertThat(nodeWrites).hasValue(1);
  }

  @Test
  void amongTenThousandPodsOnlyTheNodesOwnAreAskedForAndKept() {
    for (int i = 0; i < 10_000; i++) {
      scene.putPod("stranger-" + i, "node-" + (i + 2));
    }
    putNode(OURS);
    start();
    awaitState("closed");

    putReadyPod();
    scene.putPod("another", Scene.NODE);
    awaitState("open");

    Await.until("its own two are there", () -> scene.pods.current().size() == 2);
    assertThat(scene.api.requests())
        .filteredOn(r -> r.path().endsWith("/pods"))
        .isNotEmpty()
        .allMatch(r -> r.query().getOrDefault("fieldSelector", "").equals("spec.nodeName=node-1"));
  }

  private void start() {
    scene.api.onChange(
        change -> {
          if (change.resource().equals("nodes") && change.type().equals("MODIFIED")) {
            nodeWrites.incrementAndGet();
          }
        });
    scene.node.start();
    scene.pods.start();
    keeper.start();
  }

  private void putNode(String... taints) {
    scene.api.put(
        """
        kind: Node
        metadata: {name: node-1, annotations: {a: b}}
        spec: {taints: [%s]}
        """
            .formatted(String.join(", ", taints)));
  }

  private void putReadyPod() {
    scene.api.put(
        """
        kind: Pod
        metadata:
          namespace: kube-system
          name: kube-proxy-1
          ownerReferences:
          - {apiVersion: apps/v1, kind: DaemonSet, name: kube-proxy, uid: %s, controller: true}
        spec: {nodeName: node-1}
        status:
          phase: Running
          conditions: [{type: Ready, status: "True", lastTransitionTime: "%s"}]
        """
            .formatted(daemonSet, Instant.now()));
  }

  private void awaitState(String state) {
    Await.until(
        "the gate is " + state,
        Duration.ofSeconds(30),
        () -> state.equals(keeper.status().get("state")));
  }

  private List<String> taints() {
    JsonNode node = scene.api.get("nodes", "", Scene.NODE).orElseThrow();
    return node.at("/spec/taints").valueStream().map(t -> t.path("key").asText()).toList();
  }

  private long writes() {
    return scene.api.requests().stream().filter(GateOnApiServerTest::isWrite).count();
  }

  private static boolean isWrite(Request request) {
    return request.method().equals("PATCH") && request.path().endsWith("/nodes/node-1");
  }

  private static Config.Gate config() {
    return new Config.Gate(
        true,
        Mode.BOOTSTRAP,
        List.of(GATE),
        List.of(
            new Config.Gate.Require(
                "kube-system", "kube-proxy", "", 0, Optional.empty(), IfMissing.WAIT)),
        Duration.ofMinutes(5),
        0.1,
        Duration.ofMinutes(15),
        new Config.Gate.LaunchHook(false, "", false));
  }

  private static ClosedNodes alone() {
    return new ClosedNodes() {
      @Override
      public Place take(double share) {
        return Place.TAKEN;
      }

      @Override
      public void release() {}
    };
  }
}
