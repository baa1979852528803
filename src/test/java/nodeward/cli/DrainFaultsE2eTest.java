package nodeward.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Poll;
import nodeward.e2e.AgentIdentity;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** What goes wrong around a drain, on a real API server: the drain ends well all the same. */
@Tag("e2e")
@Timeout(300)
final class DrainFaultsE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final Duration OUTAGE = Duration.ofSeconds(20);
  private static final AtomicInteger NODES = new AtomicInteger();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;
  private static String kubeconfig;

  private final String node = "faulty-" + NODES.incrementAndGet();
  private final String pods = "/api/v1/namespaces/" + node + "/pods";
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeAll
  static void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"));
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
  void theApiServerIsKilledInTheMiddleAndAwayForTwentySeconds() throws Exception {
    create("a", "b", "c");
    CompletableFuture<Integer> drain = drain();
    Poll.until("all are evicted", SOON, () -> terminating() == 3);

    plane.killApiServer();
    long away = System.nanoTime();
    Poll.until(
        "the outage is over",
        SOON,
        () -> System.nanoTime() - away > OUTAGE.toNanos() || drain.isDone());
    assertThat(drain.isDone()).describedAs("%s", err).isFalse();
    plane.startApiServer();
    endPods("a", "b", "c");

    assertThat(drain.get()).describedAs("%s", err).isZero();
    assertThat(out.toString()).endsWith("node/" + node + " drained\n");
  }

  @Test
  void theApiServerIsAwayWhenThePodsAreToBeEvicted() throws Exception {
    create("a");
    budget(0);
    CompletableFuture<Integer> drain = drain();
    Poll.until("it is blocked", SOON, () -> err.toString().contains("will retry"));

    plane.killApiServer();
    Poll.until("a try fails", SOON, () -> err.toString().contains("evict pod"));
    plane.startApiServer();
    allow(1);
    Poll.until("it is evicted", SOON, () -> terminating() == 1);
    endPods("a");

    assertThat(drain.get()).describedAs("%s", err).isZero();
  }

  @Test
  void anEvictionWebhookThatTimesOutHoldsTheDrainUpOnlyAsLongAsItIsThere() throws Exception {
    create("a", "b");
    String hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    // Accepts connections, in the kernel's queue, and never says a word.
    try (var silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      plane.post(
          hooks,
          """
          {"metadata":{"name":"silent"},"webhooks":[{
            "name":"silent.nodeward.dev","sideEffects":"None","admissionReviewVersions":["v1"],
            "timeoutSeconds":1,"failurePolicy":"Fail",
            "clientConfig":{"url":"https://127.0.0.1:%d/"},
            "rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],
              "resources":["pods/eviction"]}]}]}
          """
              .formatted(silent.getLocalPort()));
      CompletableFuture<Integer> drain;
      try {
        drain = drain();
        Poll.until("it is told", SOON, () -> err.toString().contains("failed calling webhook"));
        assertThat(drain.isDone()).isFalse();
      } finally {
        plane.delete(hooks + "/silent");
      }
      Poll.until("both are evicted", SOON, () -> terminating() == 2);
      endPods("a", "b");

      assertThat(drain.get()).describedAs("%s", err).isZero();
    }
  }

  @Test
  void podsOfANamespaceThatIsBeingDeletedAreWaitedFor() throws Exception {
    create("a");
    plane.delete("/api/v1/namespaces/" + node);
    Poll.until(
        "the API server knows",
        SOON,
        () ->
            plane
                .get("/api/v1/namespaces/" + node)
                .at("/status/phase")
                .asText()
                .equals("Terminating"));
    CompletableFuture<Integer> drain = drain();
    Poll.until(
        "it is refused or evicted",
        SOON,
        () -> err.toString().contains("is being terminated") || terminating() == 1);

    // As the controller of namespaces does.
    endPods("a");

    assertThat(drain.get()).describedAs("%s", err).isZero();
  }

  @Test
  void aPodThatNeverGoesIsNamedWhenTimeIsUp() throws Exception {
    create("a");

    assertThat(drain("--timeout=3s").get()).isEqualTo(3);

    assertThat(err.toString()).contains(node + "/a: evicted, has not ended yet");
  }

  @Test
  void aDeadlineForcesAPodThatItsBudgetHolds() throws Exception {
    create("a");
    budget(0);
    CompletableFuture<Integer> drain = drain("--deadline=15s");
    Poll.until("it is deleted", SOON, () -> terminating() == 1);
    int grace = plane.get(pods + "/a").at("/metadata/deletionGracePeriodSeconds").asInt();
    endPods("a");

    assertThat(drain.get()).describedAs("%s", err).isZero();
    assertThat(grace).isBetween(1, 5);
    assertThat(err.toString()).contains("time is nearly up: deleting pod " + node + "/a");
  }

  @Test
  void explainTellsAndChangesNothing() throws Exception {
    create("a");
    budget(0);

    assertThat(drain("--explain", "--deadline=60s").get()).describedAs("%s", err).isZero();

    assertThat(out.toString())
        .contains("1 pods to go")
        .contains("blocked: disruption budget b (wants 1 healthy, has 1)")
        .contains("forced at ");
    assertThat(plane.get("/api/v1/nodes/" + node).at("/spec/unschedulable").asBoolean()).isFalse();
    assertThat(terminating()).isZero();
  }

  private CompletableFuture<Integer> drain(String... more) {
    var args = new java.util.ArrayList<>(List.of("drain", node, "--kubeconfig", kubeconfig));
    args.addAll(List.of(more));
    String[] given = args.toArray(String[]::new);
    var line = Cli.commandLine(given);
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return CompletableFuture.supplyAsync(() -> line.execute(given))
        .orTimeout(180, TimeUnit.SECONDS);
  }

  private void create(String... names) throws IOException {
    plane.post("/api/v1/namespaces", "{\"metadata\":{\"name\":\"%s\"}}".formatted(node));
    plane.post("/api/v1/nodes", "{\"metadata\":{\"name\":\"%s\"}}".formatted(node));
    for (String name : names) {
      plane.post(
          pods,
          """
          {"metadata":{"name":"%s","labels":{"app":"web"},"ownerReferences":[{
            "apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","controller":true,
            "uid":"00000000-0000-0000-0000-00000000000a"}]},
           "spec":{"nodeName":"%s","containers":[{"name":"c","image":"i"}]}}
          """
              .formatted(name, node));
      plane.patch(
          pods + "/" + name + "/status",
          """
          {"status":{"phase":"Running","conditions":[
            {"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}
          """);
    }
  }

  private void budget(int allowed) throws IOException {
    plane.post(
        "/apis/policy/v1/namespaces/" + node + "/poddisruptionbudgets",
        "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"maxUnavailable\":0,\"selector\":{}}}");
    allow(allowed);
  }

  private void allow(int disruptions) throws IOException {
    plane.patch(
        "/apis/policy/v1/namespaces/" + node + "/poddisruptionbudgets/b/status",
        """
        {"status":{"observedGeneration":1,"desiredHealthy":1,"currentHealthy":1,"expectedPods":1,
          "disruptionsAllowed":%d}}
        """
            .formatted(disruptions));
  }

  private int terminating() throws IOException {
    int count = 0;
    for (var pod : plane.get(pods).path("items")) {
      count += pod.path("metadata").has("deletionTimestamp") ? 1 : 0;
    }
    return count;
  }

  private void endPods(String... names) throws IOException {
    for (String name : names) {
      plane.delete(pods + "/" + name + "?gracePeriodSeconds=0");
    }
  }
}
