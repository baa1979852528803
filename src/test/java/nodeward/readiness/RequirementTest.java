package nodeward.readiness;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import nodeward.config.Config.Gate.IfMissing;
import nodeward.node.DaemonSetView;
import nodeward.node.FakeNode;
import nodeward.node.NodeView;
import nodeward.node.Owner;
import nodeward.node.Placement;
import nodeward.node.Placement.Affinity;
import nodeward.node.Pod;
import nodeward.node.Taint;
import nodeward.readiness.Requirement.Finding;
import nodeward.readiness.Requirement.Known;
import nodeward.readiness.Requirement.Seen;
import org.junit.jupiter.api.Test;

class RequirementTest {
  private static final Instant BOOTED = Instant.parse("2026-11-21T08:00:00Z");
  private static final Boot BOOT = new Boot("boot-1", BOOTED, Duration.ofSeconds(30));
  private static final Known FOUND = new Known.Found(List.of(TestGate.everywhere("kube-proxy")));
  private static final Seen NOTHING = new Seen(Set.of(), Map.of());

  private final NodeView node = new FakeNode("node-1").register().current().orElseThrow();
  private final Requirement requirement =
      new Requirement(TestGate.require("kube-proxy"), BOOT, Set.of("gate"));
  private final Pod proxy = FakeNode.daemonPod("kube-system", "kube-proxy");
  private final Pod ready = FakeNode.ready(proxy, BOOTED.plusSeconds(10));

  @Test
  void aReadyPodOfThisBootIsFine() {
    assertThat(judge(FOUND, List.of(ready))).isEqualTo(new Finding.Fine());
  }

  @Test
  void noPodYetIsNotReady() {
    assertThat(judge(FOUND, List.of())).isEqualTo(new Finding.Held("no pod yet"));
    assertThat(judge(FOUND, List.of(proxy))).isEqualTo(new Finding.Held("not Ready"));
  }

  @Test
  void staleReadyPodsOfTheLastBootDoNotOpenTheGate() {
    Pod stale = FakeNode.ready(proxy, BOOTED.minusMillis(1001));

    assertThat(judge(FOUND, List.of(stale)))
        .isEqualTo(new Finding.Held("not Ready since this boot"));
  }

  @Test
  void aPodThatWasSeenToRiseCountsWhateverTheClocksSay() {
    Pod early = FakeNode.ready(proxy, BOOTED.minusSeconds(300));
    var seen = new Seen(Set.of(proxy.uid()), Map.of());

    assertThat(requirement.judge(FOUND, node, List.of(early), seen)).isEqualTo(new Finding.Fine());
  }

  @Test
  void minReadySecondsAreCountedByTheAgentsOwnClock() {
    var patient =
        new Requirement(TestGate.require("kube-proxy", 5, IfMissing.WAIT), BOOT, Set.of());

    assertThat(
            patient.judge(
                FOUND,
                node,
                List.of(ready),
                new Seen(Set.of(), Map.of(proxy.uid(), Duration.ofMillis(4999)))))
        .isEqualTo(new Finding.Settling("Ready, but not for 5 s yet"));
    assertThat(
            patient.judge(
                FOUND,
                node,
                List.of(ready),
                new Seen(Set.of(), Map.of(proxy.uid(), Duration.ofSeconds(5)))))
        .isEqualTo(new Finding.Fine());
  }

  @Test
  void terminatingFinishedAndStrangersPodsDoNotCount() {
    Pod replicaSets = FakeNode.ready(FakeNode.pod("kube-system", "kube-proxy", ""), BOOTED);
    Pod uncontrolled =
        owned(new Owner("apps/v1", "DaemonSet", "kube-proxy", "ds-kube-proxy", false));
    Pod ofADeletedDaemonSet =
        owned(new Owner("apps/v1", "DaemonSet", "kube-proxy", "ds-of-before", true));
    Pod ofAnotherKind =
        owned(new Owner("apps/v1", "ReplicaSet", "kube-proxy", "ds-kube-proxy", true));
    Pod otherNamespace =
        FakeNode.ready(FakeNode.daemonPod("default", "kube-proxy"), BOOTED.plusSeconds(1));

    for (Pod pod :
        List.of(
            FakeNode.terminating(ready, BOOTED),
            FakeNode.inPhase(ready, Pod.Phase.FAILED),
            replicaSets,
            uncontrolled,
            ofADeletedDaemonSet,
            ofAnotherKind,
            otherNamespace)) {
      assertThat(judge(FOUND, List.of(pod)))
          .as(pod.toString())
          .isEqualTo(new Finding.Held("no pod yet"));
    }
  }

