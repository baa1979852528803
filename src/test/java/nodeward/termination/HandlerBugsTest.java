package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.stream.Stream;
import nodeward.aws.FakeImds;
import nodeward.termination.Plan.Cordoner;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The bugs that are seen in the source of aws-node-termination-handler, a row for each. */
@Timeout(60)
final class HandlerBugsTest {
  static Stream<Arguments> bugs() {
    return Stream.of(
        row("1 the Auto Scaling notice keeps its identity", HandlerBugsTest::b1),
        row("2 the hook is kept alive and completed", HandlerBugsTest::b2),
        row("3 a scheduled event has its own time", HandlerBugsTest::b3),
        row("4 its own label is taken off, another's is not", HandlerBugsTest::b4),
        row("5 the connection is kept over answers of 404", HandlerBugsTest::b5),
        row("6 after a 401 there is one new token", HandlerBugsTest::b6),
        row("7 without a token version 1 is never asked", HandlerBugsTest::b7),
        row("8 a notice that comes during the work is not swallowed", HandlerBugsTest::b8),
        row("9 a cancelled event is undone once, not for ever", HandlerBugsTest::b9),
        row("10 a cancellation leaves an operator's cordon", HandlerBugsTest::b10),
        row("11 the Node is written once and never listed", HandlerBugsTest::b11),
        row("12 cancellations are found in the history too", HandlerBugsTest::b12),
        row("13 plan, deadline and cancellation outlive a restart", HandlerBugsTest::b13));
  }

