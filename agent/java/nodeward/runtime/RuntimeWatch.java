package nodeward.runtime;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Gauge;
import io.prometheus.client.Histogram;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Condition;
import nodeward.node.Conditions;
import nodeward.runtime.Probed.Slow;
import nodeward.runtime.RuntimeRecord.Broken;
import nodeward.runtime.RuntimeRecord.Gone;
import nodeward.runtime.RuntimeRecord.Undecided;
import nodeward.runtime.RuntimeRecord.Working;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Probes the container runtimes of this node, shows them as metrics and states the condition {@code
 * ContainerRuntimeUnhealthy}. Each probe runs on a virtual thread of its own; one that is still
 * stuck when its next turn comes is a failure and is not started again, so a runtime that hangs
 * holds one thread and nobody else.
 */
public final class RuntimeWatch implements Component {
  static final String CONDITION = "ContainerRuntimeUnhealthy";

  private static final Logger log = LoggerFactory.getLogger(RuntimeWatch.class);
  private static final String PRESSED = "; the disk is under pressure, see /proc/pressure/io";
  // A probe keeps its own limit; this much later the watch stops waiting for it.
  private static final Duration GRACE = Duration.ofSeconds(3);

  private final Config.ContainerRuntime config;
  private final Disk disk;
  private final Conditions conditions;
  private final Time time;
  private final Gauge up;
  private final Histogram seconds;
  private final List<Watched> runtimes = new ArrayList<>();
  private final Loop loop;
  // Set by who mends, before or while the loop's thread runs.
  private volatile Runnable changed = () -> {};

  /** The daemons of the node, and what explains them. */
  public record Ports(
      DockerApi docker, CriApi containerd, KubeletApi kubelet, Units units, Disk disk) {}

  public RuntimeWatch(
      Config.ContainerRuntime config,
      Ports ports,
      Conditions conditions,
      CollectorRegistry registry,
      Time time) {
    this(config, probes(config, ports), ports.disk, conditions, registry, time);
  }

  RuntimeWatch(
      Config.ContainerRuntime config,
      List<RuntimeProbe> probes,
      Disk disk,
      Conditions conditions,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.disk = disk;
    this.conditions = conditions;
    this.time = time;
    this.up =
        Gauge.build("nodeward_runtime_up", "Whether the container runtime answered its last probe.")
            .labelNames("runtime")
            .register(registry);
    this.seconds =
        Histogram.build(
                "nodeward_runtime_probe_seconds", "How long probes of the container runtime took.")
            .labelNames("runtime")
            .buckets(0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60)
            .register(registry);
    probes.forEach(probe -> runtimes.add(new Watched(probe)));
    this.loop =
        new Loop(
            name(),
            this::pass,
            new Backoff(Duration.ofSeconds(1), config.interval().plusSeconds(1)),
            time);
  }

  private static List<RuntimeProbe> probes(Config.ContainerRuntime config, Ports ports) {
    var probes = new ArrayList<RuntimeProbe>();
    probes.add(new DockerProbe(config, ports.docker, ports.units));
    probes.add(new ContainerdProbe(config, ports.containerd));
    if (config.kubeletHealth().isPresent()) {
      probes.add(new KubeletProbe(ports.kubelet));
    }
    return probes;
  }

  @Override
  public String name() {
    return "runtime";
  }

  @Override
  public void start() {
    loop.start();
  }

  @Override
  public Health health() {
    return loop.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var shown = new LinkedHashMap<String, Object>();
    for (Watched runtime : runtimes) {
      shown.put(
          runtime.probe.runtime(),
          switch (runtime.held) {
            case Undecided undecided -> "not known yet, failures " + undecided.failures();
            case Gone gone -> "absent: " + gone.why();
            case Working working when working.failures() > 0 ->
                "working: %s, but failures %d".formatted(working.what(), working.failures());
            case Working working -> "working: " + working.what();
            case Broken broken -> "broken: " + broken.cause().why();
          });
    }
    return shown;
  }

  @Override
  public void close() {
    loop.close();
    runtimes.forEach(Watched::abandon);
  }

  /** Is run after each pass that found something new; must not block. */
  void onChange(Runnable told) {
    changed = told;
  }

  /** What is held of each runtime, by its name. */
  Map<String, RuntimeRecord> held() {
    var held = new LinkedHashMap<String, RuntimeRecord>();
    runtimes.forEach(runtime -> held.put(runtime.probe.runtime(), runtime.held));
    return held;
  }

  /** Probes a runtime once more; what it finds if that is not a failure of the runtime itself. */
  Optional<String> recovered(String runtime) {
    RuntimeProbe probe =
        runtimes.stream()
            .map(watched -> watched.probe)
            .filter(p -> p.runtime().equals(runtime))
            .findFirst()
            .orElseThrow();
    return switch (probe.probe(config.timeout())) {
      case Probed.Failed _, Probed.Hung _ -> Optional.empty();
      case Probed.Healthy(String what) -> Optional.of(what);
      case Probed.Absent(String why) -> Optional.of(why);
      case Probed.ContainersHung(String why) -> Optional.of(why);
      case Slow(String why) -> Optional.of(why);
    };
  }

  /** One probe of each runtime; the loop's pass. */
  Duration pass(Instant now) throws InterruptedException {
    long deadline =
        System.nanoTime()
            + config.timeout().multipliedBy(RuntimeProbe.ROUNDS).plus(GRACE).toNanos();
    runtimes.forEach(Watched::begin);
    Map<String, RuntimeRecord> before = held();
    for (Watched runtime : runtimes) {
      runtime.take(runtime.await(deadline));
    }
    state();
    if (!held().equals(before)) {
      changed.run();
    }
    return config.interval();
  }

