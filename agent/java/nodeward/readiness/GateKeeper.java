package nodeward.readiness;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Supplier;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.Config.Gate.Mode;
import nodeward.node.Changed;
import nodeward.node.Conditions;
import nodeward.node.DaemonSets;
import nodeward.node.NodeChange;
import nodeward.node.NodeEvents;
import nodeward.node.NodeView;
import nodeward.node.Nodes;
import nodeward.node.Pods;
import nodeward.readiness.Gate.Cause;
import nodeward.readiness.Gate.State;
import nodeward.readiness.Gate.Verdict;
import nodeward.readiness.Requirement.Finding;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries out what {@link Gate} decides: one loop, woken by each change of the Node and its pods,
 * writes the taint and the mark. While a watch is not in sync nothing is decided; a write that lost
 * a race is decided anew on a fresh read; one that failed is tried again without end.
 */
public final class GateKeeper implements Component {
  /**
   * What the keeper asks and tells. {@code instanceId} gives an empty text while it is not known.
   */
  public record Ports(
      Nodes nodes,
      Pods pods,
      DaemonSets daemonSets,
      NodeEvents events,
      Conditions conditions,
      ClosedNodes closedNodes,
      Prober prober,
      Supplier<String> instanceId) {}

  private static final Logger log = LoggerFactory.getLogger(GateKeeper.class);
  private static final Duration WATCH_CHECK = Duration.ofMillis(500);
  private static final Duration WAITING = Duration.ofSeconds(1);
  private static final Duration AT_REST = Duration.ofSeconds(30);
  private static final Duration RETRY = Duration.ofSeconds(2);
  private static final Duration KEEP_PLACE = Duration.ofMinutes(6);
  private static final int RACES = 5;

  private final Config.Gate config;
  private final Boot boot;
  private final Ports ports;
  private final Time time;
  private final Gate gate;
  private final Roster roster;
  private final Contest overOpen;
  private final Contest overClosed;
  private final GateTeller teller;
  private final Loop loop;
  private final long started;
  // Written by the loop's thread, read by status().
  private volatile State state = new State.Unknown();
  private volatile SequencedMap<String, Finding> findings = new LinkedHashMap<>();
  // From here on for the loop's thread alone.
  private Optional<Written> written = Optional.empty();
  private Optional<Long> awaySince = Optional.empty();
  private Optional<Long> heldPlaceAt = Optional.empty();
  // The UID of the Node that had the whole gate taint while closed in this run.
  private Optional<String> guarded = Optional.empty();

  /**
   * The answer to our last write, true until the watch has moved on from what it was decided on.
   */
  private record Written(String before, NodeView after) {}

  public GateKeeper(
      Config.Gate config,
      Boot boot,
      Ports ports,
      Optional<LaunchWatch> launch,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.boot = boot;
    this.ports = ports;
    this.time = time;
    this.started = time.nanos();
    this.gate = new Gate(config, boot);
    this.roster = new Roster(config, boot, ports, time);
    this.overOpen = new Contest(Contest.Over.OPEN_NODE, ports.nodes(), ports.events(), time);
    this.overClosed = new Contest(Contest.Over.CLOSED_NODE, ports.nodes(), ports.events(), time);
    this.teller = new GateTeller(config, ports, launch, registry, time);
    this.loop = new Loop(name(), this::pass, new Backoff(Duration.ofMillis(250), RETRY), time);
  }

  @Override
  public String name() {
    return "gate";
  }

  @Override
  public void start() {
    ports.nodes().onChange(loop::wake);
    ports.pods().onChange(loop::wake);
    loop.start();
  }

  @Override
  public Health health() {
    return loop.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    return GateTeller.status(state, findings);
  }

  @Override
  public void close() {
    loop.close();
  }

  Duration pass(Instant now) throws IOException {
    if (!ports.nodes().watching() || !ports.pods().watching()) {
      return WATCH_CHECK;
    }
    keepPlace();
    Optional<NodeView> node = seen();
    for (int race = 0; race < RACES; race++) {
      if (node.isEmpty()) {
        awaySince = Optional.empty();
        enter(new State.Unregistered(), Cause.NONE);
        return AT_REST;
      }
      Verdict verdict = judge(node.get(), now);
      if (verdict.change().isEmpty() || !allowed(verdict)) {
        guard(node.get(), verdict.state());
        enter(verdict.state(), Cause.NONE);
        return rest();
      }
      NodeChange change = verdict.change().get();
      switch (ports.nodes().change(change)) {
        case Changed.Done(NodeView after) -> {
          written = Optional.of(new Written(change.seen().resourceVersion(), after));
          wrote(verdict.cause());
          guard(after, verdict.state());
          enter(verdict.state(), verdict.cause());
          return rest();
        }
        case Changed.Absent() -> node = Optional.empty();
        case Changed.Stale(String why) -> {
          teller.stale();
          log.debug("gate: node={} changed meanwhile why=\"{}\"", ports.nodes().nodeName(), why);
          node = ports.nodes().read();
        }
      }
    }
    throw new IOException(
        "node %s changed during each of %d writes".formatted(ports.nodes().nodeName(), RACES));
  }

