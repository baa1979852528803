package nodeward.readiness;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import nodeward.component.Time;
import nodeward.node.NodeEvents;
import nodeward.node.Nodes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Somebody puts the gate taint back on an open node, and the keeper takes it away again: at once
 * the first time, then no more than each ten seconds. After five rounds an Event names who does it.
 * For the keeper's thread alone.
 */
final class Contest {
  private static final Logger log = LoggerFactory.getLogger(Contest.class);
  private static final Duration SPACING = Duration.ofSeconds(10);
  private static final Duration OVER = Duration.ofMinutes(10);
  private static final int ROUNDS = 5;
  private static final String OURSELVES = "nodeward";

  private final Nodes nodes;
  private final NodeEvents events;
  private final Time time;
  private int rounds;
  private long last;
  private boolean waiting;
  private List<String> writers = List.of();

  Contest(Nodes nodes, NodeEvents events, Time time) {
    this.nodes = nodes;
    this.events = events;
    this.time = time;
  }

  /** Whether the next removal is due. Who wrote the taint is asked first: afterwards it is us. */
  boolean mayRemove() throws IOException {
    if (rounds > 0 && time.nanos() - last > OVER.toNanos()) {
      rounds = 0;
    }
    waiting = rounds > 0 && time.nanos() - last < SPACING.toNanos();
    if (!waiting && (rounds + 1) % ROUNDS == 0) {
      writers = nodes.taintManagers().stream().filter(name -> !name.equals(OURSELVES)).toList();
    }
    return !waiting;
  }

  void removed() {
    rounds++;
    last = time.nanos();
    log.warn("gate: taint was put back on the open node and is removed again round={}", rounds);
    if (rounds % ROUNDS == 0) {
      events.tell(
          NodeEvents.Type.WARNING,
          "NodeGateContested",
          "The gate taint was put back %d times on the open node, last by %s"
              .formatted(rounds, writers.isEmpty() ? "somebody unknown" : writers.getFirst()));
    }
  }

  /** The wait until the next removal is due; {@code otherwise} when none is. */
  Duration rest(Duration otherwise) {
    return waiting ? SPACING.minusNanos(time.nanos() - last).plusMillis(1) : otherwise;
  }
}
