package nodeward.condition;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.random.RandomGenerator;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Changed;
import nodeward.node.Condition;
import nodeward.node.Condition.Status;
import nodeward.node.Conditions;
import nodeward.node.NodeEvents;
import nodeward.node.NodeView;
import nodeward.node.Nodes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * Holds all conditions that the agent states and writes them to the Node together: soon after one
 * of them changed, and as a heartbeat. While there is no Node or no API server it only remembers,
 * and writes the last state once when it can. Any thread may state a condition; one thread of its
 * own writes.
 */
public final class ConditionBoard implements Component, Conditions {
  /** Changes within this time of the first travel in one patch. */
  static final Duration GATHER = Duration.ofMillis(500);

  static final String STOPPED = "AgentStopped";

  /** The types that any agent of this kind states, or did once. */
  private static final Set<String> OWN =
      Set.of(
          "ConntrackPressure",
          "ContainerRuntimeUnhealthy",
          "KubeletUnhealthy",
          "ReadinessGateClosed");

  private static final Logger log = LoggerFactory.getLogger(ConditionBoard.class);
  private static final Duration FAREWELL_LIMIT = Duration.ofSeconds(2);
  private static final double JITTER = 0.2;

  private final Nodes nodes;
  private final NodeEvents events;
  private final StatedTypes memory;
  private final Duration heartbeat;
  private final Gauge bad;
  private final Counter patches;
  private final Time time;
  private final RandomGenerator random;
  private final Loop loop;

  // Guarded by this: features state from their own threads.
  private final SequencedMap<String, Stated> stated = new LinkedHashMap<>();
  // The types whose changes their feature tells itself; guarded by this.
  private final Set<String> noted = new HashSet<>();
  private Optional<Long> changedAt = Optional.empty();
  private boolean closed;

  // Replaced by the loop's thread, read by close(), which does not wait for that thread for ever.
  private volatile SequencedMap<String, Condition> written = new LinkedHashMap<>();
  // Touched by the loop's thread alone.
  private String writtenTo = "";
  private boolean tidied;
  // What the agent before wrote, by its account, until it is removed.
  private Set<String> remembered = Set.of();
  private boolean recalled;
  private long heartbeatAt;

  /** A condition as a feature wants it, since when its status is what it is. */
  private record Stated(Status status, String reason, String message, Instant since) {}

  public ConditionBoard(
      Nodes nodes,
      NodeEvents events,
      Config.Conditions config,
      CollectorRegistry registry,
      Path state,
      Time time,
      RandomGenerator random) {
    this.nodes = nodes;
    this.events = events;
    this.memory = new StatedTypes(state);
    this.heartbeat = config.heartbeat();
    this.time = time;
    this.random = random;
    this.bad =
        Gauge.build(
                "nodeward_condition_bad", "1 while the condition is True, 0 False, NaN Unknown.")
            .labelNames("type")
            .register(registry);
    this.patches =
        Counter.build("nodeward_condition_patches_total", "Status patches of the Node written.")
            .register(registry);
    this.loop = new Loop(name(), this::pass);
  }

  @Override
  public String name() {
    return "conditions";
  }

  @Override
  public void start() {
    nodes.onChange(loop::wake);
    loop.start();
  }

  @Override
  public Health health() {
    return loop.health();
  }

  @Override
  public synchronized SequencedMap<String, Object> status() {
    var shown = new LinkedHashMap<String, Object>();
    stated.forEach(
        (type, now) ->
            shown.put(
                type, "%s %s: %s".formatted(now.status().text(), now.reason(), now.message())));
    return shown;
  }

  @Override
  public void set(String type, Status status, String reason, String message) {
    state(type, status, reason, message);
  }

  @Override
  public void note(String type, Status status, String reason, String message) {
    synchronized (this) {
      noted.add(type);
    }
    state(type, status, reason, message);
  }

