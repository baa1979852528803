package nodeward.condition;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import nodeward.component.FakeTime;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Changed;
import nodeward.node.Condition;
import nodeward.node.Condition.Status;
import nodeward.node.FakeNode;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Nodes;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class ConditionBoardTest {
  private static final Duration HEARTBEAT = Duration.ofMinutes(5);
  private static final Duration EARLIEST = Duration.ofMinutes(4);
  private static final Duration LATEST = Duration.ofMinutes(6);
  private static final String CONNTRACK = "ConntrackPressure";
  private static final String RUNTIME = "ContainerRuntimeUnhealthy";

  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1");
  private final CollectorRegistry registry = new CollectorRegistry();
  @TempDir private Path state;
  private ConditionBoard board;

  @BeforeEach
  void make() {
    board = board();
  }

  @AfterEach
  void close() {
    board.close();
  }

  @Test
  void whatNobodyHasStatedIsNotWritten() throws IOException {
    node.register();

    assertThat(board.pass(time.now())).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(node.statusPatches).isEmpty();
  }

  @Test
  void whatIsStatedTogetherIsWrittenTogether() throws IOException {
    node.register();
    Instant stated = time.now();

    ok(CONNTRACK);
    assertThat(board.pass(time.advance(Duration.ofMillis(200)))).isEqualTo(Duration.ofMillis(300));
    bad(RUNTIME, "DockerHung");
    assertThat(board.pass(time.advance(Duration.ofMillis(300)))).isBetween(EARLIEST, LATEST);

    assertThat(node.statusPatches)
        .containsExactly(
            List.of(
                new Condition(CONNTRACK, Status.FALSE, "Ok", "why", stated),
                new Condition(RUNTIME, Status.TRUE, "DockerHung", "why", stated.plusMillis(200))));
  }

  @Test
  void whatIsNotedIsWrittenAndNotToldASecondTime() throws IOException {
    node.register();

    board.note(CONNTRACK, Status.TRUE, "SystemPodsMissing", "why");
    board.pass(time.advance(Duration.ofSeconds(1)));

    assertThat(node.statusPatches).hasSize(1);
    assertThat(node.events).isEmpty();
  }

  @Test
  void nothingIsWrittenAgainBeforeTheHeartbeat() throws IOException {
    node.register();
    ok(CONNTRACK);
    Duration wait = settle();

    ok(CONNTRACK);
    assertThat(board.pass(time.advance(wait.minusMillis(1)))).isEqualTo(Duration.ofMillis(1));
    assertThat(node.statusPatches).hasSize(1);

    board.pass(time.advance(Duration.ofMillis(1)));
    assertThat(node.statusPatches).hasSize(2);
    assertThat(node.statusPatches.get(1)).isEqualTo(node.statusPatches.get(0));
  }

  @Test
  void heartbeatsDrift() throws IOException {
    node.register();
    ok(CONNTRACK);

    assertThat(List.of(settle(), heartbeat(), heartbeat(), heartbeat()))
        .allSatisfy(wait -> assertThat(wait).isBetween(EARLIEST, LATEST))
        .doesNotHaveDuplicates();
  }

  @Test
  void aNewMessageOrReasonKeepsTheTimeOfTheTransitionAndANewStatusSetsIt() throws IOException {
    node.register();
    Instant first = time.now();
    bad(CONNTRACK, "NearFull");
    settle();

    time.advance(Duration.ofMinutes(1));
    bad(CONNTRACK, "Critical");
    settle();
    assertThat(written()).extracting(Condition::lastTransition).containsExactly(first);

    Instant later = time.advance(Duration.ofMinutes(1));
    ok(CONNTRACK);
    settle();
    assertThat(written()).extracting(Condition::lastTransition).containsExactly(later);
  }

  @Test
  void aConditionThatIsThereAlreadyIsAdoptedWithItsTime() throws IOException {
    Instant since = Instant.parse("2026-11-20T00:00:00Z");
    node.register();
    node.writeConditions(List.of(new Condition(CONNTRACK, Status.TRUE, "Old", "old", since)));

    bad(CONNTRACK, "Old");
    settle();

    assertThat(written()).extracting(Condition::lastTransition).containsExactly(since);
    assertThat(node.events).isEmpty();
  }

  @Test
  void aConditionThatIsThereAlreadyWithAnotherStatusBeginsAnew() throws IOException {
    node.register();
    node.writeConditions(
        List.of(new Condition(CONNTRACK, Status.TRUE, "Old", "old", Instant.EPOCH)));
    Instant stated = time.now();

    ok(CONNTRACK);
    settle();

    assertThat(written()).extracting(Condition::lastTransition).containsExactly(stated);
    assertThat(node.events).containsExactly("Normal Ok ConntrackPressure is False: why");
  }

  @Test
  void conditionsOfOthersAreLeftAlone() throws IOException {
    node.register();
    node.writeConditions(
        List.of(new Condition("Ready", Status.TRUE, "KubeletReady", "", Instant.EPOCH)));

    ok(CONNTRACK);
    settle();

    assertThat(written()).extracting(Condition::type).containsExactly(CONNTRACK);
  }

  @Test
  void eventsTellWhatChangedAndNotThatAllIsWellAtStart() throws IOException {
    node.register();
    ok(CONNTRACK);
    settle();
    bad(CONNTRACK, "NearFull");
    settle();
    board.set(CONNTRACK, Status.TRUE, "NearFull", "only the text is new");
    settle();
    bad(CONNTRACK, "Critical");
    settle();
    ok(CONNTRACK);
    settle();
    board.set(CONNTRACK, Status.UNKNOWN, "Unknown", "module gone");
    settle();

    assertThat(node.events)
        .containsExactly(
            "Warning NearFull ConntrackPressure is True: why",
            "Warning Critical ConntrackPressure is True: why",
            "Normal Ok ConntrackPressure is False: why",
            "Normal Unknown ConntrackPressure is Unknown: module gone");
  }

  @Test
  void withoutANodeTheStateIsKeptAndWrittenOnceWhenItComes() throws IOException {
    bad(CONNTRACK, "NearFull");
    assertThat(settle()).isEqualTo(Loop.UNTIL_WOKEN);
    ok(CONNTRACK);
    assertThat(settle()).isEqualTo(Loop.UNTIL_WOKEN);

    node.register();
    board.pass(time.advance(Duration.ofHours(1)));

    assertThat(node.statusPatches).hasSize(1);
    assertThat(written()).extracting(Condition::status).containsExactly(Status.FALSE);
  }

  @Test
  void anOutageOfTheApiServerEndsInOnePatchOfTheLastState() throws IOException {
    node.register();
    ok(CONNTRACK);
    settle();
    node.failWith(Optional.of(new IOException("connection refused")));

    bad(CONNTRACK, "NearFull");
    assertThatThrownBy(this::settle).hasMessage("connection refused");
    Instant last = time.now();
    board.set(CONNTRACK, Status.UNKNOWN, "Unknown", "module gone");
    assertThatThrownBy(this::settle).hasMessage("connection refused");
    assertThatThrownBy(() -> board.pass(time.advance(Duration.ofMinutes(10))))
        .hasMessage("connection refused");

    node.failWith(Optional.empty());
    board.pass(time.now());

    assertThat(node.statusPatches).hasSize(2);
    assertThat(written())
        .containsExactly(new Condition(CONNTRACK, Status.UNKNOWN, "Unknown", "module gone", last));
    assertThat(board.pass(time.now())).isBetween(EARLIEST, LATEST);
  }

  @Test
  void aNodeThatVanishesUnderTheWriteIsWaitedFor() throws IOException {
    var vanishing = new Behind();
    registry.clear();
    board = board(vanishing);
    node.register();
    ok(CONNTRACK);
    vanishing.gone = true;

    assertThat(settle()).isEqualTo(Loop.UNTIL_WOKEN);
    vanishing.gone = false;
    board.pass(time.now());

    assertThat(node.statusPatches).hasSize(1);
  }

  @Test
  void aNodeThatWasMadeAnewGetsTheConditionsAtOnce() throws IOException {
    var recreated = new Behind();
    registry.clear();
    board = board(recreated);
    node.register();
    ok(CONNTRACK);
    settle();

    recreated.uid = Optional.of("uid-of-the-second");
    board.pass(time.advance(Duration.ofSeconds(1)));

    assertThat(node.statusPatches).hasSize(2);
  }

  @Test
  void atTheEndTheConditionsAreUnknown() throws IOException {
    node.register();
    ok(CONNTRACK);
    bad(RUNTIME, "DockerHung");
    settle();
    Instant end = time.advance(Duration.ofMinutes(1));

    board.close();
    board.close();
    ok(RUNTIME);

    assertThat(node.statusPatches).hasSize(2);
    assertThat(written())
        .allSatisfy(
            condition -> {
              assertThat(condition.status()).isEqualTo(Status.UNKNOWN);
              assertThat(condition.reason()).isEqualTo("AgentStopped");
              assertThat(condition.lastTransition()).isEqualTo(end);
            })
        .hasSize(2);
    assertThat(node.events).containsExactly("Warning DockerHung " + RUNTIME + " is True: why");
  }

  @Test
  void theNextAgentTellsNoEventForWhatIsStillWell() throws IOException {
    node.register();
    ok(CONNTRACK);
    settle();
    board.close();

    registry.clear();
    board = board();
    ok(CONNTRACK);
    settle();

    assertThat(written()).extracting(Condition::status).containsExactly(Status.FALSE);
    assertThat(node.events).isEmpty();
  }

  @Test
  void whatAnAgentBeforeStatedAndNobodyStatesAnyMoreGoesWithTheFirstHeartbeat() throws IOException {
    node.register();
    node.writeConditions(
        List.of(
            new Condition(CONNTRACK, Status.UNKNOWN, "AgentStopped", "", Instant.EPOCH),
            new Condition(RUNTIME, Status.UNKNOWN, "AgentStopped", "", Instant.EPOCH),
            new Condition("Foreign", Status.UNKNOWN, "AgentStopped", "", Instant.EPOCH),
            new Condition("KubeletUnhealthy", Status.TRUE, "KubeletUnhealthy", "", Instant.EPOCH)));
    ok(CONNTRACK);
    settle();
    assertThat(node.removedConditions).isEmpty();

    heartbeat();
    heartbeat();

    // The last two were never this agent's, or it cannot be told.
    assertThat(node.removedConditions).containsExactly(RUNTIME);
    assertThat(types()).containsExactlyInAnyOrder(CONNTRACK, "Foreign", "KubeletUnhealthy");
  }

  @Test
  void whatAKilledAgentStatedAndNobodyStatesAnyMoreGoesToo() throws IOException {
    node.register();
    ok(CONNTRACK);
    bad(RUNTIME, "DockerHung");
    settle();
    board = board(); // the first one had no time to say anything

    ok(CONNTRACK);
    settle();
    assertThat(node.removedConditions).isEmpty();
    heartbeat();
    heartbeat();

    assertThat(node.removedConditions).containsExactly(RUNTIME);
    assertThat(types()).containsExactly(CONNTRACK);
  }

  @Test
  void whatAKilledAgentStatedIsAdoptedWithItsTimeWhereTheFeatureIsStillOn() throws IOException {
    node.register();
    bad(RUNTIME, "DockerHung");
    settle();
    Condition before = written().getFirst();
    board = board();
    time.advance(Duration.ofMinutes(1));

    bad(RUNTIME, "DockerHung");
    settle();
    heartbeat();

    assertThat(written().getFirst().lastTransition()).isEqualTo(before.lastTransition());
    assertThat(node.removedConditions).isEmpty();
  }

  @Test
  void aMemoryOfAnotherNodeOrNoneMakesNothingOurs() throws IOException {
    Files.writeString(state.resolve("conditions"), "another-uid\n" + RUNTIME + "\n");
    node.register();
    node.writeConditions(
        List.of(new Condition(RUNTIME, Status.TRUE, "DockerHung", "", Instant.EPOCH)));
    ok(CONNTRACK);
    settle();

    heartbeat();
    heartbeat();

    assertThat(node.removedConditions).isEmpty();
    assertThat(state.resolve("conditions"))
        .hasContent(node.current().orElseThrow().uid() + "\n" + CONNTRACK);
  }

  @Test
  void anAgentThatCannotRememberWorksOn() throws IOException {
    Files.createDirectories(state.resolve("conditions.new"));
    node.register();
    ok(CONNTRACK);
    settle();

    assertThat(written()).hasSize(1);
  }

  @Test
  void aWriteThatComesToNothingButAChangeOfTheNodeIsNotRepeated() throws IOException {
    node.register();
    ok(CONNTRACK);
    settle();

    for (int i = 0; i < 20; i++) {
      node.edit(change -> change.withLabel("k", "v"));
      board.pass(time.advance(Duration.ofSeconds(5)));
    }

    assertThat(node.statusPatches).hasSize(1);
  }

  @Test
  void anAgentThatWroteNothingSaysNothingAtTheEnd() {
    node.register();

    board.close();

    assertThat(node.statusPatches).isEmpty();
  }

  @Test
  @Timeout(10)
  void anApiServerThatHangsDoesNotHoldTheEnd() throws IOException {
    var hanging = new Behind();
    registry.clear();
    board = board(hanging);
    node.register();
    ok(CONNTRACK);
    settle();
    hanging.hang = true;

    board.close();

    assertThat(node.statusPatches).hasSize(1);
  }

  @Test
  void itWritesByItselfWhenTheNodeComes() throws Exception {
    board.close();
    board =
        new ConditionBoard(
            node,
            node,
            new Config.Conditions(HEARTBEAT),
            new CollectorRegistry(),
            state,
            Time.SYSTEM,
            new Random(1));
    board.start();
    ok(CONNTRACK);

    node.register();

    long deadline = System.nanoTime() + Duration.ofSeconds(10).toNanos();
    while (node.current().orElseThrow().condition(CONNTRACK).isEmpty()) {
      assertThat(System.nanoTime()).isLessThan(deadline);
      Thread.sleep(10);
    }
    assertThat(board.status()).containsEntry(CONNTRACK, "False Ok: why");
  }

  @Test
  void theMetricShowsWhatIsBad() {
    ok(CONNTRACK);
    assertThat(metric(CONNTRACK)).isZero();
    bad(CONNTRACK, "NearFull");
    assertThat(metric(CONNTRACK)).isEqualTo(1);
    board.set(CONNTRACK, Status.UNKNOWN, "Unknown", "");
    assertThat(metric(CONNTRACK)).isNaN();
  }

  // --- what a test does

  private ConditionBoard board() {
    registry.clear();
    return board(node);
  }

  private ConditionBoard board(Nodes on) {
    var config = new Config.Conditions(HEARTBEAT);
    return new ConditionBoard(on, node, config, registry, state, time, new Random(1));
  }

  private void ok(String type) {
    board.set(type, Status.FALSE, "Ok", "why");
  }

  private void bad(String type, String reason) {
    board.set(type, Status.TRUE, reason, "why");
  }

  private Duration settle() throws IOException {
    return board.pass(time.advance(ConditionBoard.GATHER));
  }

  private Duration heartbeat() throws IOException {
    return board.pass(time.advance(LATEST));
  }

  private List<Condition> written() {
    return node.statusPatches.getLast();
  }

  private Double metric(String type) {
    return registry.getSampleValue(
        "nodeward_condition_bad", new String[] {"type"}, new String[] {type});
  }

  /** The node behind an API server that misbehaves. */
  private final class Behind implements Nodes {
    private boolean gone;
    private boolean hang;
    private Optional<String> uid = Optional.empty();

    @Override
    public String nodeName() {
      return node.nodeName();
    }

    @Override
    public Optional<NodeView> current() {
      return node.current()
          .map(
              n ->
                  new NodeView(
                      n.name(),
                      uid.orElse(n.uid()),
                      n.resourceVersion(),
                      n.providerId(),
                      n.bootId(),
                      n.unschedulable(),
                      n.taints(),
                      n.labels(),
                      n.annotations(),
                      n.conditions()));
    }

    @Override
    public boolean watching() {
      return node.watching();
    }

    @Override
    public void onChange(Runnable listener) {
      node.onChange(listener);
    }

    @Override
    public Optional<NodeView> read() throws IOException {
      return node.read();
    }

    @Override
    public List<String> taintManagers() throws IOException {
      return node.taintManagers();
    }

    @Override
    public Changed change(NodeChange change) throws IOException {
      return node.change(change);
    }

    @Override
    public Changed removeConditions(List<String> types) throws IOException {
      return node.removeConditions(types);
    }

    @Override
    public Changed writeConditions(List<Condition> conditions) throws IOException {
      if (hang) {
        try {
          new CountDownLatch(1).await();
        } catch (InterruptedException e) {
          throw new IOException("interrupted", e);
        }
      }
      return gone ? new Changed.Absent() : node.writeConditions(conditions);
    }
  }

  /** Of the conditions that the Node has. */
  private List<String> types() {
    return node.current().orElseThrow().conditions().stream().map(Condition::type).toList();
  }
}
