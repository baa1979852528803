package nodeward.drain;

import static nodeward.drain.DrainOptions.Flag.DELETE_EMPTY_DIR_DATA;
import static nodeward.drain.DrainOptions.Flag.FORCE;
import static nodeward.drain.DrainOptions.Flag.IGNORE_DAEMON_SETS;
import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import nodeward.drain.DrainOptions.Flag;
import nodeward.drain.DrainPlan.Verdict;
import nodeward.drain.DrainPlan.Why;
import nodeward.node.FakeNode;
import nodeward.node.Owner;
import nodeward.node.Pod;
import nodeward.node.Pod.Phase;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

final class DrainPlanTest {
  private static final String NAKED =
      "cannot delete Pods that declare no controller (use --force to override): default/bar";
  private static final String DAEMON =
      "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): default/bar";
  private static final String LOCAL =
      "cannot delete Pods with local storage (use --delete-emptydir-data to override): default/bar";
  private static final String NAKED_WARNING =
      "deleting Pods that declare no controller: default/bar";
  private static final String LOCAL_WARNING = "deleting Pods with local storage: default/bar";
  private static final String DAEMON_WARNING = "ignoring DaemonSet-managed Pods: default/bar";

  /** A pod default/bar. */
  private record Bar(Phase phase, boolean emptyDir, Optional<Owner> owner) {
    static Bar of(String kind) {
      return new Bar(Phase.RUNNING, false, Optional.of(DrainPlanTest.owner("apps/v1", kind)));
    }

    static Bar naked() {
      return new Bar(Phase.RUNNING, false, Optional.empty());
    }

    Bar in(Phase other) {
      return new Bar(other, emptyDir, owner);
    }

    Bar withEmptyDir() {
      return new Bar(phase, true, owner);
    }

    Pod pod() {
      return DrainPlanTest.pod("default", "bar", phase, emptyDir, 0, owner.stream().toList());
    }
  }

