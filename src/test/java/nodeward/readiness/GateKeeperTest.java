package nodeward.readiness;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.config.Config.Gate.IfMissing;
import nodeward.config.Config.Gate.Mode;
import nodeward.config.Probe;
import nodeward.node.DaemonSetView;
import nodeward.node.FakeConditions;
import nodeward.node.FakeNode;
import nodeward.node.NodeChange;
import nodeward.node.Placement;
import nodeward.node.Placement.Affinity;
import nodeward.node.Placement.Toleration;
import nodeward.node.Pod;
import nodeward.node.Taint;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GateKeeperTest {
  private static final Taint OURS = Taint.parse("readiness.k8s.io/nodeward=pending:NoSchedule");
  private static final Taint FOREIGN = Taint.parse("example.com/other=x:NoExecute");

  private final FakeTime time = new FakeTime();
  private final Instant booted = time.now();
  private final FakeNode node = new FakeNode("node-1");
  private final TestGate.Sets sets = new TestGate.Sets("kube-proxy");
  private final FakeConditions conditions = new FakeConditions();
  private final Places places = new Places();
  private final Pod proxy = FakeNode.daemonPod("kube-system", "kube-proxy");
  private CollectorRegistry registry = new CollectorRegistry();
  private Optional<String> probeFailure = Optional.empty();
  private GateKeeper keeper = keeper(TestGate.config(OURS));

  @Test
  void opensOnceAndTellsIt() throws IOException {
    node.register(OURS);
    pass();
    assertThat(keeper.status()).containsEntry("state", "closed");
    assertThat(registry.getSampleValue("nodeward_gate_open")).isZero();
    assertThat(conditions.stated().getLast())
        .isEqualTo(
            "ReadinessGateClosed=True SystemPodsMissing: waiting for kube-system/kube-proxy (no pod"
                + " yet)");

    node.put(FakeNode.ready(proxy, time.advance(Duration.ofSeconds(12))));
    pass();
    time.advance(Duration.ofSeconds(1));
    pass();

    assertThat(node.changes).hasSize(1);
    assertThat(node.current().orElseThrow().taints()).isEmpty();
    assertThat(node.events)
        .containsExactly(
            "Normal NodeGateClosed Workloads are kept away until these are Ready:"
                + " kube-system/kube-proxy (no pod yet)",
            "Normal NodeGateOpened Workloads may come, 12 s after boot: kube-system/kube-proxy 12"
                + " s");
    assertThat(registry.getSampleValue("nodeward_gate_open")).isEqualTo(1);
    assertThat(registry.getSampleValue("nodeward_gate_open_seconds_sum")).isEqualTo(12);
    assertThat(daemonSetSample("nodeward_gate_missing")).isZero();
    assertThat(daemonSetSample("nodeward_gate_daemonset_ready_seconds")).isEqualTo(12);
    assertThat(conditions.stated().getLast())
        .startsWith("ReadinessGateClosed=False SystemPodsReady");
  }

  @Test
  void aForeignTaintThatComesBetweenReadAndWriteSurvives() throws IOException {
    node.register(OURS);
    node.put(ready());
    node.beforeNextChange(() -> node.edit(c -> c.withTaint(FOREIGN)));

    pass();

    assertThat(node.current().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void decidesNothingWhileAWatchIsLost() throws IOException {
    node.register();
    node.watching(FakeNode.Watch.LOST);

    pass();

    assertThat(node.changes).isEmpty();
    assertThat(sets.reads).isEmpty();
    assertThat(keeper.status()).containsEntry("state", "unknown");
  }

  @Test
  void anOutageOfTenMinutesWritesNothingTwice() throws IOException {
    node.register(OURS);
    pass();
    node.put(ready());
    node.failWith(Optional.of(new IOException("API server is away")));
    for (int minute = 0; minute < 10; minute++) {
      time.advance(Duration.ofMinutes(1));
      assertThatThrownBy(this::pass).hasMessage("API server is away");
    }
    assertThat(keeper.status()).containsEntry("state", "closed");

    node.failWith(Optional.empty());
    pass();
    pass();

    assertThat(keeper.status()).containsEntry("state", "open");
    assertThat(node.changes).hasSize(1);
  }

  @Test
  void anAgentThatIsKilledAnywhereEndsInTheSameState() throws IOException {
    node.register(OURS);
    pass();
    restart();
    node.put(ready());
    restart();
    pass();
    restart();
    time.advance(Duration.ofMinutes(5));
    node.events.clear();

    pass();

    assertThat(keeper.status()).containsEntry("state", "open");
    assertThat(node.changes).hasSize(1);
    assertThat(node.events).isEmpty();
    assertThat(registry.getSampleValue("nodeward_gate_open_seconds_count")).isZero();
  }

  @Test
  void waitsForANodeThatIsNotRegisteredYet() throws IOException {
    pass();
    assertThat(keeper.status()).containsEntry("state", "unregistered");

    node.register(OURS);
    pass();
    assertThat(keeper.status()).containsEntry("state", "closed");
  }

  @Test
  void aNodeThatChangesDuringEveryWriteIsAFailureOfThePass() {
    node.register(OURS);
    node.put(ready());
    var count = new int[1];
    race(count);

    assertThatThrownBy(this::pass)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("changed during each of 5 writes");
    assertThat(count[0]).isEqualTo(5);
  }

  @Test
  void aMissingTaintIsAddedAndCounted() throws IOException {
    node.register(FOREIGN);

    pass();

    assertThat(node.current().orElseThrow().taints()).containsExactly(FOREIGN, OURS);
    assertThat(registry.getSampleValue("nodeward_gate_taint_missing_at_start_total")).isEqualTo(1);
  }

  @Test
  void daemonSetsAreReadAtMostOnceAMinuteAndOnlyWhileClosed() throws IOException {
    node.register(OURS);
    for (int second = 0; second < 59; second++) {
      pass();
      time.advance(Duration.ofSeconds(1));
    }
    assertThat(sets.reads).hasSize(1);
    time.advance(Duration.ofSeconds(14));
    pass();
    assertThat(sets.reads).hasSize(2);

    node.put(ready());
    pass();
    assertThat(keeper.status()).containsEntry("state", "open");
    for (int minute = 0; minute < 60; minute++) {
      time.advance(Duration.ofMinutes(1));
      pass();
    }
    assertThat(sets.reads).hasSize(2);
  }

  @Test
  void aPodOfADaemonSetThatIsNotKnownYetHasItReadAgain() throws IOException {
    sets.sets.clear();
    node.register(OURS);
    pass();
    assertThat(keeper.status().get("missing").toString()).contains("no such DaemonSet");

    sets.sets.put("kube-proxy", TestGate.everywhere("kube-proxy"));
    node.put(ready());
    time.advance(Duration.ofSeconds(5));
    pass();

    assertThat(keeper.status()).containsEntry("state", "open");
    assertThat(sets.reads).hasSize(2);
  }

  @Test
  void aGateThatOpensAtTheFirstLookIsToldToo() throws IOException {
    node.register(OURS);
    node.put(ready());

    pass();

    assertThat(node.events)
        .containsExactly(
            "Normal NodeGateOpened Workloads may come, 0 s after boot: kube-system/kube-proxy 0 s");
  }

  @Test
  void anAdoptedNodeIsMarkedWithoutAWord() throws IOException {
    node.register(FOREIGN);
    time.advance(Gate.ADOPT_AFTER.plusSeconds(1));
    node.put(ready());
    keeper = keeper(TestGate.config(OURS));

    pass();

    assertThat(keeper.status()).containsEntry("state", "open");
    assertThat(node.current().orElseThrow().taints()).containsExactly(FOREIGN);
    assertThat(node.events).isEmpty();
  }

  @Test
  void aLabelThatMakesADaemonSetIneligibleIsSeenAtOnce() throws IOException {
    sets.sets.put("kube-proxy", onlyWith("role", "worker"));
    node.register(OURS);
    node.edit(c -> c.withLabel("role", "worker"));
    pass();
    assertThat(keeper.status()).containsEntry("state", "closed");

    node.edit(c -> c.withLabel("role", "edge"));
    pass();

    assertThat(keeper.status()).containsEntry("state", "open");
  }

  @Test
  void aDaemonSetThatDoesNotTolerateTheGateIsToldOnce() throws IOException {
    sets.sets.put(
        "kube-proxy",
        new DaemonSetView(
            "kube-system",
            "kube-proxy",
            "ds-kube-proxy",
            new Placement(
                "",
                Map.of(),
                Affinity.NONE,
                List.of(),
                List.of(new Toleration("other", "Exists", "", "")),
                true)));
    node.register(OURS);
    pass();
    time.advance(Duration.ofMinutes(3));
    pass();

    assertThat(node.events.stream().filter(e -> e.contains("NodeGateNotTolerated"))).hasSize(1);
  }

  @Test
  void aProbeThatFailsKeepsTheGateSettling() throws IOException {
    var probed =
        new Config.Gate.Require(
            "kube-system",
            "kube-proxy",
            "",
            0,
            Optional.of(new Probe.MetadataProxy()),
            IfMissing.WAIT);
    keeper = keeper(TestGate.config(Mode.BOOTSTRAP, List.of(OURS), probed));
    node.register(OURS);
    node.put(ready());
    probeFailure = Optional.of("connection refused");
    pass();
    assertThat(keeper.status()).containsEntry("state", "settling");
    assertThat(keeper.status().get("waiting").toString()).contains("connection refused");

    probeFailure = Optional.empty();
    pass();
    assertThat(keeper.status()).containsEntry("state", "open");
  }

  @Test
  void aTaintThatIsPutBackIsRemovedWithPausesAndItsWriterNamed() throws IOException {
    node.register(OURS);
    node.put(ready());
    pass();
    node.taintsManagedBy("nodeward", "eks-node-manager");
    node.events.clear();
    int before = node.changes.size();

    for (int round = 1; round <= 5; round++) {
      node.edit(c -> c.withTaint(OURS));
      pass();
      pass();
      int expected = before + round;
      assertThat(node.changes).as("removals in round " + round).hasSize(expected);
      node.edit(c -> c.withTaint(OURS));
      pass();
      assertThat(node.changes).as("no removal within ten seconds").hasSize(expected);
      node.edit(c -> c.withoutTaint(OURS.key()));
      time.advance(Duration.ofSeconds(10));
    }

    assertThat(node.events)
        .containsExactly(
            "Warning NodeGateContested The gate taint was put back 5 times on the open node,"
                + " last by eks-node-manager");
  }

  @Test
  void bootstrapModeStaysOpenWhenSystemPodsGo() throws IOException {
    node.register(OURS);
    node.put(ready());
    pass();
    node.remove(proxy);
    time.advance(Duration.ofHours(1));
    pass();

    assertThat(node.current().orElseThrow().taints()).isEmpty();
    assertThat(keeper.status()).containsEntry("state", "open");
  }

  @Test
  void continuousModeClosesAgainOnlyAfterTheWholeTime() throws IOException {
    keeper =
        keeper(TestGate.config(Mode.CONTINUOUS, List.of(OURS), TestGate.require("kube-proxy")));
    node.register(OURS);
    node.put(ready());
    pass();
    node.put(proxy);
    pass();
    time.advance(Duration.ofMinutes(4).plusSeconds(59));
    pass();
    assertThat(node.current().orElseThrow().taints()).isEmpty();
    // Back for a moment: the time begins anew.
    node.put(ready());
    pass();
    node.put(proxy);
    pass();
    time.advance(Duration.ofMinutes(4).plusSeconds(59));
    pass();
    assertThat(node.current().orElseThrow().taints()).isEmpty();

    time.advance(Duration.ofSeconds(1));
    pass();
    assertThat(node.current().orElseThrow().taints()).containsExactly(OURS);
    assertThat(places.taken).isTrue();
    assertThat(keeper.status()).containsEntry("state", "closed");

    node.put(ready());
    pass();
    assertThat(node.current().orElseThrow().taints()).isEmpty();
    assertThat(places.taken).isFalse();
  }

  @Test
  void aClockThatJumpsNeitherClosesNorOpens() throws IOException {
    keeper =
        keeper(TestGate.config(Mode.CONTINUOUS, List.of(OURS), TestGate.require("kube-proxy")));
    node.register(OURS);
    pass();
    time.jump(Duration.ofDays(1));
    pass();
    assertThat(keeper.status()).containsEntry("state", "closed");

    node.put(ready());
    pass();
    node.put(proxy);
    pass();
    time.jump(Duration.ofDays(1));
    pass();
    assertThat(node.current().orElseThrow().taints()).isEmpty();
  }

  @Test
  void continuousModeStaysOpenWhereTooManyAreClosed() throws IOException {
    keeper =
        keeper(TestGate.config(Mode.CONTINUOUS, List.of(OURS), TestGate.require("kube-proxy")));
    node.register(OURS);
    node.put(ready());
    pass();
    places.full = true;
    node.put(proxy);
    pass();
    time.advance(Duration.ofMinutes(6));
    pass();
    pass();

    assertThat(node.current().orElseThrow().taints()).isEmpty();
    assertThat(node.events.stream().filter(e -> e.contains("NodeGateStaysOpen"))).hasSize(1);
  }

  @Test
  void aGateThatStaysClosedForTooLongSaysSoOnce() throws IOException {
    node.register(OURS);
    time.advance(Duration.ofHours(3));
    pass();
    time.advance(Duration.ofMinutes(15));
    pass();
    assertThat(registry.getSampleValue("nodeward_gate_given_up")).isZero();
    time.advance(Duration.ofSeconds(1));
    pass();
    time.advance(Duration.ofMinutes(15));
    pass();

    assertThat(node.events.stream().filter(e -> e.contains("NodeGateGivenUp"))).hasSize(1);
    assertThat(registry.getSampleValue("nodeward_gate_given_up")).isEqualTo(1);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void inAnyOrderOfEventsTheGateNeverOpensEarlyAndNoForeignTaintIsLost(long seed)
      throws IOException {
    var random = new Random(seed);
    var required = List.of("kube-proxy", "kube2iam", "cni");
    required.forEach(name -> sets.sets.put(name, TestGate.everywhere(name)));
    for (int story = 0; story < 60; story++) {
      new Story(random, required).play();
    }
  }

  /** One life of a node with events in random order, checked after each. */
  private final class Story {
    private final Random random;
    private final List<String> required;
    private final FakeNode own = new FakeNode("node-1");
    private final List<String> everReady = new ArrayList<>();
    private final List<Taint> foreign = new ArrayList<>();
    private final Instant bornAt = time.now();
    private GateKeeper gate;

    Story(Random random, List<String> required) {
      this.random = random;
      this.required = required;
      start();
    }

    void start() {
      gate =
          new GateKeeper(
              TestGate.config(
                  random.nextBoolean() ? Mode.BOOTSTRAP : Mode.CONTINUOUS,
                  List.of(OURS),
                  required.stream().map(TestGate::require).toArray(Config.Gate.Require[]::new)),
              new Boot("boot-1", bornAt, Duration.between(bornAt, time.now())),
              new GateKeeper.Ports(
                  own,
                  own.asPods(),
                  sets,
                  own,
                  conditions,
                  places,
                  (p, l) -> probeFailure,
                  () -> ""),
              Optional.empty(),
              new CollectorRegistry(),
              time);
    }

    void play() throws IOException {
      own.register(OURS);
      for (int step = 0; step < 40; step++) {
        event(random.nextInt(11));
        own.failWith(
            random.nextInt(6) == 0 ? Optional.of(new IOException("away")) : Optional.empty());
        try {
          gate.pass(time.now());
        } catch (IOException away) {
          assertThat(away).hasMessage("away");
        }
        check();
      }
    }

    private void event(int kind) {
      String name = required.get(random.nextInt(required.size()));
      Pod pod = FakeNode.daemonPod("kube-system", name);
      switch (kind) {
        case 0, 1, 2 -> {
          own.put(FakeNode.ready(pod, time.now()));
          everReady.add(name);
        }
        case 3 -> own.put(pod);
        case 4 -> own.remove(pod);
        case 5 -> {
          Taint taint = Taint.parse("example.com/t" + random.nextInt(1000) + ":NoExecute");
          foreign.add(taint);
          own.edit(c -> c.withTaint(taint));
        }
        case 6 -> {
          Taint taint = Taint.parse("example.com/r" + random.nextInt(1000) + ":NoSchedule");
          foreign.add(taint);
          own.beforeNextChange(() -> own.edit(c -> c.withTaint(taint)));
        }
        case 7 -> time.advance(Duration.ofSeconds(random.nextInt(400)));
        case 8 -> start();
        case 9 -> own.edit(c -> c.withTaint(OURS));
        default -> own.put(FakeNode.terminating(FakeNode.ready(pod, time.now()), time.now()));
      }
    }

    private void check() {
      var now = own.current().orElseThrow();
      if (now.annotation(Mark.ANNOTATION).orElse("").contains("\"bootID\":\"boot-1\"")) {
        assertThat(everReady).containsAll(required);
      } else {
        assertThat(now.hasTaint(OURS.key())).as("unverified and yet untainted").isTrue();
      }
      for (Taint taint : foreign) {
        if (!now.hasTaint(taint.key())) {
          // Only one that waits for a write which never came may be absent.
          assertThat(taint.key()).startsWith("example.com/r");
        }
      }
      assertThat(now.taints().stream().filter(t -> t.key().startsWith("example.com/t")).toList())
          .containsAll(
              foreign.stream()
                  .filter(t -> t.key().startsWith("example.com/t"))
                  .distinct()
                  .toList());
    }
  }

  private void race(int[] count) {
    node.beforeNextChange(
        () -> {
          count[0]++;
          node.edit(c -> relabelled(c, count[0]));
          if (count[0] < 5) {
            race(count);
          }
        });
  }

  private static NodeChange relabelled(NodeChange change, int n) {
    return change.withLabel("round", Integer.toString(n));
  }

  private static DaemonSetView onlyWith(String label, String value) {
    return new DaemonSetView(
        "kube-system",
        "kube-proxy",
        "ds-kube-proxy",
        new Placement(
            "",
            Map.of(label, value),
            Affinity.NONE,
            List.of(),
            List.of(new Toleration("", "Exists", "", "")),
            true));
  }

  private Pod ready() {
    return FakeNode.ready(proxy, time.now());
  }

  private void pass() throws IOException {
    keeper.pass(time.now());
  }

  private void restart() {
    keeper.close();
    keeper = keeper(TestGate.config(OURS));
  }

  private GateKeeper keeper(Config.Gate config) {
    registry = new CollectorRegistry();
    return new GateKeeper(
        config,
        new Boot("boot-1", booted, Duration.between(booted, time.now())),
        new GateKeeper.Ports(
            node,
            node.asPods(),
            sets,
            node,
            conditions,
            places,
            (probe, limit) -> probeFailure,
            () -> "i-0123456789abcdef0"),
        Optional.empty(),
        registry,
        time);
  }

  private Double daemonSetSample(String name) {
    return registry.getSampleValue(
        name, new String[] {"daemonset"}, new String[] {"kube-system/kube-proxy"});
  }

  /** The cluster's closed nodes: this one, and whether there is room. */
  private static final class Places implements ClosedNodes {
    boolean taken;
    boolean full;

    @Override
    public Place take(double share) {
      if (full) {
        return Place.FULL;
      }
      taken = true;
      return Place.TAKEN;
    }

    @Override
    public void release() {
      taken = false;
    }
  }
}