  private static Arguments row(String bug, PainsTest.Row row) {
    return Arguments.of(bug, row);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("bugs")
  void isNoneHere(String bug, PainsTest.Row row) throws Exception {
    row.holds();
  }

  private static void b1() throws Exception {
    try (var n = new GoingNode()) {
      n.asg().look();
      String first = n.state().planned().orElseThrow().notices().getFirst().id();
      n.pass(Duration.ofHours(1)).restart().look();
      assertThat(n.state().planned().orElseThrow().notices())
          .extracting(Notice::id)
          .containsExactly(first);
    }
  }

  private static void b2() throws Exception {
    try (var n = new GoingNode()) {
      n.hook.lifecycleState("Terminating:Wait");
      n.asg().look().askHook().untilEvicted(1);
      assertThat(n.hook.count("heartbeat")).isEqualTo(1);
      n.node.remove(n.web);
      n.until(State.Detaching.class).askHook();
      assertThat(n.hook.count("complete")).isEqualTo(1);
    }
  }

  private static void b3() throws Exception {
    try (var n = new GoingNode()) {
      n.imds.maintenance(GoingNode.REBOOT.formatted(30, "08:00:00", "system-reboot", "scheduled"));
      n.look().pass(Duration.ofDays(8)).look();
      assertThat(n.state()).isEqualTo(new State.InService());
    }
  }

  private static void b4() throws Exception {
    try (var n = new GoingNode()) {
      n.spot().look();
      n.imds.withdrawSpotNotice();
      n.look().look().look();
      assertThat(n.view().labels()).doesNotContainKey(Marks.EXCLUDE);
      n.node.edit(c -> c.withLabel(Marks.EXCLUDE, "theirs"));
      n.spot().look();
      n.imds.withdrawSpotNotice();
      n.look().look().look();
      assertThat(n.view().labels()).containsEntry(Marks.EXCLUDE, "theirs");
    }
  }

  private static void b5() throws Exception {
    try (var n = new GoingNode()) {
      for (int i = 0; i < 20; i++) {
        n.look();
      }
      assertThat(n.imds.connections()).isEqualTo(1);
    }
  }

  private static void b6() throws Exception {
    try (var n = new GoingNode()) {
      n.look();
      n.imds.fail(FakeImds.SPOT, FakeImds.Fault.UNAUTHORIZED, 1);
      n.look();
      assertThat(n.imds.requests(FakeImds.TOKEN)).isEqualTo(2);
    }
  }

  private static void b7() throws Exception {
    try (var n = new GoingNode()) {
      n.imds.httpTokens(FakeImds.HttpTokens.OPTIONAL).fail(FakeImds.TOKEN, FakeImds.Fault.BUSY);
      n.spot();
      assertThatThrownBy(n::look).isInstanceOf(IOException.class);
      assertThat(n.imds.requests(FakeImds.SPOT)).isZero();
      assertThat(n.changes()).isZero();
    }
  }

  private static void b8() throws Exception {
    try (var n = new GoingNode("rebalance.action", "cordon")) {
      n.imds.rebalance(n.time.now());
      n.node.beforeNextChange(() -> n.imds.spotNotice("terminate", n.time.now().plusSeconds(120)));
      n.look();
      assertThat(n.state()).isInstanceOf(State.Held.class);
      n.look().untilEvicted(1);
      assertThat(n.deadline()).isEqualTo(n.time.now().plusSeconds(110));
    }
  }

  private static void b9() throws Exception {
    try (var n = new GoingNode()) {
      String event = GoingNode.REBOOT.formatted(21, "08:05:00", "system-reboot", "scheduled");
      n.imds.maintenance(event);
      n.look();
      n.imds.maintenance(event.replace("active", "canceled"));
      n.look();
      assertThat(n.state()).isEqualTo(new State.InService());
      n.node.edit(c -> c.cordoned());
      int changes = n.changes();
      for (int i = 0; i < 10; i++) {
        n.pass(Duration.ofSeconds(2)).look();
      }
      assertThat(n.changes()).isEqualTo(changes);
      assertThat(n.view().unschedulable()).isTrue();
    }
  }

  private static void b10() throws Exception {
    try (var n = new GoingNode()) {
      n.node.edit(c -> c.cordoned());
      String event = GoingNode.REBOOT.formatted(21, "08:05:00", "system-reboot", "scheduled");
      n.imds.maintenance(event);
      n.look();
      n.imds.maintenance(event.replace("active", "canceled"));
      n.look();
      assertThat(n.state()).isEqualTo(new State.InService());
      assertThat(n.view().unschedulable()).isTrue();
      assertThat(n.events()).anyMatch(e -> e.startsWith("Normal CancelDrain"));
    }
  }

  private static void b11() throws Exception {
    try (var n = new GoingNode()) {
      n.asg().look().untilEvicted(1);
      n.node.remove(n.web);
      n.until(State.Detaching.class);
      // The port cannot list nodes at all.
      assertThat(n.changes()).isEqualTo(1);
    }
  }

  private static void b12() throws Exception {
    try (var n = new GoingNode()) {
      String event = GoingNode.REBOOT.formatted(21, "08:05:00", "system-reboot", "scheduled");
      n.imds.maintenance(event);
      n.look();
      n.imds.maintenance("[]").maintenanceHistory(event.replace("active", "canceled"));
      n.look();
      assertThat(n.state()).isEqualTo(new State.InService());
    }
    try (var n = new GoingNode()) {
      n.imds.remove(FakeImds.SCHEDULED).remove(FakeImds.HISTORY);
      n.look();
      assertThat(n.state()).isEqualTo(new State.InService());
    }
  }

  private static void b13() throws Exception {
    try (var n = new GoingNode()) {
      String event = GoingNode.REBOOT.formatted(21, "08:05:00", "system-reboot", "scheduled");
      n.imds.maintenance(event);
      n.look().untilEvicted(1);
      n.pass(Duration.ofMinutes(2)).restart().look();
      assertThat(n.deadline()).isEqualTo(Instant.parse("2026-11-21T08:05:00Z"));
      assertThat(n.state().planned().map(Plan::cordoner)).contains(Cordoner.NODEWARD);
      n.imds.maintenance("[]").maintenanceHistory(event.replace("active", "canceled"));
      n.restart().look();
      assertThat(n.state()).isEqualTo(new State.InService());
      assertThat(n.view().unschedulable()).isFalse();
    }
  }
}
