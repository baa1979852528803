package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.node.Attachments;
import nodeward.node.Budget;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Budgets and attachments, which a drain reads beside pods. */
class KubeBudgetsTest {
  @TempDir Path directory;
  private Scene scene;
  private KubeBudgets budgets;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory);
    budgets = scene.open(new KubeBudgets(scene.kube));
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void aBudgetIsReadWithItsSelectorAndStatus() throws IOException {
    put("default", "web", 1);
    scene.putPod("web", Scene.NODE);
    scene.putPod("db", Scene.NODE);

    Budget budget = budgets.read("default").getFirst();

    assertThat(budget.name()).isEqualTo("web");
    assertThat(budget.desiredHealthy()).isEqualTo(2);
    assertThat(budget.currentHealthy()).isEqualTo(3);
    assertThat(budget.disruptionsAllowed()).isEqualTo(1);
    assertThat(budget.settled()).isTrue();
    assertThat(scene.pods.read().stream().filter(budget::selects).map(Pod::name))
        .containsExactly("web");
  }

  @Test
  void onlyTheNamespacesAskedForAreWatchedAndOnlyAsLong() {
    scene.api.put("{kind: Namespace, metadata: {name: other}}");
    put("default", "web", 0);
    put("other", "db", 0);
    var changes = new AtomicInteger();
    budgets.onChange(changes::incrementAndGet);

    budgets.watch(Set.of("default"));
    Await.until("it is seen", () -> budgets.current("default").isPresent());
    assertThat(budgets.current("default").get()).extracting(Budget::name).containsExactly("web");
    assertThat(budgets.current("other")).isEmpty();
    int before = changes.get();
    put("default", "web", 1);
    Await.until(
        "the change is seen",
        () ->
            budgets.current("default").map(List::getFirst).map(Budget::disruptionsAllowed).get()
                == 1);
    Await.until("it is told", () -> changes.get() > before);

    budgets.watch(Set.of("default", "other"));
    Await.until("the other too", () -> budgets.current("other").isPresent());
    assertThat(scene.api.watches()).isEqualTo(2);

    budgets.watch(Set.of());
    Await.until("no watch is left", () -> scene.api.watches() == 0);
    assertThat(budgets.current("default")).isEmpty();
  }

  @Test
  void anApiServerThatComesBackIsWatchedAgain() throws IOException {
    put("default", "web", 0);
    budgets.watch(Set.of("default"));
    Await.until("it is seen", () -> budgets.current("default").isPresent());

    scene.api.stop();
    Await.until("it is lost", () -> budgets.current("default").isEmpty());
    put("default", "web", 1);
    scene.api.restart();

    Await.until(
        "it is seen again",
        () ->
            budgets
                .current("default")
                .filter(all -> all.getFirst().disruptionsAllowed() == 1)
                .isPresent());
  }

  @Test
  void noGaugeTellsOfTheNamespacesThatAreWatched() {
    put("default", "web", 0);
    budgets.watch(Set.of("default"));
    Await.until("it is seen", () -> budgets.current("default").isPresent());

    assertThat(scene.metric("nodeward_kube_watching", "resource", "default/poddisruptionbudgets"))
        .isEqualTo(-1);
  }

  @Test
  void attachmentsOfThisNodeAreFoundByTheClaimOfTheirVolume() throws IOException {
    volume("csi-1", "pv-1", Scene.NODE, "data");
    volume("csi-2", "pv-2", "another", "data-2");
    volume("csi-3", "pv-3", Scene.NODE, "shared");
    Attachments attachments = new KubeAttachments(scene.kube, Scene.NODE);

    assertThat(attachments.of(Set.of("default/data", "default/data-2", "default/none")))
        .containsExactly("csi-1");
    assertThat(attachments.isThere("csi-1")).isTrue();
    scene.api.delete("volumeattachments", "", "csi-1");
    assertThat(attachments.isThere("csi-1")).isFalse();
  }

  @Test
  void aPodTellsItsClaimsAndThePathsOfTheNodeThatItMounts() throws IOException {
    scene.api.put(
        """
        kind: Pod
        metadata: {namespace: default, name: db-0}
        spec:
          nodeName: node-1
          volumes:
          - {name: data, persistentVolumeClaim: {claimName: data-db-0}}
          - {name: cache, ephemeral: {volumeClaimTemplate: {}}}
          - {name: cni, hostPath: {path: /opt/cni/bin}}
          - {name: odd}
        """);

    assertThat(scene.pods.read().getFirst().volumes())
        .isEqualTo(new Pod.Volumes(List.of("data-db-0", "db-0-cache"), List.of("/opt/cni/bin")));
  }

  private void put(String namespace, String name, int allowed) {
    scene.api.put(
        """
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {namespace: %s, name: %s, generation: 1}
        spec: {minAvailable: 2, selector: {matchLabels: {app: %2$s}}}
        status: {observedGeneration: 1, desiredHealthy: 2, currentHealthy: 3, disruptionsAllowed: %d}
        """
            .formatted(namespace, name, allowed));
  }

  private void volume(String attachment, String volume, String node, String claim) {
    scene.api.put(
        """
        kind: PersistentVolume
        metadata: {name: %2$s}
        spec: {claimRef: {namespace: default, name: %4$s}}
        ---
        kind: VolumeAttachment
        metadata: {name: %1$s}
        spec: {nodeName: %3$s, source: {persistentVolumeName: %2$s}}
        """
            .formatted(attachment, volume, node, claim));
  }
}
