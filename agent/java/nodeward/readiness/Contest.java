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
 * Somebody undoes what the keeper has done: puts the gate taint back on an open node, or takes it
 * from a closed one. The keeper does it again: at once the first time, then with pauses. After five
 * rounds an Event names who it is. For the keeper's thread alone.
 */
final class Contest {
  /** What is undone, and the pause between two rounds. */
  enum Over {
    /** Workloads are only kept away a little longer meanwhile. */
    OPEN_NODE("put back", "on the open node", "removed again", Duration.ofSeconds(10)),
    /** Workloads may come meanwhile. */
    CLOSED_NODE("taken away", "from the closed node", "put back", Duration.ofSeconds(1));

    private final String done;
    private final String where;
    private final String answer;
    private final Duration spacing;

    Over(String done, String where, String answer, Duration spacing) {
      this.done = done;
      this.where = where;
      this.answer = answer;
      this.spacing = spacing;
    }
  }

  private static final Logger log = LoggerFactory.getLogger(Contest.class);
  private static final Duration OVER = Duration.ofMinutes(10);
  private static final int ROUNDS = 5;
  private static final String OURSELVES = "nodeward";

  private final Over over;
  private final Nodes nodes;
  private final NodeEvents events;
  private final Time time;
  private int rounds;
  private long last;
  private boolean waiting;
  private List<String> writers = List.of();

  Contest(Over over, Nodes nodes, NodeEvents events, Time time) {
    this.over = over;
    this.nodes = nodes;
    this.events = events;
    this.time = time;
  }

  /** Whether the next answer is due. Who wrote the taints is asked first: afterwards it is us. */
  boolean mayAnswer() throws IOException {
    if (rounds > 0 && time.nanos() - last > OVER.toNanos()) {
      rounds = 0;
    }
    waiting = rounds > 0 && time.nanos() - last < over.spacing.toNanos();
    if (!waiting && (rounds + 1) % ROUNDS == 0) {
      writers = nodes.taintManagers().stream().filter(name -> !name.equals(OURSELVES)).toList();
    }
    return !waiting;
  }

  void answered() {
    rounds++;
    last = time.nanos();
    log.warn(
        "gate: taint was {} {} and is {} round={}", over.done, over.where, over.answer, rounds);
    if (rounds % ROUNDS == 0) {
      events.tell(
          NodeEvents.Type.WARNING,
          "NodeGateContested",
          "The gate taint was %s %d times %s, last by %s"
              .formatted(
                  over.done,
                  rounds,
                  over.where,
                  writers.isEmpty() ? "somebody unknown" : writers.getFirst()));
    }
  }

  /** The wait until the next answer is due; {@code otherwise} when none is. */
  Duration rest(Duration otherwise) {
    return waiting ? over.spacing.minusNanos(time.nanos() - last).plusMillis(1) : otherwise;
  }
}
