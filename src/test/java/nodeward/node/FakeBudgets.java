package nodeward.node;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Disruption budgets in memory; those of a namespace are seen only while it is watched. */
public final class FakeBudgets implements Budgets {
  private final Map<String, Budget> budgets = new LinkedHashMap<>();
  private final List<Runnable> listeners = new ArrayList<>();
  private Set<String> watched = Set.of();
  private int version;

  /** What was watched, in order. */
  public final List<Set<String>> watches = new ArrayList<>();

  /** A budget that selects the pods of label {@code app}. */
  public synchronized void put(String namespace, String name, String app, int allowed) {
    budgets.put(
        namespace + "/" + name,
        new Budget(
            namespace,
            name,
            Integer.toString(++version),
            LabelSelector.of(List.of(new LabelSelector.Requirement("app", "In", List.of(app)))),
            2,
            2,
            allowed,
            Budget.Unready.IF_HEALTHY,
            true));
    listeners.forEach(Runnable::run);
  }

  public synchronized void remove(String namespace, String name) {
    budgets.remove(namespace + "/" + name);
    listeners.forEach(Runnable::run);
  }

  public synchronized Set<String> watched() {
    return watched;
  }

  @Override
  public synchronized void watch(Set<String> namespaces) {
    watched = Set.copyOf(namespaces);
    watches.add(watched);
  }

  @Override
  public synchronized Optional<List<Budget>> current(String namespace) {
    return watched.contains(namespace) ? Optional.of(read(namespace)) : Optional.empty();
  }

  @Override
  public synchronized void onChange(Runnable listener) {
    listeners.add(listener);
  }

  @Override
  public synchronized List<Budget> read(String namespace) {
    return budgets.values().stream().filter(b -> b.namespace().equals(namespace)).toList();
  }
}