  private void state(String type, Status status, String reason, String message) {
    synchronized (this) {
      Optional<Stated> before = Optional.ofNullable(stated.get(type));
      Instant since =
          before.filter(b -> b.status() == status).map(Stated::since).orElseGet(time::now);
      var next = new Stated(status, reason, message, since);
      if (closed || before.filter(next::equals).isPresent()) {
        return;
      }
      stated.put(type, next);
      if (changedAt.isEmpty()) {
        changedAt = Optional.of(time.nanos());
      }
      bad.labels(type)
          .set(
              switch (status) {
                case TRUE -> 1;
                case FALSE -> 0;
                case UNKNOWN -> Double.NaN;
              });
      if (!noted.contains(type)
          && before.filter(b -> b.status() == status && b.reason().equals(reason)).isEmpty()) {
        log.atLevel(status == Status.TRUE ? Level.WARN : Level.INFO)
            .log(
                "conditions: {} is {} reason={} message=\"{}\"",
                type,
                status.text(),
                reason,
                message);
      }
    }
    loop.wake();
  }

  /** Writes what is to be written now; the loop's pass. */
  Duration pass(Instant now) throws IOException {
    Optional<NodeView> node = nodes.current();
    if (node.isEmpty()) {
      return Loop.UNTIL_WOKEN;
    }
    if (!node.get().uid().equals(writtenTo)) {
      written = new LinkedHashMap<>();
    }
    long nanos = time.nanos();
    List<Condition> wanted;
    boolean heartbeatDue = !written.isEmpty() && nanos - heartbeatAt >= 0;
    if (heartbeatDue && !tidied) {
      removeOrphans(node.get());
      tidied = true;
    }
    synchronized (this) {
      if (stated.isEmpty()) {
        return Loop.UNTIL_WOKEN;
      }
      Duration gathering = changedAt.map(at -> GATHER.minusNanos(nanos - at)).orElse(Duration.ZERO);
      if (gathering.isPositive()) {
        return gathering;
      }
      wanted = wanted(node.get());
      if (changedAt.isEmpty() && !written.isEmpty() && nanos - heartbeatAt < 0) {
        return Duration.ofNanos(heartbeatAt - nanos);
      }
      changedAt = Optional.empty();
    }
    try {
      if (!write(node.get(), wanted)) {
        return Loop.UNTIL_WOKEN;
      }
    } catch (IOException e) {
      changedAgain();
      throw e;
    }
    Duration wait = nextHeartbeat();
    heartbeatAt = nanos + wait.toNanos();
    return wait;
  }

