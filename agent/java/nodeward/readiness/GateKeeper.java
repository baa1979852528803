package nodeward.readiness;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Changed;
import nodeward.node.NodeChange;
import nodeward.node.NodeEvents;
import nodeward.node.NodeView;
import nodeward.node.Nodes;
import nodeward.node.Pod;
import nodeward.node.Pods;
import nodeward.readiness.Gate.State;
import nodeward.readiness.Gate.Verdict;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries out what {@link Gate} decides: one loop, woken by each change of the Node and its pods,
 * writes the taint and the mark. While a watch is not in sync nothing is decided; a write that lost
 * a race is decided anew on a fresh read.
 */
public final class GateKeeper implements Component {
  private static final Logger log = LoggerFactory.getLogger(GateKeeper.class);
  private static final Duration WATCH_CHECK = Duration.ofSeconds(30);
  private static final int RACES = 5;

  private final Nodes nodes;
  private final Pods pods;
  private final NodeEvents events;
  private final Gate gate;
  private final Config.Gate config;
  private final Boot boot;
  private final Loop loop;
  private final Gauge open;
  private final Gauge missing;
  private final Counter writes;
  // Written by the loop's thread, read by status().
  private volatile State state = new State.Unregistered();
  private volatile String malformed = "";
  // The first judgement is news even when it finds what the fields above begin with.
  private boolean judged;
  private Optional<Written> written = Optional.empty();
  // The UIDs of pods that were seen not Ready by this process, and so in this boot; of those, the
  // Ready ones.
  private Set<String> down = Set.of();
  private Set<String> risen = Set.of();

  /**
   * The answer to our last write, true until the watch has moved on from what it was decided on.
   */
  private record Written(String before, NodeView after) {}

  public GateKeeper(
      Config.Gate config,
      Boot boot,
      Nodes nodes,
      Pods pods,
      NodeEvents events,
      Time time,
      CollectorRegistry registry) {
    this.config = config;
    this.boot = boot;
    this.nodes = nodes;
    this.pods = pods;
    this.events = events;
    this.gate = new Gate(config, boot);
    this.loop =
        new Loop(
            name(), this::pass, new Backoff(Duration.ofMillis(250), Duration.ofSeconds(15)), time);
    this.open = Gauge.build("nodeward_gate_open", "1 while the gate is open.").register(registry);
    this.missing =
        Gauge.build("nodeward_gate_missing", "1 while this DaemonSet keeps the gate closed.")
            .labelNames("daemonset")
            .register(registry);
    this.writes =
        Counter.build("nodeward_gate_writes_total", "Patches of the Node, by what came of them.")
            .labelNames("outcome")
            .register(registry);
    config.require().forEach(r -> missing.labels(r.toString()).set(1));
  }

  @Override
  public String name() {
    return "gate";
  }

  @Override
  public void start() {
    nodes.onChange(loop::wake);
    pods.onChange(loop::wake);
    loop.start();
  }

  @Override
  public Health health() {
    return loop.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    switch (state) {
      case State.Unregistered() -> status.put("state", "unregistered");
      case State.Closed(var why) -> {
        status.put("state", "closed");
        status.put("missing", why);
      }
      case State.Adopting(var why) -> {
        status.put("state", "adopting");
        status.put("missing", why);
      }
      case State.Open(var since) -> {
        status.put("state", "open");
        status.put("since", since.toString());
      }
    }
    return status;
  }

  @Override
  public void close() {
    loop.close();
  }

