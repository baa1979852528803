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
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import nodeward.aws.FakeImds;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Poll;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The packaged daemon is killed with SIGKILL at every step of a drain in turn, and started again:
 * it goes on with the same plan and deadline, and remembers who had cordoned the node.
 */
@Tag("e2e")
@Timeout(300)
final class DrainKilledE2eTest {
  private static final Duration SOON = Duration.ofSeconds(90);
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;

  /** When the daemon is killed. */
  enum Step {
    PLAN_STORED,
    NODE_MARKED,
    FIRST_EVICTED,
    ONE_GONE,
    ONE_BLOCKED,
    ALL_GONE,
    COMPLETED
  }

  @BeforeAll
  static void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"));
    AgentIdentity.grant(plane);
  }

  @AfterAll
  static void stop() {
    if (plane != null) {
      plane.close();
    }
  }

  @ParameterizedTest(name = "killed at {0}")
  @EnumSource
  void theDrainGoesOnAfterSigkill(Step step) throws Exception {
    String name = "killed-" + step.name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
    Path own = Files.createDirectories(directory.resolve(name));
    var node = new HandMadeNode(plane, name);
    node.register();
    boolean byOthers = step.ordinal() % 2 == 1;
    if (byOthers) {
      plane.patch(node.path(), "{\"spec\":{\"unschedulable\":true}}");
    }
    plane.post("/api/v1/namespaces", "{\"metadata\":{\"name\":\"%s\"}}".formatted(name));
    pod(name, "first", "-5");
    pod(name, "second", "");
    pod(name, "held", "5");
    budget(name);
    try (var imds = FakeImds.start();
        var agent = agent(own, name, imds)) {
      agent.start();
      agent.await("the agent is ready", SOON, agent::isReady);
      var kubelet = new AtomicBoolean(true);
      CompletableFuture<Void> ending = kubelet(name, kubelet);
      try {
        imds.spotNotice("terminate", Instant.now().plusSeconds(600));
        if (step.ordinal() > Step.ONE_BLOCKED.ordinal()) {
          Poll.until("it is blocked", SOON, () -> blocked(agent));
          allow(name);
        }
        Poll.until("step " + step, SOON, () -> reached(step, node, own, agent));

        agent.close();
        JsonNode plan = plan(own);
        agent.start();

        agent.await("the agent is ready again", SOON, agent::isReady);
        allow(name);
        agent.await("the drain is completed", SOON, () -> state(agent).equals("completed"));
        assertThat(pods(name)).isEmpty();
        assertThat(plan(own).path("deadline")).isEqualTo(plan.path("deadline"));
        assertThat(plan(own).path("since")).isEqualTo(plan.path("since"));
        assertThat(plan(own).path("cordonedBy").asText())
            .isEqualTo(byOthers ? "others" : "nodeward");
        assertThat(node.read().at("/spec/unschedulable").asBoolean()).isTrue();

        imds.withdrawSpotNotice();
        agent.await("it is undone", SOON, () -> state(agent).equals("in service"));
        assertThat(node.read().at("/spec/unschedulable").asBoolean()).isEqualTo(byOthers);
        assertThat(node.taints()).noneMatch(t -> t.startsWith("nodeward.dev/"));
      } finally {
        kubelet.set(false);
        ending.join();
      }
    }
  }

  private static boolean reached(Step step, HandMadeNode node, Path own, PackagedAgent agent)
      throws IOException {
    return switch (step) {
      case PLAN_STORED -> Files.exists(own.resolve("state/plan.json"));
      case NODE_MARKED ->
          node.taints().stream().anyMatch(t -> t.startsWith("nodeward.dev/terminating"));
      case FIRST_EVICTED -> evicted(node.name()) > 0;
      case ONE_GONE -> pods(node.name()).size() < 3;
      case ONE_BLOCKED -> blocked(agent);
      case ALL_GONE -> pods(node.name()).isEmpty();
      case COMPLETED -> state(agent).equals("completed");
    };
  }

  private static boolean blocked(PackagedAgent agent) throws IOException {
    return agent.part("termination").path("left").toString().contains("blocked");
  }

  private static String state(PackagedAgent agent) throws IOException {
    return agent.part("termination").path("state").asText();
  }

  private static JsonNode plan(Path own) throws IOException {
    return JSON.readTree(Files.readString(own.resolve("state/plan.json")));
  }

  private static long evicted(String namespace) throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT).stream()
        .filter(e -> e.subresource().equals("eviction") && e.namespace().equals(namespace))
        .filter(e -> e.code() == 201)
        .count();
  }

  /** Ends one terminating pod each 300 ms, so that there is something between the steps. */
  private static CompletableFuture<Void> kubelet(String namespace, AtomicBoolean on) {
    return CompletableFuture.runAsync(
        () -> {
          try {
            while (on.get()) {
              LockSupport.parkNanos(Duration.ofMillis(300).toNanos());
              for (String pod : pods(namespace)) {
                String path = "/api/v1/namespaces/" + namespace + "/pods/" + pod;
                if (plane.get(path).path("metadata").has("deletionTimestamp")) {
                  plane.delete(path + "?gracePeriodSeconds=0");
                  break;
                }
              }
            }
          } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
          }
        });
  }

  private static List<String> pods(String namespace) throws IOException {
    return plane
        .get("/api/v1/namespaces/" + namespace + "/pods")
        .path("items")
        .findValues("metadata")
        .stream()
        .filter(m -> m.has("namespace"))
        .map(m -> m.path("name").asText())
        .toList();
  }

  private static void pod(String node, String name, String order) throws IOException {
    String pods = "/api/v1/namespaces/" + node + "/pods";
    plane.post(
        pods,
        """
        {"metadata":{"name":"%2$s","labels":{"app":"%2$s"},
           "annotations":{"nodeward.dev/drain-order":"%3$s"},"ownerReferences":[{
            "apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","controller":true,
            "uid":"00000000-0000-0000-0000-00000000000a"}]},
         "spec":{"nodeName":"%1$s","containers":[{"name":"c","image":"i"}]}}
        """
            .formatted(node, name, order));
    plane.patch(
        pods + "/" + name + "/status",
        """
        {"status":{"phase":"Running","conditions":[
          {"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}
        """);
  }

  private static void budget(String namespace) throws IOException {
    plane.post(
        "/apis/policy/v1/namespaces/" + namespace + "/poddisruptionbudgets",
        """
        {"metadata":{"name":"b"},
         "spec":{"maxUnavailable":0,"selector":{"matchLabels":{"app":"held"}}}}
        """);
    allow(namespace, 0);
  }

  private static void allow(String namespace) throws IOException {
    allow(namespace, 1);
  }

  private static void allow(String namespace, int disruptions) throws IOException {
    plane.patch(
        "/apis/policy/v1/namespaces/" + namespace + "/poddisruptionbudgets/b/status",
        """
        {"status":{"observedGeneration":1,"desiredHealthy":1,"currentHealthy":1,"expectedPods":1,
          "disruptionsAllowed":%d}}
        """
            .formatted(disruptions));
  }

  private static PackagedAgent agent(Path own, String node, FakeImds imds) throws IOException {
    int adminPort;
    try (var socket = new ServerSocket(0)) {
      adminPort = socket.getLocalPort();
    }
    Path config =
        Files.writeString(
            own.resolve("config.yaml"),
            """
            node: {name: %s}
            kubernetes: {kubeconfig: %s}
            aws: {metadataEndpoint: "%s"}
            gate: {enabled: false}
            metadata: {enabled: false}
            conntrack: {enabled: false}
            runtime: {enabled: false}
            termination: {pollInterval: 1s, autoScaling: {enabled: false}}
            admin: {listen: "127.0.0.1:%d"}
            control: {socket: %s}
            state: {directory: %s}
            """
                .formatted(
                    node,
                    plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS),
                    imds.endpoint(),
                    adminPort,
                    own.resolve("control.sock"),
                    own.resolve("state")));
    return PackagedAgent.here(config, adminPort);
  }
}
