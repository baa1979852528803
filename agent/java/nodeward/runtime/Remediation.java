package nodeward.runtime;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.NodeEvents;
import nodeward.runtime.Remedy.Decision;
import nodeward.runtime.Remedy.Step;
import nodeward.runtime.Remedy.Verdict;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Mends a container runtime that does not work, within the bounds of {@link Remedy}: only when the
 * probe that failed fails once more, the disk keeps up, it is this node's turn in the cluster, and
 * what is about to be done is written down. So it does nothing while the API server is away. One
 * thread of its own does all of it.
 */
public final class Remediation implements Component {
  private static final Logger log = LoggerFactory.getLogger(Remediation.class);
  private static final Duration INTERVAL = Duration.ofSeconds(5);
  private static final Duration UNIT_LIMIT = Duration.ofSeconds(10);
  // Go's runtime writes its goroutines down on it (moby, cmd/dockerd; containerd, cmd/containerd).
  private static final int SIGUSR1 = 10;
  private static final int SIGKILL = 9;

  private final Config.Remediation config;
  private final Map<String, String> unitNames;
  private final RuntimeWatch watch;
  private final Ports ports;
  private final RemedyFile file;
  private final Counter steps;
  private final Loop loop;

  // Touched by the loop's thread alone.
  private final Map<String, Remedy> remedies = new TreeMap<>();
  private final Map<String, String> toldOf = new TreeMap<>();
  private boolean read;
  private boolean ownTurn;
  // Written by the loop's thread, read by status().
  private volatile Map<String, String> shown = Map.of();

  /** What it mends with. */
  public record Ports(Units units, Disk disk, RepairTurn turn, NodeEvents events) {}

  public Remediation(
      Config.ContainerRuntime runtime,
      Path state,
      RuntimeWatch watch,
      Ports ports,
      CollectorRegistry registry,
      Time time) {
    this.config = runtime.remediation();
    this.unitNames = Map.of("docker", runtime.dockerUnit(), "containerd", runtime.containerdUnit());
    this.watch = watch;
    this.ports = ports;
    this.file = new RemedyFile(state);
    this.steps =
        Counter.build(
                "nodeward_runtime_remediation_steps_total",
                "What was done, or in a dry run would have been, to a runtime.")
            .labelNames("runtime", "step", "outcome")
            .register(registry);
    this.loop =
        new Loop(
            name(), this::pass, new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30)), time);
  }

  @Override
  public String name() {
    return "remediation";
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
    var status = new LinkedHashMap<String, Object>();
    status.put("dryRun", config.dryRun());
    status.putAll(shown);
    return status;
  }

  @Override
  public void close() {
    loop.close();
  }

  /** One look at each runtime; the loop's pass. */
  Duration pass(Instant now) throws IOException {
    if (!read) {
      remedies.putAll(file.read());
      read = true;
    }
    var status = new TreeMap<String, String>();
    boolean needed = false;
    for (var held : watch.held().entrySet()) {
      String runtime = held.getKey();
      // Without a unit there is nobody to ask for a restart.
      if (unitNames.getOrDefault(runtime, "").isEmpty()) {
        continue;
      }
      Remedy before = remedies.getOrDefault(runtime, Remedy.NONE);
      Decision decision = before.decide(held.getValue(), new Remedy.Rules(config), now);
      remedies.put(runtime, decision.next());
      boolean began = !before.since().equals(decision.next().since());
      if (began) {
        file.write(remedies);
      }
      needed |= decision.next().since().isPresent();
      status.put(
          runtime,
          switch (decision.verdict()) {
            case Verdict.Rest() -> "nothing to do";
            case Verdict.Wait(String why) -> why;
            case Verdict.Act(Step step) -> act(runtime, step, now);
          });
      tell(runtime, status.get(runtime));
    }
    shown = Map.copyOf(status);
    if (ownTurn && !needed) {
      ports.turn.release();
      ownTurn = false;
    }
    return INTERVAL;
  }

  /** Does the step unless something speaks against it; what is to be shown. */
  private String act(String runtime, Step step, Instant now) throws IOException {
    String unit = unitNames.getOrDefault(runtime, "");
    String what = "%s %s".formatted(step.name().toLowerCase(Locale.ROOT), unit);
    if (ports.disk.stalled().orElse(0) >= Disk.PRESSURE) {
      return "held back, the disk is under pressure: " + what;
    }
    Optional<String> recovered = watch.recovered(runtime);
    if (recovered.isPresent()) {
      return "held back, the probe does not fail any more: " + recovered.get();
    }
    if (config.dryRun()) {
      did(runtime, step, now, "dry_run");
      ports.events.tell(
          NodeEvents.Type.NORMAL, "RuntimeRemediationDryRun", "would " + what + ", dry run");
      return "dry run, would " + what;
    }
    switch (ports.turn.take(config.minHealthyShare())) {
      case RepairTurn.Answer.Granted() -> ownTurn = true;
      case RepairTurn.Answer.Denied(String why) -> {
        return "held back, %s: %s".formatted(why, what);
      }
    }
    // First written down, then done: an agent that dies in between has used up the step.
    did(runtime, step, now, "done");
    ports.events.tell(
        NodeEvents.Type.WARNING,
        "RuntimeRemediation",
        "%s, for %s does not work".formatted(what, runtime));
    log.warn("remediation: {} runtime={}", what, runtime);
    try {
      perform(step, unit);
    } catch (IOException e) {
      steps.labels(runtime, step.name().toLowerCase(Locale.ROOT), "failed").inc();
      log.warn("remediation: {} failed why=\"{}\"", what, e.getMessage());
      return "%s failed: %s".formatted(what, e.getMessage());
    }
    return what;
  }

  private void perform(Step step, String unit) throws IOException {
    switch (step) {
      case DUMP -> ports.units.kill(unit, SIGUSR1, UNIT_LIMIT);
      case RESTART -> ports.units.restart(unit, UNIT_LIMIT);
      case KILL -> ports.units.kill(unit, SIGKILL, UNIT_LIMIT);
    }
  }

  private void did(String runtime, Step step, Instant now, String outcome) throws IOException {
    Remedy before = remedies.getOrDefault(runtime, Remedy.NONE);
    var all = new TreeMap<>(remedies);
    all.put(runtime, before.did(step, now));
    file.write(all);
    remedies.putAll(all);
    steps.labels(runtime, step.name().toLowerCase(Locale.ROOT), outcome).inc();
  }

  private void tell(String runtime, String what) {
    if (!what.equals(toldOf.put(runtime, what)) && !what.equals("nothing to do")) {
      log.info("remediation: {} {}", runtime, what);
    }
  }
}
