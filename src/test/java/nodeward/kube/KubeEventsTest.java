package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import nodeward.component.FakeTime;
import nodeward.node.FakeNode;
import nodeward.node.NodeEvents.Type;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KubeEventsTest {
  @TempDir Path directory;
  private final FakeTime time = new FakeTime();
  private Scene scene;
  private KubeEvents events;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory);
    events = scene.open(new KubeEvents(scene.kube, Scene.NODE, time));
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void theSameIsCountedUpForTenMinutes() {
    events.start();
    tell("again");
    tell("again");
    time.advance(Duration.ofMinutes(9));
    tell("again");
    Await.until(
        "it is counted", () -> all().size() == 1 && all().getFirst().path("count").asInt() == 3);
    JsonNode event = all().getFirst();
    assertThat(event.path("firstTimestamp").asText()).isEqualTo("2026-11-21T08:00:00Z");
    assertThat(event.path("lastTimestamp").asText()).isEqualTo("2026-11-21T08:09:00Z");

    time.advance(Duration.ofMinutes(11));
    tell("again");

    Await.until("it is a new one", () -> all().size() == 2);
  }

  @Test
  void anEventOnAPodIsInItsNamespaceAndNamesIt() throws IOException {
    scene.api.put("{kind: Namespace, metadata: {name: shop}}");
    scene.api.put("{kind: Pod, metadata: {namespace: shop, name: web}, spec: {nodeName: node-1}}");
    Pod web = scene.pods.read().getFirst();
    events.start();

    events.tell(web, Type.WARNING, "DrainBlocked", "held up");
    tell("on the node");

    Await.until("both are there", () -> all().size() == 2);
    JsonNode event =
        all().stream().filter(e -> e.path("message").asText().equals("held up")).findFirst().get();
    assertThat(event.at("/metadata/namespace").asText()).isEqualTo("shop");
    assertThat(event.at("/involvedObject/kind").asText()).isEqualTo("Pod");
    assertThat(event.at("/involvedObject/namespace").asText()).isEqualTo("shop");
    assertThat(event.at("/involvedObject/uid").asText()).isEqualTo(web.uid());
  }

  @Test
  void oneThatTheApiServerHasForgottenIsMadeAnew() {
    events.start();
    tell("again");
    Await.until("it is there", () -> all().size() == 1);
    scene.api.delete("events", "default", all().getFirst().at("/metadata/name").asText());

    tell("again");

    Await.until("it is there again", () -> all().size() == 1);
    assertThat(all().getFirst().path("count").asInt()).isEqualTo(1);
  }

  @Test
  void anEventOnAPodLivesInItsNamespaceAndNamesIt() {
    KubeEvents ofPods = scene.open(KubeEvents.ofPods(scene.kube, Scene.NODE, time));
    scene.api.put("{kind: Namespace, metadata: {name: shop}}");
    ofPods.start();
    var cart = FakeNode.pod("shop", "cart", "10.0.0.5");
    ofPods.tell(cart, Type.WARNING, "RoleDenied", "no role");
    ofPods.tell(cart, Type.WARNING, "RoleDenied", "no role");
    ofPods.tell(FakeNode.pod("shop", "web", "10.0.0.6"), Type.WARNING, "RoleDenied", "no role");

    Await.until("both are there", () -> ofPods.status().get("waiting").equals(0));
    List<JsonNode> told =
        scene.api.list("events").stream()
            .filter(e -> e.at("/metadata/namespace").asText().equals("shop"))
            .toList();
    assertThat(told)
        .extracting(
            e -> e.at("/involvedObject/kind").asText(),
            e -> e.at("/involvedObject/namespace").asText(),
            e -> e.at("/involvedObject/name").asText(),
            e -> e.at("/involvedObject/uid").asText(),
            e -> e.path("count").asInt())
        .containsExactlyInAnyOrder(
            tuple("Pod", "shop", "cart", cart.uid(), 2),
            tuple("Pod", "shop", "web", "uid-shop-web", 1));
    assertThat(all()).hasSize(2);
  }

  @Test
  void aBurstIsSlowedDown() {
    events.start();
    for (int i = 0; i < 30; i++) {
      tell("event " + i);
    }
    Await.until("the burst is sent", () -> waiting(5));
    assertThat(all()).hasSize(25);
    assertThat(events.status()).containsEntry("dropped", 0L);

    time.advance(Duration.ofSeconds(20));
    tell("wakes it");

    Await.until("two more are sent", () -> waiting(4));
    assertThat(all()).hasSize(27);
  }

  @Test
  void whatIsToldWhileTheApiServerIsAwayIsSentLaterSaveForTheOldest() throws IOException {
    scene.api.stop();
    events.start();
    for (int i = 0; i < 70; i++) {
      tell("event " + i);
    }
    assertThat(events.status()).containsEntry("waiting", 64).containsEntry("dropped", 6L);

    scene.api.restart();
    tell("wakes it");

    // One that is dropped on its way may be sent all the same; then it does not count as dropped.
    Await.until("the burst is sent", () -> all().size() == 25);
    Await.until(
        "each is sent, waits or was dropped",
        () -> status("waiting") == 71 - 25 - status("dropped"));
    assertThat(all())
        .extracting(e -> e.path("message").asText())
        .filteredOn(message -> message.matches("event [0-5]"))
        .hasSizeLessThan(2);
  }

  @Test
  void oneThatIsRefusedDoesNotHoldUpTheNext() {
    scene.api.answer(r -> r.body().contains("bad"), 422, "Invalid", "the event is invalid");
    events.start();

    tell("bad");
    tell("good");

    Await.until("the next is sent", () -> all().size() == 1);
    assertThat(all().getFirst().path("message").asText()).isEqualTo("good");
    assertThat(events.health().isHealthy()).isTrue();
  }

  @Test
  void aMessageThatIsTooLongIsCut() {
    events.start();

    tell("x".repeat(5000));

    Await.until("it is sent", () -> all().size() == 1);
    assertThat(all().getFirst().path("message").asText()).hasSize(1024).endsWith("x...");
  }

  @Test
  void closingSendsWhatWaits() {
    events.start();
    tell("the last");

    events.close();

    assertThat(all()).hasSize(1);
  }

  @Test
  void closingEndsInTimeWhenNothingCanBeSent() throws IOException {
    scene.api.stop();
    events.start();
    tell("never sent");
    long start = System.nanoTime();

    events.close();

    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(8));
  }

  private boolean waiting(int many) {
    return Integer.valueOf(many).equals(events.status().get("waiting"));
  }

  private long status(String count) {
    return ((Number) events.status().get(count)).longValue();
  }

  private void tell(String message) {
    events.tell(Type.NORMAL, "Tested", message);
  }

  private List<JsonNode> all() {
    return scene.api.list("events");
  }
}
