package nodeward.metadata;

import java.io.IOException;
import java.util.List;
import java.util.Optional;

/**
 * The node's packet filter. Each call blocks its caller for child processes of some milliseconds.
 */
public interface Firewall {
  /** The two protocols, which the kernel keeps rules for apart. */
  enum Family {
    IPV4,
    IPV6
  }

  /**
   * Puts the rules of one family in place, those of a table all at once and in place of those of an
   * earlier run. Nothing but {@link #remove} takes them away again: while the agent is down pods
   * must find a closed door, not the node's own credentials.
   */
  void install(Interception interception, Family family) throws IOException;

  /** What of the rules that were put in place last is not there any more; empty when all is. */
  Optional<String> missing(Family family) throws IOException;

  /** Ends what pods had begun with these services before the rules; returns how many flows. */
  int forgetFlows(Interception interception) throws IOException;

  /** Takes all rules of any run away and returns them. */
  List<String> remove() throws IOException;
}
