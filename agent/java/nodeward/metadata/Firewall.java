package nodeward.metadata;

import java.io.IOException;

/** The node's packet filter. */
@FunctionalInterface
public interface Firewall {
  /**
   * Puts the rules of the interception in place, all at once and in place of those of an earlier
   * run. Nothing takes them away again: while the agent is down pods must find a closed door, not
   * the node's own credentials.
   */
  void install(Interception interception) throws IOException;
}
