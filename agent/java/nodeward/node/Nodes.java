package nodeward.node;

import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** One Node on the API server: the agent's own, or the one a command names. */
public interface Nodes {
  String nodeName();

  /**
   * The last state that the watch has seen; empty before the first sync and when there is no such
   * Node.
   */
  Optional<NodeView> current();

  /** Whether the watch has synced once and is connected. */
  boolean watching();

  /** Called on a thread of the adapter after each change of {@link #current}; must not block. */
  void onChange(Runnable listener);

  /** Reads the Node from the API server itself; empty when there is none. */
  Optional<NodeView> read() throws IOException;

  /**
   * Who owns the taints of the Node, by the API server's record of field managers, newest first;
   * empty when nobody does or there is no such Node. A request.
   */
  List<String> taintManagers() throws IOException;

  /** Whether the API server lets the agent change taints, as far as its identity tells. */
  default boolean mayTaint() throws IOException {
    return true;
  }

  /**
   * Writes the difference between the change and what it was decided on, guarded against lost
   * updates.
   */
  Changed change(NodeChange change) throws IOException;

  /**
   * Writes these conditions, heartbeat now, in one status patch; conditions of other types are left
   * alone. A {@link Condition#lastTransition} is written as given.
   */
  Changed writeConditions(List<Condition> conditions) throws IOException;

  /** Removes the conditions of these types; a type that is not there is no failure. */
  Changed removeConditions(List<String> types) throws IOException;
}
