package nodeward.kube;

import static nodeward.readiness.ClosedNodes.Place.FULL;
import static nodeward.readiness.ClosedNodes.Place.TAKEN;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.component.FakeTime;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class KubeClosedNodesTest {
  private static final String LEASES = "/apis/coordination.k8s.io/v1/namespaces/nodeward/leases";

  @TempDir Path directory;
  private final FakeTime time = new FakeTime();
  private Scene scene;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory);
    scene.api.put("{kind: Namespace, metadata: {name: nodeward}}");
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0.1, 1",
    "1, 1.0, 1",
    "9, 0.1, 1",
    "10, 0.1, 1",
    "19, 0.1, 1",
    "20, 0.1, 2",
    "100, 0.29, 29",
    "10, 0, 1",
    "3, 1.0, 3",
  })
  void asManyNodesMayCloseAsTheShareRoundedDownButOne(int nodes, double share, int places)
      throws IOException {
    for (int i = 0; i < nodes; i++) {
      scene.api.put("{kind: Node, metadata: {name: n%d}}".formatted(i));
    }

    for (int i = 0; i < places; i++) {
      assertThat(closed("n" + i).take(share)).as("place %d", i).isEqualTo(TAKEN);
    }
    assertThat(closed("last").take(share)).isEqualTo(FULL);
  }

  @Test
  void aPlaceThatIsNotTakenAgainIsLostAfterFifteenMinutes() throws IOException {
    closed("one").take(0);
    time.advance(Duration.ofMinutes(15));
    assertThat(closed("two").take(0)).isEqualTo(FULL);

    time.advance(Duration.ofSeconds(1));
    assertThat(closed("two").take(0)).isEqualTo(TAKEN);

    assertThat(annotation()).isEqualTo("{\"two\":\"2026-11-21T08:15:01Z\"}");
    assertThat(closed("one").take(0)).isEqualTo(FULL);
  }

  @Test
  void aPlaceThatIsTakenAgainLastsAndIsWrittenSeldom() throws IOException {
    var one = closed("one");
    one.take(0);
    for (int minute = 1; minute <= 30; minute++) {
      time.advance(Duration.ofMinutes(1));
      assertThat(one.take(0)).isEqualTo(TAKEN);
      assertThat(closed("two").take(0)).isEqualTo(FULL);
    }

    assertThat(scene.api.requests()).filteredOn(r -> r.method().equals("PATCH")).hasSize(5);
  }

  @Test
  void anOwnPlaceThatNobodyTookMeanwhileIsKept() throws IOException {
    closed("one").take(0);
    time.advance(Duration.ofHours(2));

    assertThat(closed("one").take(0)).isEqualTo(TAKEN);
    assertThat(closed("two").take(0)).isEqualTo(FULL);
  }

  @Test
  void aTimeFarAheadCountsAsLittleAsOneLongAgo() throws IOException {
    time.jump(Duration.ofDays(1));
    closed("one").take(0);
    time.jump(Duration.ofDays(-1));

    assertThat(closed("two").take(0)).isEqualTo(TAKEN);
  }

  @Test
  void aReleaseGivesThePlaceBackAndWritesOnce() throws IOException {
    closed("one").take(0);
    scene.api.clearRequests();

    closed("one").release();
    closed("one").release();

    assertThat(annotation()).isEqualTo("{}");
    assertThat(scene.api.requests()).filteredOn(r -> r.method().equals("PATCH")).hasSize(1);
    assertThat(closed("two").take(0)).isEqualTo(TAKEN);
  }

  @Test
  void aReleaseWithoutALeaseMakesNone() throws IOException {
    closed("one").release();

    assertThat(scene.api.requests()).hasSize(1);
    assertThat(scene.api.list("leases")).isEmpty();
  }

  @Test
  void whatOthersWriteOnTheLeaseStays() throws IOException {
    scene.api.put(
        """
        kind: Lease
        metadata: {namespace: nodeward, name: nodeward-gate, annotations: {theirs: kept}}
        spec: {holderIdentity: somebody}
        """);

    closed("one").take(0);

    assertThat(lease().at("/spec/holderIdentity").asText()).isEqualTo("somebody");
    assertThat(lease().at("/metadata/annotations/theirs").asText()).isEqualTo("kept");
    assertThat(annotation()).isEqualTo("{\"one\":\"2026-11-21T08:00:00Z\"}");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "x",
        "[]",
        "null",
        "{\"two\":",
        "{\"two\":7}",
        "{\"two\":\"soon\"}",
        "{\"two\":null}"
      })
  void anAnnotationThatCannotBeReadHoldsNoPlace(String annotation) throws IOException {
    JsonNode lease =
        scene.api.put("{kind: Lease, metadata: {namespace: nodeward, name: nodeward-gate}}");
    scene.api.edit(
        "leases",
        "nodeward",
        lease.at("/metadata/name").asText(),
        o -> o.withObject("/metadata/annotations").put("nodeward.dev/closed", annotation));

    assertThat(closed("one").take(0)).isEqualTo(TAKEN);
    assertThat(annotation()).isEqualTo("{\"one\":\"2026-11-21T08:00:00Z\"}");
  }

  @Test
  void aWriteThatLosesIsDecidedAnew() throws IOException {
    closed("zero").take(0);
    closed("zero").release();
    var lost = new AtomicInteger();
    scene.api.answer(
        r -> r.method().equals("PATCH") && lost.getAndIncrement() < 3,
        409,
        "Conflict",
        "the object has been modified");

    assertThat(closed("one").take(0)).isEqualTo(TAKEN);
    assertThat(annotation()).isEqualTo("{\"one\":\"2026-11-21T08:00:00Z\"}");
    assertThat(lost).hasValue(4);
  }

  @Test
  void aLeaseThatSomebodyElseMakesFirstIsRead() throws IOException {
    var created = new AtomicInteger();
    scene.api.answer(
        r -> {
          if (r.method().equals("POST") && created.getAndIncrement() == 0) {
            scene.api.put(
                """
                kind: Lease
                metadata:
                  namespace: nodeward
                  name: nodeward-gate
                  annotations: {nodeward.dev/closed: '{"two":"2026-11-21T07:59:00Z"}'}
                """);
            return true;
          }
          return false;
        },
        409,
        "AlreadyExists",
        "leases.coordination.k8s.io \"nodeward-gate\" already exists");

    assertThat(closed("one").take(0)).isEqualTo(FULL);
  }

  @Test
  void aLeaseThatIsDeletedInBetweenIsMadeAgain() throws IOException {
    closed("zero").take(0);
    time.advance(Duration.ofHours(1));
    var patches = new AtomicInteger();
    scene.api.answer(
        r -> {
          if (r.method().equals("PATCH") && patches.getAndIncrement() == 0) {
            scene.api.delete("leases", "nodeward", "nodeward-gate");
            return true;
          }
          return false;
        },
        404,
        "NotFound",
        "leases.coordination.k8s.io \"nodeward-gate\" not found");

    assertThat(closed("one").take(0)).isEqualTo(TAKEN);
    assertThat(annotation()).isEqualTo("{\"one\":\"2026-11-21T09:00:00Z\"}");
  }

  @Test
  void aNodeThatLosesTenTimesGivesUp() throws IOException {
    closed("zero").take(0);
    closed("zero").release();
    scene.api.clearRequests();
    scene.api.answer(
        r -> r.method().equals("PATCH"), 409, "Conflict", "the object has been modified");

    assertThatThrownBy(() -> closed("one").take(0))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "patch lease nodeward/nodeward-gate of closed nodes: the object has been modified"
                + " (409)");
    assertThat(scene.api.requests()).hasSize(20);
  }

  @Test
  void nothingIsWrittenWhenNodesCannotBeCounted() throws IOException {
    closed("zero").take(0);
    scene.api.clearRequests();
    scene.api.answer(r -> r.path().equals("/api/v1/nodes"), 403, "Forbidden", "no nodes for you");

    assertThatThrownBy(() -> closed("one").take(1))
        .isInstanceOf(IOException.class)
        .hasMessage("count nodes: no nodes for you (403)");
    assertThat(scene.api.requests()).allMatch(r -> r.method().equals("GET"));
  }

  @Test
  void aRefusalIsAnErrorThatNamesTheLease() {
    scene.api.answer(r -> r.path().startsWith(LEASES), 403, "Forbidden", "leases are forbidden");

    assertThatThrownBy(() -> closed("one").take(1))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "read lease nodeward/nodeward-gate of closed nodes: leases are forbidden (403)");
    assertThatThrownBy(() -> closed("one").release()).isInstanceOf(IOException.class);
  }

  private KubeClosedNodes closed(String node) {
    return new KubeClosedNodes(scene.kube, node, time);
  }

  private JsonNode lease() {
    return scene.api.get("leases", "nodeward", "nodeward-gate").orElseThrow();
  }

  private String annotation() {
    return lease().at("/metadata/annotations").path("nodeward.dev/closed").asText();
  }
}
