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
import nodeward.runtime.Remedy.Trouble;
import nodeward.runtime.Remedy.Verdict;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Mends a container runtime that does not work, within the bounds of {@link Remedy}: only when the
 * probe that failed fails once more, nobody has stopped it, the disk keeps up, it is this node's
 * turn in the cluster, and what is about to be done is written down. So it does nothing while the
 * API server is away. Whether a step helped is told by the same probe. One thread of its own does
 * all of it.
 */
public final class Remediation implements Component {
  private static final Logger log = LoggerFactory.getLogger(Remediation.class);
  // Between looks at a trouble; as long as a dump has to be written.
  private static final Duration INTERVAL = Duration.ofSeconds(5);
  private static final Duration REST = Duration.ofMinutes(1);
  private static final Duration UNIT_LIMIT = Duration.ofSeconds(10);
  // Before another node takes it, while this one waits for its drain.
  private static final Duration KEEP_TURN = Duration.ofMinutes(5);
  // Go's runtime writes its goroutines down on it (moby, cmd/dockerd; containerd, cmd/containerd).
  private static final int SIGUSR1 = 10;
  private static final int SIGKILL = 9;
  private static final String NOTHING = "nothing to do";

  private final Config.Remediation config;
  private final Map<String, String> unitNames;
  private final RuntimeWatch watch;
  private final Ports ports;
  private final Time time;
  private final RemedyFile file;
  private final Counter steps;
  private final Loop loop;

  // Touched by the loop's thread alone.
  private final Map<String, Remedy> remedies = new TreeMap<>();
  private final Map<String, String> toldOf = new TreeMap<>();
  private boolean read;
  private boolean ownTurn;
  private long turnTaken;
  private Instant due = Instant.MAX;
  // Written by the loop's thread, read by status().
  private volatile Map<String, String> shown = Map.of();

