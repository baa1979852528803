package nodeward.readiness;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nodeward.node.FakeNode;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Taint;
import nodeward.readiness.Gate.Cause;
import nodeward.readiness.Gate.State;
import nodeward.readiness.Gate.Verdict;
import nodeward.readiness.Requirement.Finding;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GateTest {
  private static final Taint OURS = Taint.parse("readiness.k8s.io/nodeward=pending:NoSchedule");
  private static final Taint FOREIGN =
      new Taint("ebs.csi.aws.com/agent-not-ready", "", "NoExecute", "2026-11-21T07:59:00Z");
  private static final Instant NOW = Instant.parse("2026-11-21T08:00:30Z");
  private static final Duration UP = Duration.ofSeconds(30);
  private static final Boot BOOT = new Boot("boot-1", NOW.minus(UP), UP);
  private static final String INSTANCE = "i-0123456789abcdef0";

  private final Gate gate = new Gate(TestGate.config(OURS), BOOT);

  @Test
  void aRegisteredNodeStaysTaintedWhileSystemPodsAreMissing() {
    Verdict verdict = judge(node(OURS), held("kube-proxy", "no pod yet"));

    assertThat(verdict.state())
        .isEqualTo(new State.Closed(new LinkedHashMap<>(Map.of("kube-proxy", "no pod yet"))));
    assertThat(verdict.change()).isEmpty();
  }

  @Test
  void theGateOpensWhenAllAreFineAndLeavesForeignTaintsAsTheyAre() {
    Verdict verdict = judge(node(FOREIGN, OURS), fine());

    assertThat(verdict.cause()).isEqualTo(Cause.OPENED);
    NodeChange change = verdict.change().orElseThrow();
    assertThat(change.taints()).containsExactly(FOREIGN);
    assertThat(change.annotations().get("nodeward.dev/gate"))
        .isEqualTo(
            "{\"nodeUID\":\"uid-node-1\",\"providerID\":\"aws:///eu-west-1a/i-0123456789abcdef0\","
                + "\"bootID\":\"boot-1\",\"instanceID\":\"i-0123456789abcdef0\","
                + "\"since\":\"2026-11-21T08:00:30Z\",\"keys\":[\"readiness.k8s.io/nodeward\"]}");
  }

  @Test
  void aDaemonSetThatHasNoPlaceHereIsNotWaitedFor() {
    assertThat(judge(node(OURS), findings("gpu", new Finding.Skipped("not for this node"))).state())
        .isInstanceOf(State.Open.class);
  }

  @Test
  void aPodThatSettlesKeepsTheGateShut() {
    Verdict verdict =
        judge(node(OURS), findings("kube-proxy", new Finding.Settling("probe refused")));

    assertThat(verdict.state()).isInstanceOf(State.Settling.class);
    assertThat(verdict.change()).isEmpty();
  }

  @Test
  void anOpenGateStaysOpenInThisBootWhateverItsPodsDo() {
    Verdict verdict = judge(opened(node(OURS)), held("kube-proxy", "not Ready"));

    assertThat(verdict.change()).isEmpty();
    assertThat(verdict.state())
        .isEqualTo(new State.Open(NOW, new LinkedHashMap<>(Map.of("kube-proxy", "not Ready"))));
  }

  @Test
  void aTaintThatSomebodyPutsBackIsRemovedAgain() {
    NodeView open = applied(NodeChange.of(opened(node(OURS))).withTaint(OURS).withTaint(FOREIGN));

    Verdict verdict = judge(open, fine());

    assertThat(verdict.cause()).isEqualTo(Cause.TAINT_RETURNED);
    assertThat(verdict.change().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void aTaintOfAnOlderConfigurationIsRemovedFromAnOpenNode() {
    Taint old = Taint.parse("old.example.com/gate:NoSchedule");
    var mark =
        new Mark(
            "uid-node-1", node().providerId(), "boot-1", "", NOW.toString(), List.of(old.key()));
    NodeView open =
        applied(NodeChange.of(node(old, FOREIGN)).withAnnotation(Mark.ANNOTATION, mark.json()));

    assertThat(judge(open, fine()).change().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void aRebootClosesTheGateBeforeAnythingIsJudged() {
    NodeView open = opened(node(OURS));
    var rebooted = new Gate(TestGate.config(OURS), new Boot("boot-2", NOW, Duration.ZERO));

    Verdict verdict =
        rebooted.judge(open, held("kube-proxy", "not Ready since this boot"), INSTANCE, UP, NOW);

    assertThat(verdict.cause()).isEqualTo(Cause.TAINT_MISSING);
    assertThat(verdict.change().orElseThrow().taints()).containsExactly(OURS);
  }

  @Test
  void aReplacedInstanceUnderTheSameNameIsNotVerified() {
    NodeView open = opened(node(OURS));

    assertThat(gate.isOpen(open, INSTANCE)).isTrue();
    assertThat(gate.isOpen(open, "")).as("instance metadata is silent").isTrue();
    assertThat(gate.isOpen(open, "i-00000000000000000")).isFalse();
    assertThat(gate.isOpen(provided(open, "aws:///eu-west-1a/i-00000000000000000"), "")).isFalse();
  }

  @Test
  void aReCreatedNodeIsNotVerified() {
    NodeView open = opened(node(OURS));
    NodeView again =
        new NodeView(
            open.name(),
            "uid-2",
            "9",
            open.providerId(),
            open.bootId(),
            false,
            List.of(),
            open.labels(),
            open.annotations(),
            List.of());

    assertThat(judge(again, held("kube-proxy", "no pod yet")).cause())
        .isEqualTo(Cause.TAINT_MISSING);
  }

  @Test
  void aFreshNodeWithoutTheTaintGetsIt() {
    Verdict verdict = judge(node(FOREIGN), held("kube-proxy", "no pod yet"));

    assertThat(verdict.cause()).isEqualTo(Cause.TAINT_MISSING);
    assertThat(verdict.change().orElseThrow().taints()).containsExactly(FOREIGN, OURS);
  }

  @Test
  void theAgentItselfNeverAddsNoExecute() {
    var harsh = new Gate(TestGate.config(Taint.parse("a/b=c:NoExecute")), BOOT);

    Verdict verdict = harsh.judge(node(), held("kube-proxy", "no pod yet"), INSTANCE, UP, NOW);

    assertThat(verdict.change().orElseThrow().taints())
        .containsExactly(Taint.parse("a/b=c:NoSchedule"));
  }

  @Test
  void aNodeFromBeforeTheAgentIsAdoptedAndNeverTainted() {
    Duration ages = Gate.ADOPT_AFTER.plusSeconds(1);

    Verdict waiting =
        gate.judge(node(FOREIGN), held("kube-proxy", "not Ready"), INSTANCE, ages, NOW);
    assertThat(waiting.state()).isInstanceOf(State.Adopting.class);
    assertThat(waiting.change()).isEmpty();

    Verdict done = gate.judge(node(FOREIGN), fine(), INSTANCE, ages, NOW);
    assertThat(done.state()).isInstanceOf(State.Open.class);
    assertThat(done.change().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void aTaintedNodeIsNotAdoptedHoweverLongItIsUp() {
    assertThat(
            gate.judge(node(OURS), held("kube-proxy", "x"), INSTANCE, Duration.ofDays(3), NOW)
                .state())
        .isInstanceOf(State.Closed.class);
  }

  @Test
  void closingAgainBringsTheTaintAndVoidsTheMark() {
    NodeChange change =
        gate.closeAgain(opened(node(OURS, FOREIGN)), held("kube-proxy", "not Ready"), INSTANCE, NOW)
            .change()
            .orElseThrow();

    assertThat(change.taints()).containsExactly(FOREIGN, OURS);
    assertThat(gate.isOpen(applied(change), INSTANCE)).isFalse();
    assertThat(judge(applied(change), held("kube-proxy", "not Ready")).change())
        .as("nothing more to write")
        .isEmpty();
  }

  @Test
  void aMarkOfNoBootIsOfNoBootAtAll() {
    var change = gate.closeAgain(opened(node(OURS)), held("kube-proxy", "x"), INSTANCE, NOW);
    var bootless = new Gate(TestGate.config(OURS), new Boot("", BOOT.at(), UP));

    assertThat(bootless.isOpen(applied(change.change().orElseThrow()), INSTANCE)).isFalse();
  }

  @Test
  void keysThatTheAgentPutThereAreItsOwnUnderALaterConfiguration() {
    NodeView repaired =
        applied(judge(node(FOREIGN), held("kube-proxy", "no pod yet")).change().orElseThrow());
    NodeView closedAgain =
        applied(
            gate.closeAgain(opened(node(OURS, FOREIGN)), held("kube-proxy", "x"), INSTANCE, NOW)
                .change()
                .orElseThrow());
    Taint other = Taint.parse("startup-taint.cluster-autoscaler.kubernetes.io/x:NoSchedule");
    var later = new Gate(TestGate.config(other), BOOT);

    for (NodeView closed : List.of(repaired, closedAgain)) {
      assertThat(closed.taints()).containsExactly(FOREIGN, OURS);
      NodeView both =
          applied(
              later
                  .judge(closed, held("kube-proxy", "x"), INSTANCE, UP, NOW)
                  .change()
                  .orElseThrow());
      assertThat(both.taints()).containsExactly(FOREIGN, OURS, other);
      assertThat(later.judge(both, fine(), INSTANCE, UP, NOW).change().orElseThrow().taints())
          .containsExactly(FOREIGN);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "NoSchedule,       PreferNoSchedule, 2",
    "NoSchedule,       NoSchedule,       1",
    "NoSchedule,       NoExecute,        1",
    "NoExecute,        PreferNoSchedule, 2",
    "NoExecute,        NoSchedule,       1",
    "NoExecute,        NoExecute,        1",
    "PreferNoSchedule, PreferNoSchedule, 1",
    "PreferNoSchedule, NoSchedule,       1",
  })
  void aTaintOfOurKeyWithAWeakerEffectIsNotTheGate(String wanted, String there, int taints) {
    var strict = new Gate(TestGate.config(Taint.parse("a/b:" + wanted)), BOOT);
    NodeView node = node(Taint.parse("a/b:" + there));

    Verdict verdict = strict.judge(node, held("kube-proxy", "x"), INSTANCE, UP, NOW);

    assertThat(verdict.change().map(c -> c.taints().size()).orElse(1)).isEqualTo(taints);
    NodeView closed = verdict.change().map(GateTest::applied).orElse(node);
    assertThat(strict.judge(closed, fine(), INSTANCE, UP, NOW).change().orElseThrow().taints())
        .as("both go when the gate opens")
        .isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "[]",
        "null",
        "{\"nodeUID\":\"uid-node-1\"}",
        "yes",
        "{\"since\":5}",
        "{\"nodeUID\":\"u\",\"providerID\":\"p\",\"bootID\":\"b\",\"instanceID\":\"\","
            + "\"since\":\"soon\",\"keys\":[]}"
      })
  void aMalformedMarkCountsAsAbsent(String annotation) {
    NodeView node = applied(NodeChange.of(node(OURS)).withAnnotation(Mark.ANNOTATION, annotation));

    assertThat(judge(node, held("kube-proxy", "x")).state()).isInstanceOf(State.Closed.class);
    assertThat(Gate.malformedMark(node)).contains(annotation);
  }

  @Test
  void severalKeysAreOneGate() {
    Taint second = Taint.parse("startup-taint.cluster-autoscaler.kubernetes.io/x:NoSchedule");
    var both = new Gate(TestGate.config(OURS, second), BOOT);

    assertThat(
            both.judge(node(OURS), held("kube-proxy", "x"), INSTANCE, UP, NOW)
                .change()
                .orElseThrow()
                .taints())
        .containsExactly(OURS, second);
    assertThat(
            both.judge(node(second, OURS), fine(), INSTANCE, UP, NOW)
                .change()
                .orElseThrow()
                .taints())
        .isEmpty();
  }

  private Verdict judge(NodeView node, SequencedMap<String, Finding> findings) {
    return gate.judge(node, findings, INSTANCE, UP, NOW);
  }

  private static SequencedMap<String, Finding> fine() {
    return findings("kube-proxy", new Finding.Fine());
  }

  private static SequencedMap<String, Finding> held(String name, String why) {
    return findings(name, new Finding.Held(why));
  }

  private static SequencedMap<String, Finding> findings(String name, Finding finding) {
    var findings = new LinkedHashMap<String, Finding>();
    findings.put(name, finding);
    return findings;
  }

  private static NodeView node(Taint... taints) {
    return new FakeNode("node-1").register(taints).current().orElseThrow();
  }

  private NodeView opened(NodeView node) {
    return applied(judge(node, fine()).change().orElseThrow());
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

  private static NodeView provided(NodeView n, String providerId) {
    return new NodeView(
        n.name(),
        n.uid(),
        n.resourceVersion(),
        providerId,
        n.bootId(),
        false,
        n.taints(),
        n.labels(),
        n.annotations(),
        List.of());
  }
}
