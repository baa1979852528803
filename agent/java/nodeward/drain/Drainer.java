package nodeward.drain;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Attachments;
import nodeward.node.Budgets;
import nodeward.node.Evictions;
import nodeward.node.Pods;

/**
 * Drains one node: everything a {@link Drain} needs, and the listeners at the watches that wake the
 * drains that run. Any thread may prepare a drain; one runs at a time.
 */
public final class Drainer {
  final Ports ports;
  final Config.Drain config;
  final Counter outcomes;
  final Counter retries;
  final Gauge phases;
  final Time time;
  private final List<Drain> running = new CopyOnWriteArrayList<>();

  /** The outside world of it. */
  public record Ports(Pods pods, Evictions evictions, Budgets budgets, Attachments attachments) {
    /** Without budgets, so that blocked pods are tried again by the clock, and without volumes. */
    public static Ports of(Pods pods, Evictions evictions) {
      return new Ports(pods, evictions, Budgets.UNKNOWN, Attachments.NONE);
    }
  }

  public Drainer(Ports ports, Config.Drain config, CollectorRegistry registry, Time time) {
    this.ports = ports;
    this.config = config;
    this.time = time;
    this.outcomes =
        Counter.build("nodeward_drain_pods_total", "Pods of ended drains by what became of them.")
            .labelNames("outcome")
            .register(registry);
    this.retries =
        Counter.build("nodeward_drain_retries_total", "Evictions that did not go through, by why.")
            .labelNames("why")
            .register(registry);
    this.phases =
        Gauge.build("nodeward_drain_phase_seconds", "Seconds that the last drain spent, by phase.")
            .labelNames("phase")
            .register(registry);
    List.of("evicted", "forced", "gone", "left").forEach(outcomes::labels);
    List.of("blocked", "failed", "refused").forEach(retries::labels);
    ports.pods.onChange(() -> running.forEach(Drain::wake));
    ports.budgets.onChange(() -> running.forEach(Drain::wake));
  }

  /**
   * A drain that is not started yet. Without a deadline ({@link Instant#MAX}) it ends only when no
   * pod is left or nothing more can be done for those that are. Pods that the options forbid to
   * evict are left and the others evicted: who wants none evicted then, as kubectl does, looks at
   * {@link DrainPlan#errors} first.
   */
  public Drain prepare(DrainOptions options, Instant deadline, Consumer<Progress> progress) {
    return prepare(options, DrainPlan.Facts.at(time.now()), deadline, progress);
  }

  /** As above, with what is known of the DaemonSets. */
  public Drain prepare(
      DrainOptions options, DrainPlan.Facts facts, Instant deadline, Consumer<Progress> progress) {
    return new Drain(this, options, facts, deadline, progress);
  }

  /** Whether pods are deleted at the deadline that a notice of the kind sets. */
  public boolean forcesFor(String kind) {
    return config.forceFor().contains(kind);
  }

  void started(Drain drain) {
    running.add(drain);
  }

  void ended(Drain drain) {
    running.remove(drain);
  }
}
