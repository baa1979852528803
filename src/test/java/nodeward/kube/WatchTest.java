package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

/** What may go wrong with a watch, on a fake API server. */
class WatchTest {
  private static final Duration PING = Duration.ofMillis(400);

  @TempDir Path directory;
  private Scene scene;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory, Duration.ofSeconds(1), PING);
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void anApiServerThatIsAwayAtTheStartIsWaitedFor() throws IOException {
    scene.putNode();
    scene.api.stop();

    scene.node.start();
    Await.until("a reason is told", () -> health().contains("Failed to connect to"));
    assertThat(health()).contains("cannot watch nodes").contains("Connection refused");
    assertThat(scene.node.watching()).isFalse();
    scene.api.restart();

    Await.until("the node is seen", () -> scene.node.current().isPresent());
    Await.until("it is healthy", () -> scene.node.health().isHealthy());
  }

  @Test
  void aKubeconfigThatComesLateIsWaitedFor() throws IOException {
    String text = Files.readString(scene.kubeconfig);
    Files.delete(scene.kubeconfig);
    scene.putNode();

    scene.node.start();
    Await.until("a reason is told", () -> health().contains("does not exist"));
    assertThat(health()).contains(scene.kubeconfig.toString()).contains("kubernetes.kubeconfig");
    Files.writeString(scene.kubeconfig, text);

    Await.until("the node is seen", () -> scene.node.current().isPresent());
  }

  @Test
  void aRefusalAtTheStartIsWaitedOut() {
    scene.putNode();
    for (int status : List.of(401, 403, 429, 500)) {
      scene.api.answer(r -> true, status, "Refused", "refused with " + status);
      var node = scene.open(new OwnNode(scene.kube, Scene.NODE, nodeward.component.Time.SYSTEM));

      node.start();
      Await.until(
          "the reason is told", () -> node.health().toString().contains("refused with " + status));
      scene.api.answerNormally();

      Await.until("the node is seen", () -> node.watching() && node.current().isPresent());
      node.close();
    }
  }

  @Test
  void listenersLookAgainOnceTheWatchIsConnected() {
    scene.putNode();
    var seenConnected = new AtomicBoolean();
    scene.node.onChange(() -> seenConnected.compareAndSet(false, scene.node.watching()));
    // The list is there long before the watch.
    scene.api.delay(Duration.ofMillis(150));

    scene.node.start();

    Await.until("a listener finds the watch connected", seenConnected::get);
    seenConnected.set(false);
    scene.api.forgetHistory();
    Await.until("it does so after a new list, too", seenConnected::get);
  }

  @Test
  void aSilentConnectionIsNoticedWithinTwoPingsAndReplaced() {
    scene.putNode();
    start();

    scene.api.stall();
    Await.until(
        "the silence is noticed",
        PING.multipliedBy(2).plusSeconds(1),
        () -> !scene.node.watching() && !scene.pods.watching());
    scene.api.resume();
    scene.api.edit("nodes", "", Scene.NODE, n -> n.withObject("/spec").put("unschedulable", true));

    Await.until("the change is seen", () -> scene.node.current().orElseThrow().unschedulable());
  }

  @Test
  void aServerThatStaysSilentCostsNoGrowingNumberOfConnections() {
    scene.api.stall();
    scene.node.start();

    Await.until("many attempts were given up", () -> failed("get") > 2);

    assertThat(scene.api.connections()).isLessThan(4);
    scene.api.resume();
    Await.until("the watch is open", scene.node::watching);
  }

  @Test
  void aHandshakeThatIsNotAnsweredIsGivenUp() {
    scene.putNode();
    start();

    // The old connections die, the new ones are never answered.
    scene.api.stall();
    Await.until("the handshakes are given up", () -> failed("watch") >= 2);
    assertThat(scene.api.connections()).isLessThan(8);
    scene.api.resume();

    Await.until("both watch again", () -> scene.node.watching() && scene.pods.watching());
  }

  @Test
  void cutConnectionsAreReplacedAndNothingIsMissed() throws IOException {
    start();

    for (int i = 0; i < 5; i++) {
      scene.api.dropConnections();
      scene.putPod("pod-" + i, Scene.NODE);
    }

    Await.until("all are seen", () -> scene.pods.current().size() == 5);
    Await.until("both watch again", () -> scene.node.watching() && scene.pods.watching());
  }

  @Test
  void aForgottenResourceVersionLeadsToANewList() throws IOException {
    scene.putPod("stays", Scene.NODE);
    scene.putPod("goes", Scene.NODE);
    start();
    Await.until("both are seen", () -> scene.pods.current().size() == 2);

    scene.api.forgetHistory();
    scene.api.delete("pods", "default", "goes");
    scene.putPod("comes", Scene.NODE);

    Await.until("the list is right", () -> names().equals(List.of("comes", "stays")));

    // And once more as it is after an outage: the version is gone when the watch comes back.
    scene.api.stop();
    scene.api.delete("pods", "default", "stays");
    scene.api.restart();
    Await.until("the list is right again", () -> names().equals(List.of("comes")));
  }

  @Test
  void aBookmarkMovesTheResourceVersionOn() throws IOException {
    start();
    for (int i = 0; i < 3; i++) {
      scene.putPod("other-" + i, "elsewhere");
    }
    long last =
        scene
            .api
            .get("pods", "default", "other-2")
            .orElseThrow()
            .at("/metadata/resourceVersion")
            .asLong();

    scene.api.sendBookmarks();

    // Nothing else tells that a bookmark is in: connections are cut until the next watch shows it.
    Await.until(
        "the watches go on from the bookmark",
        () -> {
          Await.until("both watch", () -> scene.node.watching() && scene.pods.watching());
          scene.api.clearRequests();
          scene.api.dropConnections();
          Await.until("both are opened anew", () -> watchRequests() >= 2);
          return scene.api.requests().stream()
              .filter(FakeApiServer.Request::isWatch)
              .allMatch(r -> Long.parseLong(r.query().get("resourceVersion")) >= last);
        });
  }

  @Test
  void aWatchThatIsRefusedWith503ComesBackAsAWebSocket() throws IOException {
    scene.putNode();
    scene.api.answerText(FakeApiServer.Request::isWatch, 503, "no healthy upstream");
    scene.node.start();
    Await.until("the reason is told", () -> health().contains("no healthy upstream (503)"));
    Await.until("it was tried again", () -> watchRequests() > 2);
    scene.api.answerNormally();
    Await.until("the watch is open", scene.node::watching);

    // The same while a watch is being opened anew.
    scene.api.answerText(FakeApiServer.Request::isWatch, 503, "no healthy upstream");
    scene.api.dropConnections();
    Await.until("the reason is told", () -> health().contains("no healthy upstream (503)"));
    scene.api.answerNormally();
    Await.until("the watch is open", scene.node::watching);

    assertThat(scene.api.requests())
        .filteredOn(FakeApiServer.Request::isWatch)
        .allMatch(FakeApiServer.Request::webSocket);
  }

  @Test
  void aLongOutageIsToldOnceAndItsEndToo() throws IOException {
    var told = new ListAppender<ILoggingEvent>();
    told.start();
    var logger = (Logger) LoggerFactory.getLogger(Watch.class);
    logger.setLevel(Level.INFO);
    logger.addAppender(told);
    try {
      scene.api.answer(FakeApiServer.Request::isWatch, 500, "InternalError", "etcd is away");
      scene.node.start();
      Await.until("it was tried often", () -> watchRequests() > 4);
      scene.api.answerNormally();
      Await.until("the watch is open", scene.node::watching);

      assertThat(List.copyOf(told.list))
          .filteredOn(e -> e.getLevel().isGreaterOrEqual(Level.INFO))
          .extracting(ILoggingEvent::getFormattedMessage)
          .containsExactly(
              "kubernetes: cannot watch nodes, trying again without end: etcd is away (500)",
              "kubernetes: watching nodes again");
    } finally {
      logger.detachAppender(told);
    }
  }

  @Test
  void anIdleAgentHasTwoWatchesAndAsksNothing() throws IOException {
    scene.putNode();
    start();
    Await.until("the watches are registered", () -> scene.api.watches() == 2);
    scene.api.clearRequests();

    // Three pings go by.
    long until = System.nanoTime() + PING.multipliedBy(3).toNanos();
    Await.until("time passes", () -> System.nanoTime() > until);

    assertThat(scene.api.requests()).isEmpty();
    assertThat(scene.api.watches()).isEqualTo(2);
    assertThat(scene.metric("nodeward_kube_watching", "resource", "nodes")).isEqualTo(1);
    assertThat(scene.metric("nodeward_kube_watching", "resource", "pods")).isEqualTo(1);
  }

  @Test
  void aListenerThatFailsDoesNotKeepTheNextFromHearing() throws IOException {
    var heard = new AtomicInteger();
    scene.pods.onChange(
        () -> {
          throw new IllegalStateException("a bug");
        });
    scene.pods.onChange(heard::incrementAndGet);
    start();
    int before = heard.get();

    scene.putPod("a", Scene.NODE);

    Await.until("it hears", () -> heard.get() > before);
    Await.until("the pod is seen", () -> names().equals(List.of("a")));
  }

  @Test
  void aPodThatIsNoLongerOfThisNodeGoes() {
    scene.putPod("a", Scene.NODE);
    start();
    Await.until("the pod is seen", () -> names().equals(List.of("a")));

    scene.putPod("a", "elsewhere");

    Await.until("the pod went", () -> names().isEmpty());
  }

  @Test
  void aHalfEmptyObjectDoesNotEndTheWatch() {
    start();

    scene.api.put(
        "{kind: Pod, metadata: {name: odd}, spec: {nodeName: node-1, volumes: [{}]}, status:"
            + " {podIP: nonsense, phase: Odd, conditions: [{type: Ready}]}}");
    scene.putPod("next", Scene.NODE);

    Await.until("both are seen", () -> names().equals(List.of("next", "odd")));
  }

  @Test
  void closingEndsTheWatches() {
    start();
    Await.until("the watches are registered", () -> scene.api.watches() == 2);

    scene.node.close();
    scene.pods.close();

    Await.until("the watches are gone", () -> scene.api.watches() == 0);
    assertThat(scene.node.watching()).isFalse();
  }

  private void start() {
    scene.node.start();
    scene.pods.start();
    Await.until("both watch", () -> scene.node.watching() && scene.pods.watching());
  }

  private String health() {
    return scene.node.health().toString();
  }

  private List<String> names() {
    return scene.pods.current().stream().map(Pod::name).sorted().toList();
  }

  private long watchRequests() {
    return scene.api.requests().stream().filter(FakeApiServer.Request::isWatch).count();
  }

  private double failed(String verb) {
    Double count =
        scene.metrics.getSampleValue("nodeward_kube_requests_total", labels(), none(verb));
    return count == null ? 0 : count;
  }

  private static String[] labels() {
    return new String[] {"verb", "code"};
  }

  private static String[] none(String verb) {
    return new String[] {verb, "none"};
  }
}