  /** What it mends with. */
  public record Ports(
      Units units,
      Disk disk,
      RepairTurn turn,
      NodeEvents events,
      Evacuation evacuation,
      Replacement replacement) {}

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
    this.time = time;
    this.file = new RemedyFile(state, config.dryRun());
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
    watch.onChange(loop::wake);
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
      // Nobody looks any more at a runtime whose unit is not configured.
      remedies.keySet().removeIf(runtime -> unitName(runtime).isEmpty());
      // An agent before may have had it.
      ownTurn = isTrouble();
      read = true;
    }
    due = now.plus(REST);
    var status = new TreeMap<String, String>();
    for (var held : watch.held().entrySet()) {
      String runtime = held.getKey();
      // Without a unit there is nobody to ask for a restart.
      if (!unitNames.getOrDefault(runtime, "").isEmpty()) {
        status.put(runtime, look(runtime, held.getValue(), now));
        tell(runtime, status.get(runtime));
      }
    }
    shown = Map.copyOf(status);
    keepDrained();
    if (ownTurn && !isTrouble()) {
      ports.turn.release();
      ownTurn = false;
    }
    Duration left = Duration.between(time.now(), due);
    return left.isNegative() ? Duration.ZERO : left;
  }

  /** The next pass is then, or earlier. */
  private void lookAgain(Instant at) {
    due = at.isBefore(due) ? at : due;
  }

  private boolean isTrouble() {
    return remedies.values().stream().anyMatch(r -> !(r.trouble() instanceof Trouble.None));
  }

  /** Decides about one runtime and does it; what is to be shown. */
  private String look(String runtime, RuntimeRecord held, Instant now) throws IOException {
    Optional<Units.Unit> unit =
        held instanceof RuntimeRecord.Broken ? unit(unitName(runtime)) : Optional.empty();
    Remedy before = remedies.getOrDefault(runtime, Remedy.NONE);
    var seen =
        new Remedy.Seen(
            held, unit.flatMap(Units.Unit::started), config.dryRun() || ports.evacuation.over());
    Decision decision = before.decide(seen, new Remedy.Rules(config), now);
    remedies.put(runtime, decision.next());
    if (!before.trouble().equals(decision.next().trouble())) {
      file.write(remedies);
      if (!(held instanceof RuntimeRecord.Gone)) {
        tellOutcome(runtime, before, decision.next());
      }
    }
    String what = carryOut(decision.verdict(), runtime, unit, now);
    if (!(decision.verdict() instanceof Verdict.Rest)) {
      lookAgain(time.now().plus(INTERVAL));
    }
    return what;
  }

  private String carryOut(Verdict verdict, String runtime, Optional<Units.Unit> unit, Instant now)
      throws IOException {
    return switch (verdict) {
      case Verdict.Rest() -> NOTHING;
      case Verdict.Wait(String why, Optional<Instant> until) -> {
        until.ifPresent(this::lookAgain);
        yield why;
      }
      case Verdict.GiveUp(String why) -> giveUp(runtime, why);
      case Verdict.Act(Step step) -> act(runtime, step, unit, now);
    };
  }

  /** The unit as systemd tells of it; without systemd's word it is not taken into account. */
  private Optional<Units.Unit> unit(String name) {
    try {
      return ports.units.unit(name, UNIT_LIMIT);
    } catch (IOException e) {
      log.debug("remediation: nobody tells of {} why=\"{}\"", name, e.getMessage());
      return Optional.empty();
    }
  }

  /** Keeps the node out of service as long as the runtime for which it was drained is no better. */
  private void keepDrained() throws IOException {
    Optional<Instant> drained =
        remedies.values().stream()
            .flatMap(remedy -> remedy.drain().stream())
            .map(Remedy.Deed::at)
            .min(Instant::compareTo);
    if (drained.isEmpty() || !config.drain() || config.dryRun()) {
      ports.evacuation.end();
      return;
    }
    ports.evacuation.keep(drained.get().plus(config.drainDeadline()));
    if (ownTurn
        && !ports.evacuation.over()
        && time.nanos() - turnTaken >= KEEP_TURN.toNanos()
        && ports.turn.take(config.minHealthyShare()) instanceof RepairTurn.Answer.Granted) {
      turnTaken = time.nanos();
    }
  }

  /** Does the step unless something speaks against it; what is to be shown. */
  private String act(String runtime, Step step, Optional<Units.Unit> unit, Instant now)
      throws IOException {
    String what = what(step, runtime);
    if (unit.filter(u -> u.activeState().equals("inactive")).isPresent()) {
      return "held back, somebody has stopped it: " + what;
    }
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
      case RepairTurn.Answer.Granted() -> {
        ownTurn = true;
        turnTaken = time.nanos();
      }
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
      perform(step, unitName(runtime), now);
    } catch (IOException e) {
      count(runtime, step, "failed");
      log.warn("remediation: {} failed why=\"{}\"", what, e.getMessage());
      return "%s failed: %s".formatted(what, e.getMessage());
    }
    return what;
  }

  private String what(Step step, String runtime) {
    return switch (step) {
      case DUMP, RESTART, KILL -> word(step) + " " + unitName(runtime);
      case DRAIN -> "drain the node";
      case REPLACE -> "replace the machine";
    };
  }

  private static String word(Step step) {
    return step.name().toLowerCase(Locale.ROOT);
  }

  private String unitName(String runtime) {
    return unitNames.getOrDefault(runtime, "");
  }

  private void perform(Step step, String unit, Instant now) throws IOException {
    switch (step) {
      case DUMP -> ports.units.kill(unit, SIGUSR1, UNIT_LIMIT);
      case RESTART -> ports.units.restart(unit, UNIT_LIMIT);
      case KILL -> ports.units.kill(unit, SIGKILL, UNIT_LIMIT);
      case DRAIN -> ports.evacuation.keep(now.plus(config.drainDeadline()));
      case REPLACE -> ports.replacement.ask();
    }
  }

  private void did(String runtime, Step step, Instant now, String outcome) throws IOException {
    Remedy before = remedies.getOrDefault(runtime, Remedy.NONE);
    var all = new TreeMap<>(remedies);
    all.put(runtime, before.did(step, now));
    file.write(all);
    remedies.putAll(all);
    count(runtime, step, outcome);
    // How long to wait now is decided at once; but a dump takes a while to be written.
    if (step != Step.DUMP) {
      lookAgain(time.now());
    }
  }

  private void count(String runtime, Step step, String outcome) {
    steps.labels(runtime, word(step), outcome).inc();
  }

  /** That a step was followed by a runtime that works, as the probe that had failed tells. */
  private void tellOutcome(String runtime, Remedy before, Remedy now) {
    Optional<Step> last = before.last();
    if (last.isEmpty()
        || config.dryRun()
        || !(before.trouble() instanceof Trouble.Down)
        || !(now.trouble() instanceof Trouble.Proving)) {
      return;
    }
    count(runtime, last.get(), "helped");
    ports.events.tell(
        NodeEvents.Type.NORMAL,
        "RuntimeRemediated",
        "%s works again after: %s".formatted(runtime, what(last.get(), runtime)));
    log.info("remediation: {} works again after: {}", runtime, what(last.get(), runtime));
  }

  private String giveUp(String runtime, String why) {
    if (!why.equals(toldOf.get(runtime)) && !config.dryRun()) {
      ports.events.tell(
          NodeEvents.Type.WARNING,
          "RuntimeRemediationFailed",
          "%s does not work, and %s".formatted(runtime, why));
    }
    return why;
  }

  private void tell(String runtime, String what) {
    if (!what.equals(toldOf.put(runtime, what)) && !what.equals(NOTHING)) {
      log.info("remediation: {} {}", runtime, what);
    }
  }
}
