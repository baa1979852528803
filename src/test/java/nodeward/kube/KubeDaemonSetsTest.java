package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.node.DaemonSetView;
import nodeward.node.Placement;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KubeDaemonSetsTest {
  @TempDir Path directory;
  private Scene scene;
  private KubeDaemonSets daemonSets;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory);
    daemonSets = new KubeDaemonSets(scene.kube, 2);
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "null",
        "{}",
        "{template: null}",
        "{template: {spec: null}}",
        "{template: {spec: {nodeSelector: null, tolerations: null, affinity: null}}}",
        "{template: {spec: {affinity: {nodeAffinity: {}}}}}",
        "{template: {spec: {affinity: {nodeAffinity:"
            + " {preferredDuringSchedulingIgnoredDuringExecution: []}}}}}",
      })
  void fieldsThatAreMissingAreEmpty(String spec) throws IOException {
    scene.api.put(
        "{kind: DaemonSet, metadata: {namespace: kube-system, name: a}, spec: %s}".formatted(spec));

    assertThat(daemonSets.read("kube-system", "a"))
        .map(DaemonSetView::placement)
        .contains(
            new Placement("", Map.of(), Placement.Affinity.NONE, List.of(), List.of(), false));
  }

  @Test
  void aRequiredAffinityWithoutTermsIsKnownFromNone() throws IOException {
    scene.api.put(
        """
        kind: DaemonSet
        metadata: {namespace: kube-system, name: a}
        spec: {template: {spec: {affinity: {nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {}}}}}}
        """);
    scene.api.put(
        """
        kind: DaemonSet
        metadata: {namespace: kube-system, name: b}
        spec: {template: {spec: {affinity: {nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{}, {matchExpressions: [{}]}]}}}, tolerations: [{}]}}}
        """);

    var a = daemonSets.read("kube-system", "a").orElseThrow().placement();
    var b = daemonSets.read("kube-system", "b").orElseThrow().placement();

    assertThat(a.affinity()).isEqualTo(Placement.Affinity.REQUIRED);
    assertThat(a.terms()).isEmpty();
    assertThat(b.terms())
        .containsExactly(
            new Placement.Term(List.of(), List.of()),
            new Placement.Term(List.of(new Placement.Expression("", "", List.of())), List.of()));
    assertThat(b.tolerations()).containsExactly(new Placement.Toleration("", "Equal", "", ""));
  }

  @Test
  void aReadIsAnsweredFromTheCache() throws IOException {
    daemonSets.read("kube-system", "a/b");

    assertThat(scene.api.requests())
        .singleElement()
        .satisfies(r -> assertThat(r.query()).containsEntry("resourceVersion", "0"))
        .satisfies(r -> assertThat(r.path()).endsWith("/daemonsets/a%2Fb"));
  }

  @Test
  void aListThatExpiresBetweenPagesIsReadAllOver() throws IOException {
    for (int i = 0; i < 5; i++) {
      scene.api.put(
          "{kind: DaemonSet, metadata: {namespace: kube-system, name: d-%d, labels: {app: d}}}"
              .formatted(i));
    }
    var pages = new AtomicInteger();
    scene.api.answer(
        r -> r.query().containsKey("continue") && pages.incrementAndGet() == 2,
        410,
        "Expired",
        "The provided continue parameter is too old");

    assertThat(daemonSets.select("kube-system", "app=d"))
        .extracting(DaemonSetView::name)
        .containsExactly("d-0", "d-1", "d-2", "d-3", "d-4");
    assertThat(scene.api.requests()).hasSize(6);
  }

  @Test
  void aRefusalIsAnErrorThatNamesTheDaemonSet() {
    scene.api.answer(r -> true, 403, "Forbidden", "daemonsets.apps is forbidden");

    assertThatThrownBy(() -> daemonSets.read("kube-system", "a"))
        .isInstanceOf(IOException.class)
        .hasMessage("read daemonset kube-system/a: daemonsets.apps is forbidden (403)");
    assertThatThrownBy(() -> daemonSets.select("kube-system", "app=d"))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "list daemonsets of namespace kube-system with app=d:"
                + " daemonsets.apps is forbidden (403)");
  }
}
