package nodeward.readiness;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.config.Config.Gate.IfMissing;
import nodeward.config.Config.Gate.Mode;
import nodeward.node.FakeConditions;
import nodeward.node.FakeNode;
import nodeward.node.NodeView;
import nodeward.node.Pod;
import nodeward.node.Taint;
import org.junit.jupiter.api.Test;

/** Cases in which other gates went wrong, and which {@code docs/conformance-gate.md} names. */
class GateConformanceTest {
  private static final Taint OURS = Taint.parse("readiness.k8s.io/nodeward=pending:NoSchedule");
  private static final Taint FIRST = Taint.parse("example.com/first:NoExecute");
  private static final Taint LAST =
      new Taint("example.com/last", "v", "NoSchedule", "2026-11-21T07:59:00Z");

  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1");
  private final TestGate.Sets sets = new TestGate.Sets("kube-proxy", "cni");
  private final FakeConditions conditions = new FakeConditions();
  private final Pod proxy = FakeNode.daemonPod("kube-system", "kube-proxy");
  private String instance = "i-0123456789abcdef0";
  private CollectorRegistry registry = new CollectorRegistry();
  private GateKeeper keeper = keeper("boot-1", TestGate.config(OURS));

  // --- the life of a node

  @Test
  void aRebootTaintsTheNodeAgainAndPodsThatOnlyLookReadyDoNotOpenIt() throws IOException {
    node.register(FIRST, OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    pass();
    assertThat(taints()).containsExactly(FIRST);

    time.advance(Duration.ofHours(5));
    keeper = keeper("boot-2", TestGate.config(OURS));
    pass();
    assertThat(taints()).containsExactly(FIRST, OURS);
    assertThat(keeper.status().get("missing").toString()).contains("not Ready since this boot");
    assertThat(registry.getSampleValue("nodeward_gate_taint_missing_at_start_total")).isEqualTo(1);

    node.put(proxy);
    pass();
    node.put(FakeNode.ready(proxy, time.advance(Duration.ofSeconds(30))));
    pass();
    assertThat(taints()).containsExactly(FIRST);
    assertThat(node.changes).hasSize(3);
  }

  @Test
  void anInstanceThatTakesOverTheNameClosesTheGateAsSoonAsItIsKnown() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    pass();
    node.remove(proxy);

    instance = "";
    pass();
    assertThat(keeper.status()).containsEntry("state", "open");
    instance = "i-0fedcba9876543210";
    pass();

    assertThat(keeper.status()).containsEntry("state", "closed");
    assertThat(taints()).containsExactly(OURS);
  }

  @Test
  void aNodeThatIsDeletedUnderTheWatchAndComesAgainIsJudgedAfresh() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    pass();
    String mark = node.current().orElseThrow().annotation(Mark.ANNOTATION).orElseThrow();

    node.unregister();
    node.remove(proxy);
    pass();
    assertThat(keeper.status()).containsEntry("state", "unregistered");
    node.register(OURS);
    node.edit(c -> c.withAnnotation(Mark.ANNOTATION, mark));
    pass();

