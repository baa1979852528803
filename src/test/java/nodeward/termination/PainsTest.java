package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import nodeward.aws.FakeImds;
import nodeward.node.Evicted;
import nodeward.node.Evictions.Way;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Plan.Cordoner;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What hurts the users of other termination handlers, and what happens here instead: a row for each
 * pain, with the number that it has in our list and in the tracker that it comes from.
 */
@Timeout(60)
final class PainsTest {
  /** What happens here. */
  interface Row {
    void holds() throws Exception;
  }

  static Stream<Arguments> pains() {
    return Stream.of(
        row("1 NTH#1100: one notice is one drain, however often it is read", PainsTest::p1),
        row("2 NTH#837: the hook is completed from the node itself", PainsTest::p2),
        row("3 NTH#493: heartbeats last as long as the drain and no longer", PainsTest::p3),
        row("4 NTH#355: no completion while a pod is there", PainsTest::p4),
        row("5 NTH#535: the deadline ends it, and who blocked is named", PainsTest::p5),
        row("6 NTH#545: a budget that allows nothing is overruled in time", PainsTest::p6),
        row("7 k8s#72320: the blocked pod has an Event with the reason", PainsTest::p7),
        row("8 NTH#316: load balancers know before the first eviction", PainsTest::p8),
        row("9 LM#37: a drain that fails skips no later step", PainsTest::p9),
        row("10 NTH#903: maintenance is followed in time, not weeks early", PainsTest::p10),
        row("11 NTH#315: an empty NotAfter breaks nothing", PainsTest::p11),
        row("12 NTH#321: a cordon on a recommendation ends, and is capped", PainsTest::p12),
        row("13 NTH#229: metadata that fails is told and outlived", PainsTest::p13),
        row("14 NTH#666: a Node of another instance is never touched", PainsTest::p14),
        row("15 NTH#841: what is waited for is told while it is", PainsTest::p15),
        row("16 NTH#874: a shutdown of the machine drains too", PainsTest::p16),
        row("17 NTH#305: all kinds of notice in one process, one plan", PainsTest::p17),
        row("18 k8s#37592: somebody else's cordon stays", PainsTest::p18),
        row("19 LM#189: an API server that is away abandons no hook", PainsTest::p19),
        row("20 LM#90: one failed request ends nothing", PainsTest::p20),
        row("21 EBS#1302: volumes are off before the hook is completed", PainsTest::p21),
        row("22 kubectl#1347: pods go in the order that they ask for", PainsTest::p22),
        row("23 istio#23075: two budgets on a pod hold up that pod alone", PainsTest::p23),
        row("24 CAPI#13508: every wait is bounded by the deadline", PainsTest::p24),
        row("25 k8s#98012: at a shutdown pods are evicted, not left Failed", PainsTest::p25),
        row("26 Karpenter#743: each kind has its own hard limit", PainsTest::p26),
        row("27 NTH#925: notices make no new metric series", PainsTest::p27),
        row("28 bottlerocket#608: a shutdown's time limit is the plan's", PainsTest::p28));
  }

