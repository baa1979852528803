package nodeward.drain;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Evictions;
import nodeward.node.Pods;

/**
 * Drains one node: everything a {@link Drain} needs, and the one listener at the watch that wakes
 * the drains that run. Any thread may prepare a drain.
 */
public final class Drainer {
  final Pods pods;
  final Evictions evictions;
  final Duration retryInterval;
  final Counter outcomes;
  final Time time;
  private final List<Drain> running = new CopyOnWriteArrayList<>();

  public Drainer(
      Pods pods, Evictions evictions, Config.Drain config, CollectorRegistry registry, Time time) {
    this.pods = pods;
    this.evictions = evictions;
    this.retryInterval = config.retryInterval();
    this.time = time;
    this.outcomes =
        Counter.build("nodeward_drain_pods_total", "Pods of ended drains by what became of them.")
            .labelNames("outcome")
            .register(registry);
    List.of("evicted", "gone", "left").forEach(outcomes::labels);
    pods.onChange(() -> running.forEach(Drain::wake));
  }

  /**
   * A drain that is not started yet. Without a deadline ({@link Instant#MAX}) it ends only when no
   * pod is left or nothing more can be done for those that are. Pods that the options forbid to
   * evict are left and the others evicted: who wants none evicted then, as kubectl does, looks at
   * {@link DrainPlan#errors} first.
   */
  public Drain prepare(DrainOptions options, Instant deadline, Consumer<Progress> progress) {
    return new Drain(this, options, deadline, progress);
  }

  void started(Drain drain) {
    running.add(drain);
  }

  void ended(Drain drain) {
    running.remove(drain);
  }
}