  static Stream<Arguments> kubectlsTable() {
    return Stream.of(
        row("D1 RC-managed pod", Bar.of("ReplicationController"), flags()).evicted(),
        row("D2 DS-managed pod", Bar.of("DaemonSet"), flags()).fatal(DAEMON),
        row("D3 DS-managed terminated pod", Bar.of("DaemonSet").in(Phase.SUCCEEDED), flags())
            .evicted(),
        row("D4 orphaned DS-managed pod", Bar.naked(), flags()).fatal(NAKED),
        row("D5 orphaned DS-managed pod with --force", Bar.naked(), flags(FORCE))
            .evicted(NAKED_WARNING),
        row("D6 DS-managed pod, ignored", Bar.of("DaemonSet"), flags(IGNORE_DAEMON_SETS))
            .left(DAEMON_WARNING),
        row(
                "D7 DS-managed pod with emptyDir, ignored",
                Bar.of("DaemonSet").withEmptyDir(),
                flags(IGNORE_DAEMON_SETS))
            .left(DAEMON_WARNING),
        row(
                "D8 Job-managed pod with emptyDir",
                Bar.of("Job").withEmptyDir(),
                flags(FORCE, DELETE_EMPTY_DIR_DATA))
            .evicted(LOCAL_WARNING),
        row(
                "D9 Job-managed terminated pod with emptyDir",
                Bar.of("Job").withEmptyDir().in(Phase.SUCCEEDED),
                flags())
            .evicted(),
        row("D10 RS-managed pod", Bar.of("ReplicaSet"), flags()).evicted(),
        row("D11 naked pod", Bar.naked(), flags()).fatal(NAKED),
        row("D12 naked pod with --force", Bar.naked(), flags(FORCE)).evicted(NAKED_WARNING),
        row("D13 naked pod with emptyDir and --force", Bar.naked().withEmptyDir(), flags(FORCE))
            .fatal(LOCAL),
        row(
                "D14 terminated pod with emptyDir",
                Bar.naked().withEmptyDir().in(Phase.FAILED),
                flags())
            .evicted(),
        row(
                "D15 emptyDir with --force --delete-emptydir-data",
                Bar.naked().withEmptyDir(),
                flags(FORCE, DELETE_EMPTY_DIR_DATA))
            .evicted(LOCAL_WARNING, NAKED_WARNING),
        row(
                "DaemonSet of extensions/v1beta1 is a controller like any other",
                new Bar(
                    Phase.RUNNING, false, Optional.of(owner("extensions/v1beta1", "DaemonSet"))),
                flags())
            .evicted(),
        row(
                "an owner that does not control is none",
                new Bar(
                    Phase.RUNNING,
                    false,
                    Optional.of(new Owner("apps/v1", "ReplicaSet", "rs", "uid", false))),
                flags())
            .fatal(NAKED));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("kubectlsTable")
  void judgesAsKubectl(
      String name,
      Pod pod,
      DrainOptions options,
      int evicted,
      List<String> errors,
      List<String> warnings) {
    DrainPlan plan = DrainPlan.of(List.of(pod), options);

    assertThat(plan.toEvict()).hasSize(evicted);
    assertThat(plan.errors()).isEqualTo(errors);
    assertThat(plan.warnings()).isEqualTo(warnings);
  }

  @Test
  void d16AnEmptyNodeNeedsNothing() {
    assertThat(DrainPlan.of(List.of(), flags()).entries()).isEmpty();
  }

  @Test
  void mirrorPodsAreLeftWithoutAWord() {
    Pod mirror =
        FakeNode.annotated(Bar.naked().withEmptyDir().pod(), "kubernetes.io/config.mirror", "abc");

    DrainPlan plan = DrainPlan.of(List.of(mirror), flags());

    assertThat(verdict(plan)).isEqualTo(new Verdict.Leave(Why.MIRROR));
    assertThat(plan.errors()).isEmpty();
    assertThat(plan.warnings()).isEmpty();
  }

  @Test
  void terminatingPodsAreWaitedForAndNotEvictedAgain() {
    Pod pod = FakeNode.terminating(Bar.of("ReplicaSet").pod(), Instant.EPOCH);

    assertThat(verdict(DrainPlan.of(List.of(pod), flags()))).isEqualTo(new Verdict.Await());
  }

  @Test
  void aTerminatingNakedPodIsAsFatalAsForKubectl() {
    Pod pod = FakeNode.terminating(Bar.naked().pod(), Instant.EPOCH);

    assertThat(DrainPlan.of(List.of(pod), flags()).errors()).containsExactly(NAKED);
  }

  @Test
  void theDaemonEvictsAllButDaemonSetsMirrorsFinishedAndItself() {
    Pod naked = Bar.naked().withEmptyDir().pod();
    Pod finished = pod("a", "finished", Phase.SUCCEEDED, false, 0, List.of());
    Pod own = pod("a", "own", Phase.RUNNING, false, 0, List.of());
    Pod daemon = FakeNode.daemonPod("kube-system", "kube-proxy");

    DrainPlan plan =
        DrainPlan.of(List.of(naked, finished, own, daemon), DrainOptions.ofDaemon("a/own"));

    assertThat(plan.toEvict()).containsExactly(naked);
    assertThat(plan.errors()).isEmpty();
    assertThat(plan.entries())
        .extracting(DrainPlan.Entry::verdict)
        .contains(
            new Verdict.Leave(Why.FINISHED),
            new Verdict.Leave(Why.OWN),
            new Verdict.Leave(Why.DAEMON_SET));
  }

  @Test
  void criticalPodsComeLast() {
    Pod critical = pod("a", "critical", Phase.RUNNING, false, 2_000_000_000, List.of());
    Pod ordinary = pod("b", "ordinary", Phase.RUNNING, false, 1_000_000, List.of());

    assertThat(DrainPlan.of(List.of(critical, ordinary), flags(FORCE)).toEvict())
        .containsExactly(ordinary, critical);
  }

  @Test
  void everyReasonIsOneTextThatNamesItsPodsInOrder() {
    Pod one = pod("b", "one", Phase.RUNNING, false, 0, List.of());
    Pod two = pod("a", "two", Phase.RUNNING, false, 0, List.of());
    Pod daemon = FakeNode.daemonPod("kube-system", "kube-proxy");

    assertThat(DrainPlan.of(List.of(one, daemon, two), flags()).errors())
        .containsExactlyInAnyOrder(
            "cannot delete Pods that declare no controller (use --force to override): a/two, b/one",
            "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore):"
                + " kube-system/kube-proxy-x7x7x");
  }

  private static Verdict verdict(DrainPlan plan) {
    return plan.entries().getFirst().verdict();
  }

  private static Owner owner(String apiVersion, String kind) {
    return new Owner(apiVersion, kind, "owner", "uid-owner", true);
  }

  private static DrainOptions flags(Flag... flags) {
    return DrainOptions.ofKubectl(flags);
  }

  private static Row row(String name, Bar bar, DrainOptions options) {
    return new Row(name, bar.pod(), options);
  }

  private record Row(String name, Pod pod, DrainOptions options) {
    Arguments evicted(String... warnings) {
      return Arguments.of(name, pod, options, 1, List.of(), List.of(warnings));
    }

    Arguments left(String... warnings) {
      return Arguments.of(name, pod, options, 0, List.of(), List.of(warnings));
    }

    Arguments fatal(String error) {
      return Arguments.of(name, pod, options, 0, List.of(error), List.of());
    }
  }

  private static Pod pod(
      String namespace,
      String name,
      Phase phase,
      boolean emptyDir,
      int priority,
      List<Owner> owners) {
    return new Pod(
        namespace,
        name,
        "uid-" + namespace + "-" + name,
        "node-1",
        phase,
        List.of(),
        false,
        Pod.NEVER,
        Pod.NEVER,
        Duration.ofSeconds(30),
        priority,
        emptyDir,
        "default",
        owners,
        Map.of(),
        Map.of());
  }
}
