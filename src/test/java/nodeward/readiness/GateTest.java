package nodeward.readiness;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nodeward.config.Config;
import nodeward.node.FakeNode;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Owner;
import nodeward.node.Pod;
import nodeward.node.Taint;
import nodeward.readiness.Gate.State;
import nodeward.readiness.Gate.Verdict;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GateTest {
  private static final Taint OURS = Taint.parse("readiness.k8s.io/nodeward=pending:NoSchedule");
  private static final Taint FOREIGN =
      new Taint("ebs.csi.aws.com/agent-not-ready", "", "NoExecute", "2026-11-21T07:59:00Z");
  private static final Instant BOOTED = Instant.parse("2026-11-21T08:00:00Z");
  private static final Instant NOW = BOOTED.plusSeconds(30);
  private static final Boot BOOT = new Boot("boot-1", BOOTED);

  private final Gate gate =
      new Gate(
          new Config.Gate(
              true,
              List.of(OURS),
              List.of(
                  new Config.Gate.Require("kube-system", "kube-proxy"),
                  new Config.Gate.Require("kube-system", "kube2iam"))),
          BOOT);
  private final Pod proxy = FakeNode.daemonPod("kube-system", "kube-proxy");
  private final Pod iam = FakeNode.daemonPod("kube-system", "kube2iam");
  private final List<Pod> allReady =
      List.of(FakeNode.ready(proxy, NOW.minusSeconds(5)), FakeNode.ready(iam, NOW.minusSeconds(1)));

  @Test
  void withoutANodeThereIsNothingToDo() {
    assertThat(gate.judge(Optional.empty(), allReady, Set.of(), NOW))
        .isEqualTo(new Verdict(new State.Unregistered(), Optional.empty()));
  }

  @Test
  void aRegisteredNodeStaysTaintedWhileSystemPodsAreMissing() {
    Verdict verdict = judge(node(OURS), List.of(proxy));

    assertThat(missing(verdict))
        .containsExactly(
            Map.entry("kube-system/kube-proxy", "not Ready"),
            Map.entry("kube-system/kube2iam", "no pod yet"));
    assertThat(verdict.change()).isEmpty();
  }

  @Test
  void theGateOpensWhenAllAreReadyAndLeavesForeignTaintsAsTheyAre() {
    Verdict verdict = judge(node(FOREIGN, OURS), allReady);

    assertThat(verdict.state()).isEqualTo(new State.Open(NOW));
    NodeChange change = verdict.change().orElseThrow();
    assertThat(change.taints()).containsExactly(FOREIGN);
    assertThat(change.annotations().get("nodeward.dev/gate"))
        .contains("\"nodeUID\":\"uid-node-1\"")
        .contains("\"bootID\":\"boot-1\"")
        .contains("\"keys\":[\"readiness.k8s.io/nodeward\"]");
  }

  @Test
  void anOpenGateStaysOpenInThisBootWhateverItsPodsDo() {
    NodeView open = opened(node(OURS));

    assertThat(judge(open, List.of()).state()).isInstanceOf(State.Open.class);
    assertThat(judge(open, List.of()).change()).isEmpty();
  }

  @Test
  void aTaintThatSomebodyPutsBackIsRemovedAgain() {
    NodeView open = applied(NodeChange.of(opened(node(OURS))).withTaint(OURS).withTaint(FOREIGN));

    assertThat(judge(open, List.of()).change().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void aTaintOfAnOlderConfigurationIsRemovedFromAnOpenNode() {
    Taint old = Taint.parse("old.example.com/gate:NoSchedule");
    var mark = new Mark("uid-node-1", provider(), "boot-1", NOW.toString(), List.of(old.key()));
    NodeView open =
        applied(NodeChange.of(node(old, FOREIGN)).withAnnotation(Mark.ANNOTATION, mark.json()));

    assertThat(judge(open, List.of()).change().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void aRebootClosesTheGateBeforeAnythingIsJudged() {
    NodeView open = opened(node(OURS));
    var reboot = new Boot("boot-2", NOW.plusSeconds(100));
    Instant later = NOW.plusSeconds(120);

    Verdict verdict =
        new Gate(config(), reboot).judge(Optional.of(open), allReady, Set.of(), later);

    assertThat(missing(verdict))
        .containsEntry("kube-system/kube-proxy", "not Ready since this boot");
    assertThat(verdict.change().orElseThrow().taints()).containsExactly(OURS);
  }

  @Test
  void staleReadyPodsOfTheLastBootDoNotOpenTheGate() {
    var stale =
        List.of(
            FakeNode.ready(proxy, BOOTED.minus(Gate.ROUNDING).minusMillis(1)),
            FakeNode.ready(iam, NOW));

    assertThat(missing(judge(node(OURS), stale)))
        .containsExactly(Map.entry("kube-system/kube-proxy", "not Ready since this boot"));
  }

  @Test
  void aPodThatWasSeenToRiseCountsWhateverTheClocksSay() {
    var early = List.of(FakeNode.ready(proxy, BOOTED.minusSeconds(300)), FakeNode.ready(iam, NOW));

    assertThat(gate.judge(Optional.of(node(OURS)), early, Set.of(proxy.uid()), NOW).state())
        .isInstanceOf(State.Open.class);
  }

  @Test
  void aReplacedInstanceUnderTheSameNameIsNotVerified() {
    NodeView open = opened(node(OURS));
    NodeView replaced =
        new NodeView(
            open.name(),
            open.uid(),
            open.resourceVersion(),
            "aws:///eu-west-1a/i-00000000000000000",
            open.bootId(),
            false,
            open.taints(),
            open.labels(),
            open.annotations(),
            List.of());

    assertThat(judge(replaced, List.of()).change().orElseThrow().taints()).containsExactly(OURS);
  }

  @Test
  void aFreshNodeWithoutTheTaintGetsIt() {
    Verdict verdict = judge(node(FOREIGN), List.of());

    assertThat(verdict.state()).isInstanceOf(State.Closed.class);
    assertThat(verdict.change().orElseThrow().taints()).containsExactly(FOREIGN, OURS);
  }

  @Test
  void aNodeFromBeforeTheAgentIsAdoptedAndNeverTainted() {
    Instant later = BOOTED.plus(Gate.ADOPT_AFTER).plusSeconds(1);

    Verdict waiting = gate.judge(Optional.of(node(FOREIGN)), List.of(proxy), Set.of(), later);
    assertThat(waiting.state()).isInstanceOf(State.Adopting.class);
    assertThat(waiting.change()).isEmpty();

    Verdict done = gate.judge(Optional.of(node(FOREIGN)), allReady, Set.of(), later);
    assertThat(done.state()).isEqualTo(new State.Open(later));
    assertThat(done.change().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void aTaintedNodeIsNotAdoptedHoweverLongItIsUp() {
    Instant later = BOOTED.plus(Duration.ofDays(3));

    assertThat(gate.judge(Optional.of(node(OURS)), List.of(), Set.of(), later).state())
        .isInstanceOf(State.Closed.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "{", "[]", "null", "{\"nodeUID\":\"uid-node-1\"}", "yes", "{\"since\":5}"})
  void aMalformedMarkCountsAsAbsent(String annotation) {
    NodeView node = applied(NodeChange.of(node(OURS)).withAnnotation(Mark.ANNOTATION, annotation));

    assertThat(judge(node, List.of()).state()).isInstanceOf(State.Closed.class);
    assertThat(Gate.malformedMark(node)).contains(annotation);
  }

  @Test
  void terminatingFinishedAndStrangersPodsDoNotCount() {
    Pod ready = FakeNode.ready(proxy, NOW);
    Pod replicaSets = FakeNode.ready(FakeNode.pod("kube-system", "kube-proxy", ""), NOW);
    var notControlled = new Owner("apps/v1", "DaemonSet", "kube-proxy", "u", false);
    Pod uncontrolled = owned(ready, notControlled);
    Pod otherNamespace = FakeNode.ready(FakeNode.daemonPod("default", "kube-proxy"), NOW);

    for (Pod pod :
        List.of(
            FakeNode.terminating(ready, NOW),
            FakeNode.inPhase(ready, Pod.Phase.FAILED),
            replicaSets,
            uncontrolled,
            otherNamespace)) {
      assertThat(missing(judge(node(OURS), List.of(pod, allReady.get(1)))))
          .as(pod.fullName())
          .containsExactly(Map.entry("kube-system/kube-proxy", "no pod yet"));
    }
  }

  @Test
  void oneReadyPodIsEnoughWhileAnotherComesUp() {
    Pod surging = owned(proxy, proxy.owners().getFirst());

    assertThat(judge(node(OURS), List.of(surging, allReady.get(0), allReady.get(1))).state())
        .isInstanceOf(State.Open.class);
  }

  @Test
  void severalKeysAreOneGate() {
    Taint second = Taint.parse("startup-taint.cluster-autoscaler.kubernetes.io/x:NoSchedule");
    var both = new Gate(new Config.Gate(true, List.of(OURS, second), config().require()), BOOT);

    assertThat(
            both.judge(Optional.of(node(OURS)), List.of(), Set.of(), NOW)
                .change()
                .orElseThrow()
                .taints())
        .containsExactly(OURS, second);
    assertThat(
            both.judge(Optional.of(node(second, OURS)), allReady, Set.of(), NOW)
                .change()
                .orElseThrow()
                .taints())
        .isEmpty();
  }

  private Config.Gate config() {
    return new Config.Gate(
        true,
        List.of(OURS),
        List.of(
            new Config.Gate.Require("kube-system", "kube-proxy"),
            new Config.Gate.Require("kube-system", "kube2iam")));
  }

  private Verdict judge(NodeView node, List<Pod> pods) {
    return gate.judge(Optional.of(node), pods, Set.of(), NOW);
  }

  private static Map<String, String> missing(Verdict verdict) {
    return verdict.state() instanceof State.Closed(var missing) ? missing : Map.of();
  }

  private static NodeView node(Taint... taints) {
    return new FakeNode("node-1").register(taints).current().orElseThrow();
  }

  private static String provider() {
    return node().providerId();
  }

  private NodeView opened(NodeView node) {
    return applied(judge(node, allReady).change().orElseThrow());
  }

  private static NodeView applied(NodeChange change) {
    NodeView n = change.seen();
    return new NodeView(
        n.name(),
        n.uid(),
        n.resourceVersion() + "0",
        n.providerId(),
        n.bootId(),
        change.unschedulable(),
        change.taints(),
        change.labels(),
        change.annotations(),
        n.conditions());
  }

  private static Pod owned(Pod p, Owner owner) {
    return new Pod(
        p.namespace(),
        p.name() + "2",
        p.uid() + "2",
        p.nodeName(),
        p.phase(),
        p.addresses(),
        p.hostNetwork(),
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        List.of(owner),
        p.labels(),
        p.annotations());
  }
}
