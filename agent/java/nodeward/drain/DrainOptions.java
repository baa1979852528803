package nodeward.drain;

import java.util.EnumSet;
import java.util.Set;

/**
 * What a drain may do to the pods of a node. {@code ownPod} is the agent's own pod as {@code
 * namespace/name}, empty when the agent does not run in one.
 */
public record DrainOptions(Set<Flag> flags, DryRun dryRun, String ownPod) {
  /** The first three are kubectl's, the others are the daemon's. */
  public enum Flag {
    /** Pods without a controller are evicted too. */
    FORCE,
    /** Pods of DaemonSets are no obstacle; they stay in either case. */
    IGNORE_DAEMON_SETS,
    /** Pods with an emptyDir are evicted too, their data with them. */
    DELETE_EMPTY_DIR_DATA,
    /** Pods that have ended stay: nothing of theirs runs on the node. */
    LEAVE_FINISHED,
    /** A refused eviction is tried again until the deadline. */
    RETRY_REFUSED
  }

  /** How much of it is carried out. */
  public enum DryRun {
    NONE,
    /** Nothing is sent. */
    CLIENT,
    /** The API server checks each eviction and carries out none. */
    SERVER
  }

  public DrainOptions {
    flags = Set.copyOf(flags);
  }

  /** As {@code kubectl drain} with these flags. */
  public static DrainOptions ofKubectl(Flag... flags) {
    var all = EnumSet.noneOf(Flag.class);
    all.addAll(Set.of(flags));
    return new DrainOptions(all, DryRun.NONE, "");
  }

  /** For a node that goes away whatever is on it: everything that can be evicted is. */
  public static DrainOptions ofDaemon(String ownPod) {
    return new DrainOptions(EnumSet.allOf(Flag.class), DryRun.NONE, ownPod);
  }

  public DrainOptions with(DryRun other) {
    return new DrainOptions(flags, other, ownPod);
  }

  public boolean has(Flag flag) {
    return flags.contains(flag);
  }
}
