package nodeward.conntrack;

import java.io.IOException;
import java.util.List;
import nodeward.node.Pod;

/** The connection tracking tables of the node's pods, each in the network namespace of its pod. */
public interface PodTables {
  /**
   * Walks through one table after the other; blocks for some time, which is bounded. Fails when the
   * pods are not known or this process may not enter their namespaces.
   */
  Walked walk(Taker taker) throws IOException;

  /** Who takes the flows of this pod's table; asked when its walk begins. */
  @FunctionalInterface
  interface Taker {
    FlowTaker of(Pod pod);
  }

  /** How the walks went, and whose tables were not read, with the reason. */
  record Walked(FlowTable.Walk walk, List<String> unread) {
    public Walked {
      unread = List.copyOf(unread);
    }
  }
}
