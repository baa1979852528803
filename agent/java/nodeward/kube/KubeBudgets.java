package nodeward.kube;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.StreamSupport;
import nodeward.node.Budget;
import nodeward.node.Budgets;

/**
 * The disruption budgets of policy/v1, one watch for each namespace that is asked for and only as
 * long as it is. An API server that is away, or that does not allow it, is tried again by the
 * watch; until then nothing is known. Safe for use by several threads.
 */
public final class KubeBudgets implements Budgets, AutoCloseable {
  private final KubeClient kube;
  private final Map<String, Watch<Watched.BudgetItem, Budget>> watches = new ConcurrentHashMap<>();
  private final List<Runnable> listeners = new CopyOnWriteArrayList<>();

  public KubeBudgets(KubeClient kube) {
    this.kube = kube;
  }

  @Override
  public synchronized void watch(Set<String> namespaces) {
    watches
        .entrySet()
        .removeIf(
            e -> {
              boolean over = !namespaces.contains(e.getKey());
              if (over) {
                e.getValue().close();
              }
              return over;
            });
    namespaces.forEach(n -> watches.computeIfAbsent(n, this::open));
  }

  private Watch<Watched.BudgetItem, Budget> open(String namespace) {
    var watch =
        new Watch<>(
            namespace + "/poddisruptionbudgets",
            kube,
            client -> client.resources(Watched.BudgetItem.class).inNamespace(namespace),
            Watched.BudgetItem::new);
    watch.onChange(() -> listeners.forEach(Runnable::run));
    watch.start();
    return watch;
  }

  @Override
  public Optional<List<Budget>> current(String namespace) {
    return Optional.ofNullable(watches.get(namespace)).filter(Watch::watching).map(Watch::current);
  }

  @Override
  public void onChange(Runnable listener) {
    listeners.add(listener);
  }

  @Override
  public List<Budget> read(String namespace) throws IOException {
    Answer answer =
        kube.get(
            "list disruption budgets of namespace " + namespace,
            "/apis/policy/v1/namespaces/%s/poddisruptionbudgets"
                    .formatted(KubeClient.segment(namespace))
                // Marks it as a list of ours and not a watch's; a namespace holds far fewer.
                + "?limit=10000");
    if (!answer.accepted()) {
      throw answer.failure();
    }
    return StreamSupport.stream(answer.json().path("items").spliterator(), false)
        .map(Domain::budget)
        .toList();
  }

  @Override
  public void close() {
    watch(Set.of());
  }
}
