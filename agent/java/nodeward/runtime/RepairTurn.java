package nodeward.runtime;

import java.io.IOException;

/** Whose turn it is, in the whole cluster, to mend its container runtime: one node's at a time. */
public interface RepairTurn {
  /** What came of asking for the turn. */
  sealed interface Answer {
    record Granted() implements Answer {}

    record Denied(String why) implements Answer {}
  }

  /**
   * Asks for the turn, or for more time with it. It is denied while another node has it, and while
   * less than this share of the other nodes is healthy: then something else is wrong. Fails when
   * the API server cannot be asked.
   */
  Answer take(double minHealthyShare) throws IOException;

  /** Gives the turn back; does nothing when it is another's. */
  void release() throws IOException;
}
