package nodeward.drain;

import static java.util.stream.Collectors.joining;
import static java.util.stream.Collectors.toUnmodifiableSet;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nodeward.node.Budget;
import nodeward.node.Budgets;
import nodeward.node.Pod;

/**
 * Watches the disruption budgets of the namespaces that have blocked pods, and only while they
 * have, so that a pod is tried again as soon as its budget lets it go. For the drain's thread
 * alone.
 */
final class Holdups {
  private final Budgets budgets;
  private Set<String> watched = Set.of();

  Holdups(Budgets budgets) {
    this.budgets = budgets;
  }

  /** Makes those due that may go now, no more than their budget allows at a time. */
  void review(Collection<Work> works, long now) {
    List<Work> blocked = works.stream().filter(Work::waitsForBudget).toList();
    watch(blocked.stream().map(w -> w.pod.namespace()).collect(toUnmodifiableSet()));
    // How many tries each state of a budget has seen; those whose answer is out count too.
    Map<String, Integer> tries = new HashMap<>();
    works.stream()
        .filter(w -> w.stage == Work.Stage.ASKING || w.waitsForBudget())
        .forEach(w -> tries.merge(w.triedOn, 1, Integer::sum));
    for (Work work : blocked) {
      budgets.current(work.pod.namespace()).ifPresent(all -> review(work, all, tries, now));
    }
  }

  /** Whether a change of the pod's budget would be seen. */
  boolean sees(Work work) {
    return budgets.current(work.pod.namespace()).isPresent();
  }

  void close() {
    watch(Set.of());
  }

  private void watch(Set<String> namespaces) {
    if (!namespaces.equals(watched)) {
      watched = namespaces;
      budgets.watch(namespaces);
    }
  }

  private static void review(Work work, List<Budget> all, Map<String, Integer> tries, long now) {
    List<Budget> selecting = all.stream().filter(b -> b.selects(work.pod)).toList();
    if (selecting.size() > 1) {
      work.why = "blocked: " + several(selecting);
      return;
    }
    Optional<Budget> budget = selecting.stream().findFirst();
    if (budget.filter(b -> !b.lets(work.pod)).isPresent()) {
      return;
    }
    String state = state(budget, work.pod);
    boolean counted = budget.filter(b -> !b.spares(work.pod)).isPresent();
    int already = tries.getOrDefault(state, 0);
    boolean full = counted && already >= budget.get().disruptionsAllowed();
    if (!state.equals(work.triedOn) && !full) {
      tries.merge(work.triedOn, -1, Integer::sum);
      tries.merge(state, 1, Integer::sum);
      work.triedOn = state;
      work.due = now;
    }
  }

  /** Changes with everything that may change the API server's mind about the pod. */
  private static String state(Optional<Budget> budget, Pod pod) {
    return pod.namespace()
        + (budget.isEmpty() ? "" : "/" + budget.get().name() + "@" + budget.get().resourceVersion())
        + (pod.ready() ? " ready" : " unready");
  }

  /** The API server evicts no pod that more than one budget selects, and does not name them. */
  static String several(List<Budget> selecting) {
    return "%d disruption budgets select it, with which the API server evicts it never: %s"
        .formatted(
            selecting.size(), selecting.stream().map(Budget::name).sorted().collect(joining(", ")));
  }

  /** What one budget holds against the pod, in words; for a pod that it does not let go. */
  static String one(Budget budget, Pod pod) {
    String unready = pod.ready() ? "" : "; the pod itself is not Ready and so blocks itself";
    String stale = budget.settled() ? "" : "; its controller has not looked at it yet";
    return "disruption budget " + budget + unready + stale;
  }
}
