package nodeward.termination;

import java.io.IOException;

/** The nodes of the cluster that are held at a time on mere recommendations. */
public interface HeldNodes {
  /** Takes a place for this node, or keeps it; no when the share of all nodes is used up. */
  boolean take(double share) throws IOException;

  void release() throws IOException;
}