  private Verdict judge(NodeView node, Instant now) throws IOException {
    teller.malformed(Gate.malformedMark(node));
    boolean open = gate.isOpen(node, ports.instanceId().get());
    findings =
        open && config.mode() == Mode.BOOTSTRAP
            ? new LinkedHashMap<>()
            : roster.findings(node, ports.pods().current());
    Verdict verdict = gate.judge(node, findings, ports.instanceId().get(), up(), now);
    if (open && verdict.cause() == Cause.NONE && awayForTooLong(verdict.state())) {
      return mayCloseAgain()
          ? gate.closeAgain(node, findings, ports.instanceId().get(), now)
          : verdict;
    }
    boolean taken =
        verdict.cause() == Cause.TAINT_MISSING && guarded.equals(Optional.of(node.uid()));
    return taken ? new Verdict(verdict.state(), Cause.TAINT_TAKEN, verdict.change()) : verdict;
  }

  /** Once the taint stands on a closed node, whoever takes it away does so under our eyes. */
  private void guard(NodeView node, State now) {
    boolean closed = now instanceof State.Closed || now instanceof State.Settling;
    guarded = closed ? Optional.of(node.uid()) : Optional.empty();
  }

  /**
   * By the clock that never jumps, whether a required pod has been missing for {@code
   * retaintAfter}.
   */
  private boolean awayForTooLong(State now) {
    if (!(now instanceof State.Open(_, var missing)) || missing.isEmpty()) {
      awaySince = Optional.empty();
      return false;
    }
    if (awaySince.isEmpty()) {
      awaySince = Optional.of(time.nanos());
    }
    return time.nanos() - awaySince.get() >= config.retaintAfter().toNanos();
  }

  private boolean mayCloseAgain() throws IOException {
    return switch (ports.closedNodes().take(config.maxClosedShare())) {
      case TAKEN -> {
        heldPlaceAt = Optional.of(time.nanos());
        yield true;
      }
      case FULL -> {
        teller.full(config.maxClosedShare());
        yield false;
      }
    };
  }

  /** A place among the closed nodes lapses unless it is taken again. */
  private void keepPlace() throws IOException {
    if (heldPlaceAt.isPresent()
        && time.nanos() - heldPlaceAt.get() >= KEEP_PLACE.toNanos()
        && !(state instanceof State.Open)) {
      ports.closedNodes().take(config.maxClosedShare());
      heldPlaceAt = Optional.of(time.nanos());
    }
  }

  private boolean allowed(Verdict verdict) throws IOException {
    return switch (verdict.cause()) {
      case TAINT_RETURNED -> overOpen.mayAnswer();
      case TAINT_TAKEN -> overClosed.mayAnswer();
      case NONE, OPENED, ADOPTED, TAINT_MISSING, CLOSED_AGAIN -> true;
    };
  }

  private void wrote(Cause cause) throws IOException {
    teller.wrote(cause);
    switch (cause) {
      case OPENED, ADOPTED -> {
        awaySince = Optional.empty();
        // One that was closed again before a restart holds a place that this run has not taken.
        if (config.mode() == Mode.CONTINUOUS) {
          ports.closedNodes().release();
          heldPlaceAt = Optional.empty();
        }
      }
      case TAINT_RETURNED -> overOpen.answered();
      case TAINT_TAKEN -> overClosed.answered();
      case TAINT_MISSING, CLOSED_AGAIN, NONE -> {}
    }
  }

  private void enter(State next, Cause cause) {
    State before = state;
    state = next;
    teller.entered(before, next, cause, findings, up());
  }

  /** How soon to look again without being woken. */
  private Duration rest() {
    return switch (state) {
      case State.Open(_, var missing) when missing.isEmpty() -> overOpen.rest(AT_REST);
      case State.Closed _, State.Settling _ -> overClosed.rest(WAITING);
      case State.Unknown _, State.Unregistered _, State.Adopting _, State.Open _ -> WAITING;
    };
  }

  private Duration up() {
    return boot.uptime().plusNanos(time.nanos() - started);
  }

  /** What the watch shows, or our own last write where the watch has not caught up with it. */
  private Optional<NodeView> seen() {
    Optional<NodeView> current = ports.nodes().current();
    if (written.isPresent() && current.isPresent()) {
      if (current.get().resourceVersion().equals(written.get().before())) {
        return Optional.of(written.get().after());
      }
      written = Optional.empty();
    }
    return current;
  }

  static List<String> names(Config.Gate config) {
    return config.require().stream().map(Config.Gate.Require::toString).toList();
  }
}