    assertThat(keeper.status()).containsEntry("state", "closed");
    assertThat(taints()).containsExactly(OURS);
  }

  @Test
  void aNodeThatIsDeletedBetweenReadAndWriteIsWaitedFor() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    node.beforeNextChange(node::unregister);

    pass();

    assertThat(keeper.status()).containsEntry("state", "unregistered");
    assertThat(node.changes).isEmpty();
  }

  // --- writes that meet others'

  @Test
  void aTaintThatSomebodyElseTakesFirstIsSuccess() throws IOException {
    node.register(FIRST, OURS, LAST);
    node.put(FakeNode.ready(proxy, time.now()));
    node.beforeNextChange(() -> node.edit(c -> c.withoutTaint(OURS.key())));

    pass();

    assertThat(keeper.status()).containsEntry("state", "open");
    assertThat(taints()).containsExactly(FIRST, LAST);
    assertThat(marked()).isTrue();
  }

  @Test
  void aGateIsNotMarkedOpenWhileItsTaintIsPutBack() throws IOException {
    node.register(FIRST, LAST);
    node.put(FakeNode.ready(proxy, time.now()));
    node.beforeNextChange(
        () -> {
          node.edit(c -> c.withTaint(OURS));
          assertThat(marked()).isFalse();
        });

    pass();

    assertThat(marked()).isTrue();
    assertThat(taints()).containsExactly(FIRST, LAST);
    assertThat(node.changes).hasSize(1);
  }

  @Test
  void aTaintThatComesAfterTheFirstLookGoesAtOnce() throws IOException {
    node.register(FIRST);
    node.put(FakeNode.ready(proxy, time.now()));
    pass();
    assertThat(keeper.status()).containsEntry("state", "open");

    node.edit(c -> c.withTaint(OURS).withTaint(LAST));
    pass();

    assertThat(taints()).containsExactly(FIRST, LAST);
  }

  @Test
  void aTaintThatIsLostRaceAfterRaceIsAddedInTheEnd() throws IOException {
    node.register(FIRST);
    node.beforeNextChange(
        () -> {
          node.edit(c -> c.withTaint(LAST));
          node.beforeNextChange(() -> node.edit(c -> c.withoutTaint(FIRST.key())));
        });

    pass();

    assertThat(taints()).containsExactly(LAST, OURS);
    assertThat(
            registry.getSampleValue(
                "nodeward_gate_writes_total", new String[] {"outcome"}, new String[] {"stale"}))
        .isEqualTo(2);
  }

  @Test
  void aTaintThatSomebodyTakesFromAClosedNodeIsPutBackWithPausesAndTheTakerNamed()
      throws IOException {
    node.register(FIRST, OURS);
    pass();
    node.taintsManagedBy("nodeward", "other-gate");
    node.events.clear();

    for (int round = 1; round <= 5; round++) {
      node.edit(c -> c.withoutTaint(OURS.key()));
      pass();
      assertThat(node.changes).as("put back in round " + round).hasSize(round);
      node.edit(c -> c.withoutTaint(OURS.key()));
      pass();
      assertThat(node.changes).as("not within a second").hasSize(round);
      time.advance(Duration.ofSeconds(1));
      node.edit(c -> c.withTaint(OURS));
    }

    assertThat(node.events)
        .containsExactly(
            "Warning NodeGateContested The gate taint was taken away 5 times from the closed node,"
                + " last by other-gate");
    assertThat(registry.getSampleValue("nodeward_gate_taint_missing_at_start_total")).isZero();
    assertThat(taints()).containsExactly(FIRST, OURS);
  }

  @Test
  void orderValueAndTimeOfForeignTaintsStay() throws IOException {
    node.register(LAST, OURS, FIRST);
    node.put(FakeNode.ready(proxy, time.now()));

    pass();

    assertThat(taints()).containsExactly(LAST, FIRST);
  }

  @Test
  void whereNothingIsToBeDoneNothingIsWritten() throws IOException {
    node.register(OURS);
    passes(50);
    assertThat(node.changes).isEmpty();

    node.put(FakeNode.ready(proxy, time.now()));
    passes(50);
    assertThat(node.changes).hasSize(1);
  }

  @Test
  void taintAndMarkGoInOneWrite() throws IOException {
    node.register(OURS, LAST);
    node.put(FakeNode.ready(proxy, time.now()));
    node.failWith(Optional.of(new IOException("403 forbidden")));
    assertThatThrownBy(this::pass).hasMessage("403 forbidden");
    assertThat(marked()).isFalse();
    assertThat(taints()).containsExactly(OURS, LAST);

    node.failWith(Optional.empty());
    pass();
    assertThat(node.changes)
        .singleElement()
        .satisfies(
            change -> {
              assertThat(change.taints()).containsExactly(LAST);
              assertThat(change.annotations()).containsKey(Mark.ANNOTATION);
            });
  }

  // --- whom the gate waits for

  @Test
  void oneOfSeveralRequiredDaemonSetsIsNotEnough() throws IOException {
    keeper =
        keeper(
            "boot-1",
            TestGate.config(
                Mode.BOOTSTRAP,
                List.of(OURS),
                TestGate.require("kube-proxy"),
                TestGate.require("cni")));
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    pass();
    assertThat(keeper.status()).containsEntry("missing", Map.of("kube-system/cni", "no pod yet"));

    node.put(FakeNode.ready(FakeNode.daemonPod("kube-system", "cni"), time.now()));
    pass();
    assertThat(keeper.status()).containsEntry("state", "open");
  }

  @Test
  void aRequiredDaemonSetThatTheClusterLacksIsToldEverywhere() throws IOException {
    sets.sets.clear();
    node.register(OURS);

    pass();

    String words = "kube-system/kube-proxy (no such DaemonSet in the cluster)";
    assertThat(node.events)
        .containsExactly(
            "Normal NodeGateClosed Workloads are kept away until these are Ready: " + words);
    assertThat(conditions.stated().getLast()).endsWith("waiting for " + words);
    assertThat(keeper.status().get("missing").toString()).contains("no such DaemonSet");
  }

  @Test
  void aDaemonSetThatIsSkippedIsToldToo() throws IOException {
    sets.sets.clear();
    keeper =
        keeper(
            "boot-1",
            TestGate.config(
                Mode.BOOTSTRAP, List.of(OURS), TestGate.require("kube-proxy", 0, IfMissing.SKIP)));
    node.register(OURS);

    pass();

    assertThat(keeper.status())
        .containsEntry("state", "open")
        .containsEntry("skipped", Map.of("kube-system/kube-proxy", "not in the cluster"));
    assertThat(node.events)
        .containsExactly(
            "Normal NodeGateOpened Workloads may come, 0 s after boot: kube-system/kube-proxy"
                + " skipped");
  }

  @Test
  void aPodThatEndsOrRollsAfterTheOpeningClosesNothing() throws IOException {
    node.register(OURS);
    Pod ready = FakeNode.ready(proxy, time.now());
    node.put(ready);
    pass();

    node.put(FakeNode.terminating(ready, time.now()));
    pass();
    node.remove(proxy);
    time.advance(Duration.ofMinutes(30));
    passes(10);

    assertThat(taints()).isEmpty();
    assertThat(node.changes).hasSize(1);
  }

  // --- an old fleet

  @Test
  void anUpgradeOfTheAgentLeavesAnOpenNodeAlone() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    pass();
    node.remove(proxy);
    time.advance(Duration.ofDays(40));

    keeper = keeper("boot-1", TestGate.config(OURS));
    passes(10);

    assertThat(node.changes).hasSize(1);
    assertThat(keeper.status()).containsEntry("state", "open");
  }

  @Test
  void aTaintOfTheConfigurationBeforeGoesAtTheStart() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    pass();
    node.edit(c -> c.withTaint(OURS).withTaint(LAST));

    keeper = keeper("boot-1", TestGate.config(Taint.parse("example.com/new-gate:NoSchedule")));
    pass();

    assertThat(taints()).containsExactly(LAST);
  }

  private boolean marked() {
    return node.current()
        .flatMap(n -> n.annotation(Mark.ANNOTATION))
        .filter(a -> a.contains("\"bootID\":\"boot-1\""))
        .isPresent();
  }

  private List<Taint> taints() {
    return node.current().map(NodeView::taints).orElseThrow();
  }

  private void passes(int times) throws IOException {
    for (int i = 0; i < times; i++) {
      time.advance(Duration.ofSeconds(1));
      pass();
    }
  }

  private void pass() throws IOException {
    keeper.pass(time.now());
  }

  /** An agent that starts right after a boot of that id, or later in it. */
  private GateKeeper keeper(String boot, Config.Gate config) {
    registry = new CollectorRegistry();
    Instant now = time.now();
    return new GateKeeper(
        config,
        new Boot(boot, now, Duration.ZERO),
        new GateKeeper.Ports(
            node,
            node.asPods(),
            sets,
            node,
            conditions,
            new ClosedNodes() {
              @Override
              public Place take(double share) {
                return Place.TAKEN;
              }

              @Override
              public void release() {}
            },
            (probe, limit) -> Optional.empty(),
            () -> instance),
        Optional.empty(),
        registry,
        time);
  }
}
