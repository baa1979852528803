package nodeward.drain;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Function;
import nodeward.component.Backoff;
import nodeward.node.Changed;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Nodes;

/**
 * Marks the Node and takes marks off it: read, change, and the same again with a jitter when
 * somebody else wrote first. Runs on the caller's thread; a failed request is thrown.
 */
public final class Cordon {
  private static final int TRIES = 10;

  private final Nodes nodes;

  /** What became of a cordon or an uncordon. */
  public enum Outcome {
    CHANGED,
    /** The Node was so already; nothing was written. */
    ALREADY,
    /** There is no such Node. */
    ABSENT
  }

  /** What became of an {@link #edit}; the views are those that the change was decided on. */
  public sealed interface Edit {
    record Written(NodeView before) implements Edit {}

    record Same(NodeView before) implements Edit {}

    record Absent() implements Edit {}
  }

  public Cordon(Nodes nodes) {
    this.nodes = nodes;
  }

  public Outcome cordon() throws IOException, InterruptedException {
    return outcome(edit(node -> NodeChange.of(node).cordoned()));
  }

  public Outcome uncordon() throws IOException, InterruptedException {
    return outcome(edit(node -> NodeChange.of(node).uncordoned()));
  }

  /** Writes what {@code wish} makes of the Node, decided anew on each state that it is tried on. */
  public Edit edit(Function<NodeView, NodeChange> wish) throws IOException, InterruptedException {
    var backoff = new Backoff(Duration.ofMillis(20), Duration.ofSeconds(1));
    // The watch spares a request, but only a fresh read may tell that nothing is to be done.
    Optional<NodeView> watched = nodes.watching() ? nodes.current() : Optional.empty();
    String why = "";
    for (int i = 0; i < TRIES; i++) {
      Optional<NodeView> seen = watched.isPresent() ? watched : nodes.read();
      if (seen.isEmpty()) {
        return new Edit.Absent();
      }
      NodeChange change = wish.apply(seen.get());
      if (!change.isEmpty()) {
        switch (nodes.change(change)) {
          case Changed.Done _ -> {
            return new Edit.Written(seen.get());
          }
          case Changed.Absent _ -> {
            return new Edit.Absent();
          }
          case Changed.Stale(String reason) -> {
            why = reason;
            Thread.sleep(backoff.next());
          }
        }
      } else if (watched.isEmpty()) {
        return new Edit.Same(seen.get());
      }
      watched = Optional.empty();
    }
    throw new IOException(
        "node %s: somebody else wrote first, %d times in a row: %s"
            .formatted(nodes.nodeName(), TRIES, why));
  }

  private static Outcome outcome(Edit edit) {
    return switch (edit) {
      case Edit.Written _ -> Outcome.CHANGED;
      case Edit.Same _ -> Outcome.ALREADY;
      case Edit.Absent _ -> Outcome.ABSENT;
    };
  }
}
