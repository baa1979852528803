package nodeward.conntrack;

import java.io.IOException;

/** The flows of the kernel's connection tracking table, one by one. */
public interface FlowTable {
  /**
   * Hands over each flow once, with bounded memory however many there are; blocks for some seconds
   * at most. Fails when the kernel does not let the agent see them.
   */
  Walk walk(FlowTaker taker) throws IOException;

  /** What kind of walk it was. */
  enum Walk {
    WHOLE,
    /** The table was rebuilt under the walk: flows may be missing or have come twice. */
    TORN
  }
}
