package nodeward.readiness;

import java.io.IOException;

/**
 * The nodes of the cluster whose gates were closed again while in service, counted in one Lease
 * that all agents share. It keeps a DaemonSet that is broken everywhere from closing every node.
 */
public interface ClosedNodes {
  /** What came of asking for a place. */
  enum Place {
    /** This node is counted among the closed ones; it may be tainted. */
    TAKEN,
    /** So many are closed already that this one must stay open. */
    FULL
  }

  /**
   * Takes a place, or keeps the one that it has: at most {@code share} of all nodes, but always
   * one.
   */
  Place take(double share) throws IOException;

  /** Gives the place back; nothing when it has none. */
  void release() throws IOException;
}
