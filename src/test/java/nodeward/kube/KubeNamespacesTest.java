package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.metadata.Namespaces.Answer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KubeNamespacesTest {
  private static final Duration LONG = Duration.ofSeconds(15);

  @TempDir Path directory;
  private Scene scene;
  private KubeNamespaces namespaces;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory, Duration.ofSeconds(1), Duration.ofMillis(400));
    namespaces = scene.open(new KubeNamespaces(scene.kube));
    put("shop", "[\"reader\"]");
    put("bank", "[\"teller\"]");
    put("other", "[]");
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void nothingIsAskedOfTheApiServerBeforeTheFirstQuestion() {
    namespaces.start();
    namespaces.keep(Set.of("shop"));

    assertThat(namespaces.health().isHealthy()).isTrue();
    assertThat(scene.api.requests()).isEmpty();
    assertThat(namespaces.find("shop")).isInstanceOf(Answer.Unknown.class);
  }

  @Test
  void namespacesThatAreAskedForTogetherCostOneListAndOneWatch() throws InterruptedException {
    namespaces.find("shop");
    namespaces.find("bank");
    namespaces.find("gone");
    namespaces.start();

    assertThat(namespaces.await("shop", LONG)).isEqualTo(found("[\"reader\"]"));
    assertThat(namespaces.await("bank", LONG)).isEqualTo(found("[\"teller\"]"));
    assertThat(namespaces.await("gone", LONG)).isEqualTo(new Answer.Absent());
    Await.until("the watch is open", () -> namespaces.health().isHealthy());
    assertThat(scene.api.requests())
        .hasSize(2)
        .allSatisfy(
            r ->
                assertThat(r.query().get("labelSelector"))
                    .isEqualTo("kubernetes.io/metadata.name in (bank,gone,shop)"));
  }

  @Test
  void anEditCountsAsSoonAsItIsTold() throws InterruptedException {
    var changes = new AtomicInteger();
    namespaces.onChange(changes::incrementAndGet);
    namespaces.start();
    namespaces.await("shop", LONG);
    int before = changes.get();

    put("shop", "[]");

    Await.until("the edit counts", () -> namespaces.find("shop").equals(found("[]")));
    assertThat(changes.get()).isGreaterThan(before);
    scene.api.delete("namespaces", "", "shop");
    Await.until("it is gone", () -> namespaces.find("shop").equals(new Answer.Absent()));
  }

  @Test
  void theOldWatchServesUntilTheNewOneStands() throws InterruptedException {
    namespaces.start();
    namespaces.await("shop", LONG);
    scene.api.answer(
        r -> r.query().getOrDefault("labelSelector", "").contains("bank"), 500, "Busy", "busy");

    assertThat(namespaces.find("bank")).isInstanceOf(Answer.Unknown.class);
    Await.until("its trouble is told", () -> namespaces.find("bank").toString().contains("busy"));
    put("shop", "[]");
    Await.until("shop's edit counts", () -> namespaces.find("shop").equals(found("[]")));
    scene.api.answerNormally();

    assertThat(namespaces.await("bank", LONG)).isEqualTo(found("[\"teller\"]"));
    Await.until("there is one watch left", () -> scene.api.watches() == 1);
  }

  @Test
  void whileTheApiServerIsAwayTheLastStateCountsAndNewOnesAreUnknown() throws Exception {
    namespaces.start();
    namespaces.await("shop", LONG);

    scene.api.stop();

    Await.until("the loss is noticed", () -> !namespaces.health().isHealthy());
    assertThat(namespaces.find("shop")).isEqualTo(found("[\"reader\"]"));
    assertThat(namespaces.await("bank", Duration.ofMillis(50))).isInstanceOf(Answer.Unknown.class);
    scene.api.restart();
    assertThat(namespaces.await("bank", LONG)).isEqualTo(found("[\"teller\"]"));
  }

  @Test
  void forgottenOnesAreNotAskedForAgainAndStillRight() throws InterruptedException {
    namespaces.find("shop");
    namespaces.find("bank");
    namespaces.start();
    namespaces.await("shop", LONG);

    namespaces.keep(Set.of("shop"));
    assertThat(namespaces.status()).containsEntry("followed", 1);
    namespaces.await("other", LONG);

    assertThat(scene.api.requests())
        .extracting(r -> r.query().get("labelSelector"))
        .contains("kubernetes.io/metadata.name in (other,shop)");
    assertThat(namespaces.find("shop")).isEqualTo(found("[\"reader\"]"));
  }

  @Test
  void closingEndsTheWatchAndThoseWhoWait() throws Exception {
    namespaces.start();
    namespaces.await("shop", LONG);
    Await.until("the watch is open", () -> scene.api.watches() == 1);

    namespaces.close();

    Await.until("the watch is gone", () -> scene.api.watches() == 0);
    assertThat(namespaces.await("bank", LONG)).isInstanceOf(Answer.Unknown.class);
  }

  private static Answer found(String allowed) {
    return new Answer.Found(Map.of("iam.amazonaws.com/allowed-roles", allowed));
  }

  private void put(String name, String allowed) {
    scene.api.put(
        """
        kind: Namespace
        metadata:
          name: %s
          annotations:
            iam.amazonaws.com/allowed-roles: '%s'
            kubectl.kubernetes.io/last-applied-configuration: '{}'
        """
            .formatted(name, allowed));
  }
}