  Duration pass(Instant now) throws IOException {
    if (!nodes.watching() || !pods.watching()) {
      return WATCH_CHECK;
    }
    List<Pod> here = pods.current();
    watchRise(here);
    Optional<NodeView> node = seen();
    for (int race = 0; race < RACES; race++) {
      node.ifPresent(this::tellMalformed);
      Verdict verdict = gate.judge(node, here, risen, now);
      if (verdict.change().isEmpty()) {
        enter(verdict.state(), now);
        return WATCH_CHECK;
      }
      NodeChange change = verdict.change().get();
      switch (nodes.change(change)) {
        case Changed.Done(NodeView after) -> {
          writes.labels("done").inc();
          written = Optional.of(new Written(change.seen().resourceVersion(), after));
          enter(verdict.state(), now);
          return WATCH_CHECK;
        }
        case Changed.Absent() -> node = Optional.empty();
        case Changed.Stale(String why) -> {
          writes.labels("stale").inc();
          log.debug("gate: node={} changed meanwhile why=\"{}\"", nodes.nodeName(), why);
          node = nodes.read();
        }
      }
    }
    throw new IOException(
        "node " + nodes.nodeName() + " changed during each of " + RACES + " writes");
  }

  /**
   * Remembers which pods were down under our eyes: their being Ready later is of this boot whatever
   * the clocks say.
   */
  private void watchRise(List<Pod> here) {
    var stillDown = new HashSet<String>();
    var up = new HashSet<String>();
    for (Pod pod : here) {
      if (!pod.ready()) {
        stillDown.add(pod.uid());
      } else if (down.contains(pod.uid()) || risen.contains(pod.uid())) {
        up.add(pod.uid());
      }
    }
    down = stillDown;
    risen = up;
  }

  /** What the watch shows, or our own last write where the watch has not caught up with it. */
  private Optional<NodeView> seen() {
    Optional<NodeView> current = nodes.current();
    if (written.isPresent() && current.isPresent()) {
      if (current.get().resourceVersion().equals(written.get().before())) {
        return Optional.of(written.get().after());
      }
      written = Optional.empty();
    }
    return current;
  }

  private void tellMalformed(NodeView node) {
    String value = Gate.malformedMark(node).orElse("");
    if (!value.equals(malformed)) {
      malformed = value;
      if (!value.isEmpty()) {
        log.warn("gate: annotation {} is not readable and counts as absent", Mark.ANNOTATION);
      }
    }
  }

  /** The one place that tells a transition. */
  private void enter(State next, Instant now) {
    if (judged && next.equals(state)) {
      return;
    }
    judged = true;
    State before = state;
    state = next;
    open.set(next instanceof State.Open ? 1 : 0);
    SequencedMap<String, String> still =
        switch (next) {
          case State.Closed(var why) -> why;
          case State.Adopting(var why) -> why;
          case State.Open ignored -> new LinkedHashMap<>();
          case State.Unregistered ignored -> all("node is not registered");
        };
    for (var require : config.require()) {
      missing.labels(require.toString()).set(still.containsKey(require.toString()) ? 1 : 0);
    }
    switch (next) {
      case State.Unregistered() -> log.info("gate: node={} is not registered", nodes.nodeName());
      case State.Adopting(var why) ->
          log.info("gate: adopting node={} missing=\"{}\"", nodes.nodeName(), Gate.words(why));
      case State.Closed(var why) -> {
        log.info("gate: closed node={} missing=\"{}\"", nodes.nodeName(), Gate.words(why));
        if (!(before instanceof State.Closed)) {
          events.tell(
              NodeEvents.Type.NORMAL,
              "NodeGateClosed",
              "Workloads are kept away until these are Ready: " + Gate.words(why));
        }
      }
      case State.Open(var since) -> {
        if (before instanceof State.Open) {
          return;
        }
        long seconds = Duration.between(boot.at(), since).toSeconds();
        log.info("gate: open node={} since={} after_boot={}s", nodes.nodeName(), since, seconds);
        if (!(before instanceof State.Unregistered) || since.equals(now)) {
          events.tell(
              NodeEvents.Type.NORMAL,
              "NodeGateOpened",
              "System pods are Ready %d s after boot; workloads may come".formatted(seconds));
        }
      }
    }
  }

  private SequencedMap<String, String> all(String why) {
    var every = new LinkedHashMap<String, String>();
    config.require().forEach(r -> every.put(r.toString(), why));
    return every;
  }
}
