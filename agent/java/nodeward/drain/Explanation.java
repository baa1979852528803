package nodeward.drain;

import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import nodeward.config.Config;
import nodeward.drain.DrainOptions.Flag;
import nodeward.drain.DrainPlan.Verdict;
import nodeward.node.Budget;
import nodeward.node.Pod;

/**
 * A {@link DrainPlan} in words, for people, before anything happens: the order, what holds whom,
 * and who would be forced and when.
 */
public final class Explanation {
  private Explanation() {}

  public static List<String> of(
      String node,
      DrainPlan plan,
      Collection<Budget> budgets,
      DrainOptions options,
      Config.Drain config,
      Instant now,
      Instant deadline) {
    var pace = new Pace(now, deadline, config.reserve());
    var lines = new ArrayList<String>();
    int toGo = plan.toEvict().size();
    lines.add(
        "node %s: %d pods to go, %d left alone%s"
            .formatted(
                node,
                toGo,
                plan.entries().stream().filter(e -> e.verdict() instanceof Verdict.Leave).count(),
                pace.limited() ? ", deadline " + time(deadline) : ", no deadline"));
    plan.errors().forEach(e -> lines.add("forbidden, so nothing would be evicted: " + e));
    plan.warnings().forEach(w -> lines.add("warning: " + w));
    tiers(plan, budgets, options, pace, now, lines);
    for (DrainPlan.Entry entry : plan.entries()) {
      switch (entry.verdict()) {
        case Verdict.Await() -> lines.add("waited for: %s is terminating".formatted(name(entry)));
        case Verdict.Leave(DrainPlan.Why why) ->
            lines.add("left alone: %s %s".formatted(name(entry), why.text()));
        case Verdict.Evict(), Verdict.Forbid _ -> {}
      }
    }
    return lines;
  }

  private static void tiers(
      DrainPlan plan,
      Collection<Budget> budgets,
      DrainOptions options,
      Pace pace,
      Instant now,
      List<String> lines) {
    List<Duration> graces =
        plan.tiers().values().stream().map(pods -> longest(pods, options)).toList();
    Duration longest = graces.stream().max(Duration::compareTo).orElse(Duration.ZERO);
    boolean forces = options.has(Flag.FORCE_AT_DEADLINE) && pace.limited();
    int i = 0;
    for (var tier : plan.tiers().entrySet()) {
      String start =
          i == 0
              ? "at once"
              : "when those before are gone, at the latest "
                  + (tier.getKey().phase() != Tier.Phase.WORKLOADS && !pace.limited()
                      ? "never"
                      : time(pace.latestStart(graces, i)));
      lines.add("%d. %s: %s".formatted(i + 1, tier.getKey(), start));
      for (Pod pod : tier.getValue()) {
        Duration grace = options.grace().orElse(pod.grace());
        lines.add("   %s, grace %d s".formatted(pod.fullName(), grace.toSeconds()));
        List<Budget> selecting = budgets.stream().filter(b -> b.selects(pod)).toList();
        boolean held = !mayGo(pod, selecting) && !options.has(Flag.DISABLE_EVICTION);
        if (held) {
          lines.add("      blocked: " + why(pod, selecting));
        }
        if (held && forces) {
          Instant at = pace.politeUntil(longest);
          Instant from = at.isBefore(now) ? now : at;
          lines.add(
              "      forced at %s with %d s unless it goes before"
                  .formatted(time(from), pace.clamped(grace, from).toSeconds()));
        }
      }
      i++;
    }
  }

  private static boolean mayGo(Pod pod, List<Budget> selecting) {
    // The API server minds no budget for a pod that does not run.
    return selecting.isEmpty()
        || pod.finished()
        || pod.phase() == Pod.Phase.PENDING
        || (selecting.size() == 1 && selecting.getFirst().lets(pod));
  }

  private static String why(Pod pod, List<Budget> selecting) {
    return selecting.size() > 1
        ? Holdups.several(selecting)
        : Holdups.one(selecting.getFirst(), pod);
  }

  private static Duration longest(List<Pod> pods, DrainOptions options) {
    return pods.stream()
        .map(p -> options.grace().orElse(p.grace()))
        .max(Duration::compareTo)
        .orElse(Duration.ZERO);
  }

  private static String name(DrainPlan.Entry entry) {
    return entry.pod().fullName();
  }

  private static String time(Instant at) {
    return at.truncatedTo(ChronoUnit.SECONDS).toString();
  }
}