  @Override
  public void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
    }
    loop.close();
    if (written.isEmpty()) {
      return;
    }
    Thread farewell = Thread.ofVirtual().name("conditions-farewell").start(this::sayFarewell);
    try {
      if (!farewell.join(FAREWELL_LIMIT)) {
        farewell.interrupt();
        log.warn("conditions: not told that the agent stops, no answer limit={}", FAREWELL_LIMIT);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** From now on nobody looks: the last known state must not stand for ever. */
  private void sayFarewell() {
    Instant now = time.now();
    var unknown = new ArrayList<Condition>();
    for (Condition last : written.values()) {
      Instant since = last.status() == Status.UNKNOWN ? last.lastTransition() : now;
      unknown.add(
          new Condition(
              last.type(), Status.UNKNOWN, STOPPED, "the agent on this node was stopped", since));
    }
    try {
      nodes.writeConditions(unknown);
    } catch (IOException e) {
      log.warn("conditions: not told that the agent stops why=\"{}\"", e.getMessage());
    }
  }

  /** The conditions as they are to stand on the Node, each with the time of its last transition. */
  private List<Condition> wanted(NodeView node) {
    var wanted = new ArrayList<Condition>();
    stated.forEach(
        (type, now) -> {
          Instant since =
              standing(node, type)
                  .filter(standing -> standing.status() == now.status())
                  .map(Condition::lastTransition)
                  .orElse(now.since());
          wanted.add(new Condition(type, now.status(), now.reason(), now.message(), since));
        });
    return wanted;
  }

  /** What this agent wrote last, else what the Node had when it came. */
  private Optional<Condition> standing(NodeView node, String type) {
    return Optional.ofNullable(written.get(type)).or(() -> node.condition(type));
  }

  /** Writes and tells what changed; false when there is no such Node. */
  private boolean write(NodeView node, List<Condition> wanted) throws IOException {
    switch (nodes.writeConditions(wanted)) {
      case Changed.Done _ -> {}
      case Changed.Absent _ -> {
        changedAgain();
        return false;
      }
      case Changed.Stale(String why) -> throw new IOException("the node's status: " + why);
    }
    patches.inc();
    var all = new LinkedHashMap<String, Condition>();
    for (Condition condition : wanted) {
      tell(standing(node, condition.type()), condition);
      all.put(condition.type(), condition);
    }
    written = all;
    writtenTo = node.uid();
    remember(node);
    return true;
  }

  /**
   * What an agent with another configuration stated and left behind: by now every part that is
   * switched on has said something. A type of ours may be another agent's too, so only what says
   * that it was left behind is removed, and what an agent that was killed had written by its own
   * account.
   */
  private void removeOrphans(NodeView node) throws IOException {
    Set<String> before = remembered;
    List<String> stopped = leftBehind(node);
    List<String> orphans;
    synchronized (this) {
      orphans =
          node.conditions().stream()
              .map(Condition::type)
              .filter(
                  type -> stopped.contains(type) || (before.contains(type) && OWN.contains(type)))
              .filter(type -> !stated.containsKey(type))
              .toList();
    }
    if (!orphans.isEmpty()) {
      nodes.removeConditions(orphans);
      log.info("conditions: removed what nobody states any more types={}", orphans);
    }
    remembered = Set.of();
  }

  /**
   * Keeps on disk what was written to this Node, with what the agent before wrote until that is
   * removed. Without it no more is lost than that a killed agent's conditions stay.
   */
  private void remember(NodeView node) {
    try {
      if (!recalled) {
        remembered = memory.read(node.uid());
        recalled = true;
      }
      var all = new TreeSet<>(remembered);
      all.addAll(written.keySet());
      memory.write(node.uid(), all);
    } catch (IOException e) {
      log.warn("conditions: not remembered what was stated why=\"{}\"", e.getMessage());
    }
  }

  /** The types of conditions of ours whose agent has stopped. */
  public static List<String> leftBehind(NodeView node) {
    return node.conditions().stream()
        .filter(c -> c.reason().equals(STOPPED) && OWN.contains(c.type()))
        .map(Condition::type)
        .toList();
  }

  private void tell(Optional<Condition> before, Condition now) {
    boolean same =
        before
            .filter(b -> b.status() == now.status() && b.reason().equals(now.reason()))
            .isPresent();
    boolean allWellAtStart =
        now.status() == Status.FALSE && before.filter(b -> !b.reason().equals(STOPPED)).isEmpty();
    if (same || allWellAtStart || isNoted(now.type())) {
      return;
    }
    events.tell(
        now.status() == Status.TRUE ? NodeEvents.Type.WARNING : NodeEvents.Type.NORMAL,
        now.reason(),
        "%s is %s: %s".formatted(now.type(), now.status().text(), now.message()));
  }

  private synchronized boolean isNoted(String type) {
    return noted.contains(type);
  }

  private synchronized void changedAgain() {
    if (changedAt.isEmpty()) {
      changedAt = Optional.of(time.nanos() - GATHER.toNanos());
    }
  }

  private Duration nextHeartbeat() {
    double factor = 1 - JITTER + 2 * JITTER * random.nextDouble();
    return Duration.ofNanos((long) (heartbeat.toNanos() * factor));
  }
}