  private void state() {
    runtimes.stream()
        .collect(Collectors.groupingBy(Watched::condition, LinkedHashMap::new, Collectors.toList()))
        .forEach(this::state);
  }

  private void state(String condition, List<Watched> of) {
    // What does not work at all comes before what does not work well.
    Optional<Watched> worst =
        of.stream()
            .filter(r -> r.held instanceof Broken)
            .min(Comparator.comparing(r -> ((Broken) r.held).cause() instanceof Slow));
    if (worst.isPresent() && worst.get().held instanceof Broken(Probed.Bad cause)) {
      conditions.set(
          condition, Condition.Status.TRUE, worst.get().probe.reason(cause), cause.why());
      return;
    }
    if (of.stream().anyMatch(r -> r.held instanceof Undecided)) {
      return; // what was stated before, by this process or the one before it, still stands
    }
    List<String> working =
        of.stream()
            .map(r -> r.held)
            .filter(Working.class::isInstance)
            .map(held -> ((Working) held).what())
            .toList();
    if (!working.isEmpty()) {
      conditions.set(
          condition,
          Condition.Status.FALSE,
          of.getFirst().probe.healthyReason(),
          "healthy: " + String.join(", ", working));
    } else if (condition.equals(CONDITION)) {
      conditions.set(
          condition,
          Condition.Status.UNKNOWN,
          "NoContainerRuntime",
          String.join("; ", of.stream().map(Watched::absence).toList()));
    }
  }

  /** One runtime with its probe, and the run of it that is under way. Of the loop's thread. */
  private final class Watched {
    private final RuntimeProbe probe;
    private FutureTask<Probed> run = finished();
    private Instant began = Instant.EPOCH;
    // Written by the loop's thread, read by status().
    private volatile RuntimeRecord held = RuntimeRecord.NEW;

    Watched(RuntimeProbe probe) {
      this.probe = probe;
    }

    private static FutureTask<Probed> finished() {
      var task = new FutureTask<Probed>(() -> new Probed.Absent("not probed yet"));
      task.run();
      return task;
    }

    void begin() {
      if (!run.isDone()) {
        return;
      }
      began = time.now();
      run = new FutureTask<>(this::timed);
      Thread.ofVirtual().name("probe-" + probe.runtime()).start(run);
    }

    private Probed timed() {
      long start = System.nanoTime();
      Probed probed = probe.probe(config.timeout());
      long took = System.nanoTime() - start;
      if (!(probed instanceof Probed.Absent)) {
        seconds.labels(probe.runtime()).observe(took / 1e9);
      }
      return explained(judged(probed, took));
    }

    private Probed judged(Probed probed, long took) {
      return probed instanceof Probed.Healthy(String what) && took >= config.slowAfter().toNanos()
          ? new Slow(
              "%s answers later than after %d s".formatted(what, config.slowAfter().toSeconds()))
          : probed;
    }

    /** A disk that cannot keep up makes daemons late; whoever reads of them wants to know. */
    private Probed explained(Probed probed) {
      return switch (probed) {
        case Slow(String why) when pressed() -> new Slow(why + PRESSED);
        case Probed.Hung(String why) when pressed() -> new Probed.Hung(why + PRESSED);
        default -> probed;
      };
    }

    private boolean pressed() {
      try {
        return disk.stalled().orElse(0) >= Disk.PRESSURE;
      } catch (IOException e) {
        log.debug("runtime: the pressure on the disk is not known why=\"{}\"", e.getMessage());
        return false;
      }
    }

    String condition() {
      return probe.condition();
    }

    Probed await(long deadline) throws InterruptedException {
      try {
        return run.get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
      } catch (TimeoutException e) {
        return new Probed.Hung(
            "a probe of %s is stuck since %s"
                .formatted(probe.runtime(), began.truncatedTo(ChronoUnit.SECONDS)));
      } catch (ExecutionException e) {
        throw new IllegalStateException("the probe of " + probe.runtime() + " broke", e.getCause());
      }
    }

    void take(Probed probed) {
      switch (probed) {
        case Probed.Healthy _, Probed.ContainersHung _, Slow _ -> up.labels(probe.runtime()).set(1);
        case Probed.Failed _, Probed.Hung _ -> up.labels(probe.runtime()).set(0);
        case Probed.Absent _ -> up.remove(probe.runtime());
      }
      RuntimeRecord next = RuntimeRecord.next(held, probed, config.failures());
      tell(probed, next);
      held = next;
    }

    private void tell(Probed probed, RuntimeRecord next) {
      String runtime = probe.runtime();
      switch (next) {
        case Working working when !(held instanceof Working) ->
            log.info("runtime: {} works what=\"{}\"", runtime, working.what());
        case Gone gone when !(held instanceof Gone) ->
            log.info("runtime: {} is absent why=\"{}\"", runtime, gone.why());
        case Broken broken when !broken.equals(held) ->
            log.warn("runtime: {} is broken why=\"{}\"", runtime, broken.cause().why());
        case Undecided(int failures) when failures == 1 -> warn(probed);
        case Working(_, int failures) when failures == 1 -> warn(probed);
        case Undecided _, Working _, Gone _, Broken _ ->
            log.debug("runtime: probed {} found={}", runtime, probed);
      }
    }

    private void warn(Probed probed) {
      if (probed instanceof Probed.Bad bad) {
        log.warn(
            "runtime: a probe of {} failed why=\"{}\" failures=1 of={}",
            probe.runtime(),
            bad.why(),
            config.failures());
      }
    }

    String absence() {
      return held instanceof Gone gone ? gone.why() : "";
    }

    void abandon() {
      run.cancel(true);
    }
  }
}