  private static Arguments row(String pain, Row row) {
    return Arguments.of(pain, row);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("pains")
  void isNoneHere(String pain, Row row) throws Exception {
    row.holds();
  }

  private static void p1() throws Exception {
    try (var n = new GoingNode()) {
      n.asg().look().untilEvicted(1);
      for (int i = 0; i < 50; i++) {
        n.pass(Duration.ofSeconds(2)).look();
      }
      assertThat(n.evictions()).hasSize(1);
      assertThat(n.changes()).isEqualTo(1);
      assertThat(
              n.registry.getSampleValue(
                  "nodeward_termination_notices_total",
                  new String[] {"kind"},
                  new String[] {"autoscaling"}))
          .isEqualTo(1);
    }
  }

  private static void p2() throws Exception {
    try (var n = new GoingNode()) {
      n.asg().look().untilEvicted(1);
      n.hook.lifecycleState("Terminating:Wait");
      n.node.remove(n.web);
      n.until(State.Detaching.class).askHook().until(State.Completed.class);
      assertThat(n.hook.count("complete")).isEqualTo(1);
    }
  }

  private static void p3() throws Exception {
    try (var n = new GoingNode("autoScaling.deadline", "2h")) {
      n.hook.lifecycleState("Terminating:Wait");
      n.asg().look().untilEvicted(1);
      for (int i = 0; i < 8; i++) {
        n.askHook().pass(Duration.ofMinutes(5));
      }
      assertThat(n.hook.count("heartbeat")).isEqualTo(8);
      n.node.remove(n.web);
      n.until(State.Detaching.class).askHook().until(State.Completed.class);
      n.pass(Duration.ofHours(1)).askHook();
      assertThat(n.hook.count("heartbeat")).isEqualTo(8);
    }
  }

  private static void p4() throws Exception {
    try (var n = new GoingNode()) {
      n.hook.lifecycleState("Terminating:Wait");
      n.asg().look().untilEvicted(1);
      for (int i = 0; i < 10; i++) {
        n.pass(Duration.ofSeconds(30)).look().askHook();
      }
      assertThat(n.hook.count("complete")).isZero();
      n.node.remove(n.web);
      n.until(State.Detaching.class).askHook();
      assertThat(n.hook.count("complete")).isEqualTo(1);
    }
  }

  private static void p5() throws Exception {
    try (var n = new GoingNode()) {
      n.hook.lifecycleState("Terminating:Wait");
      n.asg().look().untilEvicted(1);
      n.pass(Duration.ofMinutes(15)).until(State.Detaching.class).askHook();
      assertThat(n.hook.count("complete")).isEqualTo(1);
      assertThat(n.state().left()).hasSize(1);
      assertThat(n.events()).anyMatch(e -> e.contains("pods left: 1 (default/web: "));
      assertThat(n.messages.stream().map(m -> m.moment().text() + " " + m.why()))
          .anyMatch(m -> m.startsWith("failed pods left: 1, first default/web"));
    }
  }

  private static void p6() throws Exception {
    try (var n = new GoingNode()) {
      n.node.answer(n.web, new Evicted.Blocked("the budget web", Duration.ZERO));
      n.spot().look().untilEvicted(1);
      n.pass(Duration.ofSeconds(90));
      n.until(() -> n.node.manners.stream().anyMatch(m -> m.way() == Way.DELETION));
      n.node.remove(n.web);
      n.until(State.Completed.class);
      assertThat(n.time.now()).isBefore(n.deadline());
    }
    try (var n = new GoingNode()) {
      n.forceFor = List.of();
      n.restart();
      n.node.answer(n.web, new Evicted.Blocked("the budget web", Duration.ZERO));
      n.spot().look().untilEvicted(1);
      n.pass(Duration.ofSeconds(110)).until(State.Completed.class);
      assertThat(n.node.manners).allMatch(m -> m.way() == Way.EVICTION);
    }
  }

  private static void p7() throws Exception {
    try (var n = new GoingNode()) {
      n.node.answer(n.web, new Evicted.Blocked("The disruption budget web needs 1", Duration.ZERO));
      n.spot().look();
      n.until(() -> !n.node.podEvents.isEmpty());
      assertThat(n.node.podEvents.getFirst())
          .startsWith("default/web Warning DrainBlocked")
          .contains("The disruption budget web needs 1");
    }
  }

  private static void p8() throws Exception {
    try (var n = new GoingNode("loadBalancerDelay", "30s")) {
      n.asg().look();
      assertThat(n.view().labels()).containsKey(Marks.EXCLUDE);
      n.pass(Duration.ofSeconds(29)).look();
      assertThat(n.evictions()).isEmpty();
      n.pass(Duration.ofSeconds(1)).work().untilEvicted(1);
    }
    try (var n = new GoingNode("loadBalancerDelay", "10m")) {
      n.hook.lifecycleState("Terminating");
      n.asg().look().askHook();
      assertThat(n.evictions()).isEmpty();
      n.hook.lifecycleState("Terminating:Wait");
      n.pass(Duration.ofSeconds(15)).askHook().untilEvicted(1);
    }
  }

  private static void p9() throws Exception {
    try (var n = new GoingNode()) {
      n.forceFor = List.of();
      n.restart();
      n.node.answer(n.web, new Evicted.Refused("a webhook says no"));
      n.hook.lifecycleState("Terminating:Wait");
      n.asg().look().untilEvicted(1);
      assertThat(n.view().labels()).containsKey(Marks.EXCLUDE);
      n.pass(Duration.ofMinutes(15)).until(State.Detaching.class).askHook();
      assertThat(n.hook.count("complete")).isEqualTo(1);
    }
  }

  private static void p10() throws Exception {
    try (var n = new GoingNode()) {
      n.imds.maintenance(GoingNode.REBOOT.formatted(28, "08:00:00", "system-reboot", "scheduled"));
      n.look();
      assertThat(n.state()).isEqualTo(new State.InService());
      n.pass(Duration.ofDays(7).minus(Duration.ofMinutes(15))).look().untilEvicted(1);
      assertThat(n.deadline()).isEqualTo(Instant.parse("2026-11-28T08:00:00Z"));
    }
    for (var now : List.of("instance-retirement,scheduled", "system-reboot,degraded hardware")) {
      try (var n = new GoingNode()) {
        String[] parts = now.split(",", -1);
        n.imds.maintenance(GoingNode.REBOOT.formatted(28, "08:00:00", parts[0], parts[1]));
        n.look().untilEvicted(1);
      }
    }
  }

  private static void p11() throws Exception {
    try (var n = new GoingNode()) {
      String good = GoingNode.REBOOT.formatted(21, "08:05:00", "system-reboot", "scheduled");
      n.imds.maintenance("[{\"Code\":7,\"NotAfter\":null}," + good.strip().substring(1));
      n.look().untilEvicted(1);
    }
  }

  private static void p12() throws Exception {
    try (var n = new GoingNode("rebalance.action", "cordon", "rebalance.hold", "10m")) {
      n.imds.rebalance(n.time.now());
      n.look();
      assertThat(n.state()).isInstanceOf(State.Held.class);
      assertThat(n.view().unschedulable()).isTrue();
      n.pass(Duration.ofMinutes(10)).look();
      assertThat(n.view().unschedulable()).isFalse();
      assertThat(n.evictions()).isEmpty();
      assertThat(n.places.released()).isEqualTo(1);
    }
    try (var n = new GoingNode("rebalance.action", "cordon")) {
      n.places.fill();
      n.imds.rebalance(n.time.now());
      n.look().look();
      assertThat(n.changes()).isZero();
    }
    try (var n = new GoingNode()) {
      n.imds.rebalance(n.time.now());
      n.look();
      assertThat(n.changes()).isZero();
    }
  }

  private static void p13() throws Exception {
    try (var n = new GoingNode()) {
      n.look();
      for (var fault :
          List.of(FakeImds.Fault.FORBIDDEN, FakeImds.Fault.BUSY, FakeImds.Fault.UNAUTHORIZED)) {
        n.imds.fail("", fault);
        for (int i = 0; i < 5; i++) {
          assertThatThrownBy(n::look).isInstanceOf(IOException.class);
        }
        n.imds.recover();
      }
      n.restart().work();
      n.imds.fail(FakeImds.TOKEN, FakeImds.Fault.HANG);
      n.pass(Duration.ofHours(6));
      assertThatThrownBy(n::look).hasMessageContaining("hop limit");
      n.imds.recover();
      n.spot().look().untilEvicted(1);
    }
  }

  private static void p14() throws Exception {
    try (var n = new GoingNode()) {
      n.instanceId = "i-0fffffffffffffff0";
      n.spot();
      assertThatThrownBy(n::look).hasMessageContaining("but this is i-0fff");
      assertThat(n.changes()).isZero();
      assertThat(n.evictions()).isEmpty();
    }
  }

  private static void p15() throws Exception {
    try (var n = new GoingNode()) {
      n.spot().look().untilEvicted(1);
      List<String> left = List.of("default/web: evicted, has not ended yet");
      n.until(() -> left.equals(n.watch.status().get("left")));
      assertThat(n.watch.status()).containsEntry("state", "draining");
      assertThat(n.registry.getSampleValue("nodeward_termination_deadline_seconds")).isEqualTo(110);
    }
  }

  private static void p16() throws Exception {
    try (var n = new GoingNode()) {
      n.look();
      n.watch.request(Kind.SHUTDOWN, n.time.now().plusSeconds(110));
      n.work().untilEvicted(1);
      assertThat(n.view().unschedulable()).isTrue();
    }
  }

  private static void p17() throws Exception {
    try (var n = new GoingNode("rebalance.action", "cordon")) {
      n.imds.rebalance(n.time.now());
      n.look();
      n.asg().look().untilEvicted(1);
      n.spot().look();
      n.imds.maintenance(GoingNode.REBOOT.formatted(21, "08:01:00", "system-reboot", "now"));
      n.look();
      n.watch.request(Kind.SHUTDOWN, n.time.now().plusSeconds(30));
      n.work();
      assertThat(n.state().planned().orElseThrow().notices())
          .extracting(Notice::kind)
          .containsExactlyInAnyOrder(
              Kind.REBALANCE, Kind.AUTO_SCALING, Kind.SPOT, Kind.MAINTENANCE, Kind.SHUTDOWN);
      assertThat(n.deadline()).isEqualTo(n.time.now().plusSeconds(30));
      assertThat(n.evictions()).hasSize(1);
    }
  }

  private static void p18() throws Exception {
    try (var n = new GoingNode()) {
      n.node.edit(c -> c.cordoned());
      n.spot().look().untilEvicted(1);
      n.imds.withdrawSpotNotice();
      n.look().look().look();
      assertThat(n.state()).isEqualTo(new State.InService());
      assertThat(n.view().unschedulable()).isTrue();
    }
  }

  private static void p19() throws Exception {
    try (var n = new GoingNode()) {
      n.node.failWith(Optional.of(new IOException("connection refused")));
      n.hook.lifecycleState("Terminating:Wait");
      n.asg();
      assertThatThrownBy(n::look).hasMessage("connection refused");
      n.watch.askHook(n.time.now());
      assertThat(n.hook.count("heartbeat")).isEqualTo(1);
      n.pass(Duration.ofMinutes(15)).work().askHook();
      assertThat(n.hook.count("complete")).isEqualTo(1);
      assertThat(n.hook.count("abandon")).isZero();
    }
  }

  private static void p20() throws Exception {
    try (var n = new GoingNode()) {
      n.spot().look().until(State.Draining.class);
      n.node.failWith(Optional.of(new IOException("500")));
      n.node.put(FakeNode.pod("default", "late", ""));
      n.until(() -> n.state().left().toString().contains("500"));
      n.node.failWith(Optional.empty());
      n.until(
          () -> {
            n.pass(Duration.ofMillis(200));
            return n.evictions().contains("default/late");
          });
    }
  }

  private static void p21() throws Exception {
    try (var n = new GoingNode()) {
      synchronized (n.attached) {
        n.attached.add("csi-1");
      }
      Pod db = FakeNode.withClaim(FakeNode.pod("default", "db", ""), "data");
      n.node.put(db);
      n.hook.lifecycleState("Terminating:Wait");
      n.asg().look().untilEvicted(2);
      n.node.remove(n.web);
      n.node.remove(db);
      n.until(() -> n.state().left().isEmpty()).askHook();
      assertThat(n.state()).isInstanceOf(State.Draining.class);
      assertThat(n.hook.count("complete")).isZero();
      synchronized (n.attached) {
        n.attached.clear();
      }
      n.pass(Duration.ofSeconds(5)).until(State.Detaching.class).askHook();
      assertThat(n.hook.count("complete")).isEqualTo(1);
    }
  }

  private static void p22() throws Exception {
    try (var n = new GoingNode()) {
      Pod last =
          FakeNode.annotated(FakeNode.pod("default", "db", ""), "nodeward.dev/drain-order", "10");
      n.node.put(last);
      n.asg().look().untilEvicted(1);
      n.look();
      assertThat(n.evictions()).containsExactly("default/web");
      n.node.remove(n.web);
      n.untilEvicted(2);
      assertThat(n.evictions()).containsExactly("default/web", "default/db");
    }
  }

  private static void p23() throws Exception {
    try (var n = new GoingNode()) {
      Pod both = FakeNode.pod("default", "both", "");
      n.node.put(both);
      n.node.answer(
          both, new Evicted.Blocked(Evicted.By.BUDGETS, "budgets a and b", Duration.ZERO));
      n.spot().look();
      n.until(() -> n.evictions().contains("default/web"));
      n.node.remove(n.web);
      n.until(() -> n.state().left().toString().contains("budgets a and b"));
      assertThat(n.state()).isInstanceOf(State.Draining.class);
    }
  }

  private static void p24() throws Exception {
    try (var n = new GoingNode()) {
      n.node.watching(FakeNode.Watch.LOST);
      n.node.failWith(Optional.of(new IOException("unreachable")));
      n.spot();
      assertThatThrownBy(n::look).hasMessage("unreachable");
      n.pass(Duration.ofSeconds(110)).work();
      assertThat(n.state()).isInstanceOf(State.Completed.class);
    }
  }

  private static void p25() throws Exception {
    try (var n = new GoingNode()) {
      n.look();
      n.watch.request(Kind.SHUTDOWN, n.time.now().plusSeconds(20));
      n.work().untilEvicted(1);
      assertThat(n.node.manners).allMatch(m -> m.way() == Way.EVICTION);
    }
  }

  private static void p26() {
    var policy = new Policy(Configured.termination("rebalance.action", "drain"));
    Instant now = Instant.parse("2026-11-21T08:00:00Z");
    Instant at = now.plusSeconds(120);
    for (var kindAndLimit :
        List.of(
            List.of(Kind.SPOT, 110),
            List.of(Kind.AUTO_SCALING, 900),
            List.of(Kind.MAINTENANCE, 120),
            List.of(Kind.REBALANCE, 900),
            List.of(Kind.MANUAL, 120),
            List.of(Kind.REPAIR, 120),
            List.of(Kind.SHUTDOWN, 120))) {
      var notice = new Notice((Kind) kindAndLimit.get(0), "id", "detail", at);
      assertThat(policy.deadline(notice, now))
          .isEqualTo(now.plusSeconds((int) kindAndLimit.get(1)));
    }
  }

  private static void p27() throws Exception {
    try (var n = new GoingNode()) {
      n.spot().look().untilEvicted(1);
      long before = n.series();
      for (int i = 0; i < 20; i++) {
        n.imds.spotNotice("terminate", n.time.now().plusSeconds(600 * i));
        n.look();
      }
      assertThat(n.series()).isEqualTo(before);
    }
  }

  private static void p28() throws Exception {
    try (var n = new GoingNode()) {
      n.asg().look().untilEvicted(1);
      n.watch.request(Kind.SHUTDOWN, n.time.now().plusSeconds(7));
      n.work();
      assertThat(n.deadline()).isEqualTo(n.time.now().plusSeconds(7));
      assertThat(n.state().planned().map(Plan::cordoner)).contains(Cordoner.NODEWARD);
    }
  }
}
