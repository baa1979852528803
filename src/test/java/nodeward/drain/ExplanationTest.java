package nodeward.drain;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import nodeward.config.Config;
import nodeward.drain.DrainOptions.Flag;
import nodeward.node.Budget;
import nodeward.node.FakeNode;
import nodeward.node.LabelSelector;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;

class ExplanationTest {
  private static final Instant NOW = Instant.parse("2026-11-21T08:00:00Z");
  private static final Config.Drain CONFIG =
      new Config.Drain(
          Duration.ofSeconds(5), Duration.ofSeconds(10), List.of(), false, Duration.ofMinutes(1));

  private final Pod web = FakeNode.ready(FakeNode.pod("shop", "web", ""), NOW);
  private final Pod unready = FakeNode.pod("shop", "stuck", "");
  private final Pod later = FakeNode.annotated(FakeNode.pod("shop", "db", ""), Tier.ORDER, "5");
  private final Pod daemon = FakeNode.daemonPod("kube-system", "kube-proxy");

  @Test
  void tellsTheOrderAndWhatIsLeftAlone() {
    assertThat(explain(List.of(web, later, daemon), List.of(), NOW.plusSeconds(110)))
        .containsExactly(
            "node node-1: 2 pods to go, 1 left alone, deadline 2026-11-21T08:01:50Z",
            "warning: ignoring DaemonSet-managed Pods: kube-system/kube-proxy-x7x7x",
            "1. workloads: at once",
            "   shop/web, grace 30 s",
            "2. workloads, order 5: when those before are gone, at the latest"
                + " 2026-11-21T08:00:50Z",
            "   shop/db, grace 30 s",
            "left alone: kube-system/kube-proxy-x7x7x is managed by a DaemonSet");
  }

  @Test
  void tellsWhichBudgetHoldsWhomAndWhenItIsForced() {
    assertThat(explain(List.of(web, unready), List.of(budget("b", 0)), NOW.plusSeconds(110)))
        .containsSubsequence(
            "   shop/stuck, grace 30 s",
            "      blocked: disruption budget b (wants 3 healthy, has 2); the pod itself is not"
                + " Ready and so blocks itself",
            "      forced at 2026-11-21T08:01:10Z with 30 s unless it goes before",
            "   shop/web, grace 30 s",
            "      blocked: disruption budget b (wants 3 healthy, has 2)",
            "      forced at 2026-11-21T08:01:10Z with 30 s unless it goes before");
  }

  @Test
  void namesBothOfTwoBudgets() {
    assertThat(explain(List.of(web), List.of(budget("a", 9), budget("b", 9)), Instant.MAX))
        .contains(
            "      blocked: 2 disruption budgets select it, with which the API server evicts it"
                + " never: a, b")
        .noneMatch(l -> l.contains("forced"));
  }

  @Test
  void aBudgetThatLetsThePodGoBlocksNobody() {
    assertThat(explain(List.of(web), List.of(budget("a", 1)), Instant.MAX))
        .noneMatch(l -> l.contains("blocked"));
  }

  private static List<String> explain(List<Pod> pods, List<Budget> budgets, Instant deadline) {
    DrainOptions options = DrainOptions.ofKubectl(Flag.IGNORE_DAEMON_SETS, Flag.FORCE_AT_DEADLINE);
    return Explanation.of(
        "node-1", DrainPlan.of(pods, options), budgets, options, CONFIG, NOW, deadline);
  }

  private static Budget budget(String name, int allowed) {
    return new Budget(
        "shop",
        name,
        "1",
        LabelSelector.of(List.of()),
        3,
        2,
        allowed,
        Budget.Unready.IF_HEALTHY,
        true);
  }
}