  @Test
  void oneReadyPodIsEnoughWhileAnotherComesUp() {
    Pod comingUp = FakeNode.owned(proxy, "uid-2", proxy.owners().getFirst());

    assertThat(judge(FOUND, List.of(comingUp, ready))).isEqualTo(new Finding.Fine());
  }

  @Test
  void aDaemonSetThatTheClusterLacksIsWaitedForUnlessToldOtherwise() {
    assertThat(judge(new Known.None(), List.of()))
        .isEqualTo(new Finding.Held("no such DaemonSet in the cluster"));
    var lenient =
        new Requirement(TestGate.require("kube-proxy", 0, IfMissing.SKIP), BOOT, Set.of());
    assertThat(lenient.judge(new Known.None(), node, List.of(), NOTHING))
        .isEqualTo(new Finding.Skipped("not in the cluster"));
  }

  @Test
  void aDaemonSetThatCouldNotBeReadKeepsTheGateShut() {
    assertThat(judge(new Known.Unread("DaemonSet not read: 403"), List.of(ready)))
        .isEqualTo(new Finding.Held("DaemonSet not read: 403"));
  }

  @Test
  void aDaemonSetThatDoesNotSelectThisNodeIsSkippedWithTheReason() {
    var elsewhere =
        new DaemonSetView(
            "kube-system",
            "kube-proxy",
            "u",
            new Placement("", Map.of("gpu", "true"), Affinity.NONE, List.of(), List.of(), false));

    assertThat(judge(new Known.Found(List.of(elsewhere)), List.of()))
        .isInstanceOfSatisfying(
            Finding.Skipped.class, s -> assertThat(s.why()).contains("gpu=true"));
  }

  /** As the DaemonSet controller has it: NoSchedule keeps new pods away, and leaves those here. */
  @Test
  void aPodThatWasHereBeforeATaintItDoesNotTolerateStillCounts() {
    var meek =
        new Known.Found(
            List.of(
                new DaemonSetView(
                    "kube-system",
                    "kube-proxy",
                    "ds-kube-proxy",
                    new Placement("", Map.of(), Affinity.NONE, List.of(), List.of(), true))));
    NodeView dedicated =
        new FakeNode("node-1").register(Taint.parse("team=a:NoSchedule")).current().orElseThrow();

    assertThat(requirement.judge(meek, dedicated, List.of(), NOTHING))
        .isEqualTo(
            new Finding.Skipped("not for this node: it does not tolerate taint team=a:NoSchedule"));
    assertThat(requirement.judge(meek, dedicated, List.of(proxy), NOTHING))
        .isEqualTo(new Finding.Held("not Ready"));
    assertThat(requirement.judge(meek, dedicated, List.of(ready), NOTHING))
        .isEqualTo(new Finding.Fine());
  }

  @Test
  void aTaintOfAnOlderConfigurationIsOurOwnToo() {
    var meek =
        new Known.Found(
            List.of(
                new DaemonSetView(
                    "kube-system",
                    "kube-proxy",
                    "ds-kube-proxy",
                    new Placement("", Map.of(), Affinity.NONE, List.of(), List.of(), true))));
    var own = new FakeNode("node-1").register(Taint.parse("old/gate:NoSchedule"));
    var mark =
        new Mark("uid-node-1", "p", "boot-0", "", "2026-11-21T07:00:00Z", List.of("old/gate"));
    own.edit(c -> c.withAnnotation(Mark.ANNOTATION, mark.json()));

    assertThat(requirement.judge(meek, own.current().orElseThrow(), List.of(), NOTHING))
        .isEqualTo(new Finding.Held("no pod yet"));
  }

  @Test
  void ofSeveralDaemonSetsTheWorstCounts() {
    var both =
        new Known.Found(
            List.of(TestGate.everywhere("kube-proxy"), TestGate.everywhere("kube-dns")));

    assertThat(judge(both, List.of(ready))).isEqualTo(new Finding.Held("no pod yet"));
    Pod dns = FakeNode.ready(FakeNode.daemonPod("kube-system", "kube-dns"), BOOTED.plusSeconds(3));
    assertThat(judge(both, List.of(ready, dns))).isEqualTo(new Finding.Fine());
  }

  private Finding judge(Known known, List<Pod> pods) {
    return requirement.judge(known, node, pods, NOTHING);
  }

  private Pod owned(Owner owner) {
    return FakeNode.owned(ready, "uid-2", owner);
  }
}
