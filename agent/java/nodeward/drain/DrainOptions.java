package nodeward.drain;

import java.time.Duration;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/**
 * What a drain may do to the pods of a node. {@code ownPod} is the agent's own pod as {@code
 * namespace/name}, empty when the agent does not run in one. {@code grace} is what every pod gets
 * in place of its own. Pods whose deletion is due for longer than {@code skipDeleted} are not
 * waited for; zero: all are.
 */
public record DrainOptions(
    Set<Flag> flags, DryRun dryRun, String ownPod, Optional<Duration> grace, Duration skipDeleted) {
  /** The first four are kubectl's, the others are Nodeward's. */
  public enum Flag {
    /** Pods without a controller, or of a DaemonSet that is gone, are evicted too. */
    FORCE,
    /** Pods of DaemonSets are no obstacle; they stay in either case. */
    IGNORE_DAEMON_SETS,
    /** Pods with an emptyDir are evicted too, their data with them. */
    DELETE_EMPTY_DIR_DATA,
    /** Pods are deleted, which no disruption budget can hold up. */
    DISABLE_EVICTION,
    /** Pods of DaemonSets go too, after all others: the node does not come back. */
    EVICT_DAEMON_SETS,
    /** Pods that have ended stay: nothing of theirs runs on the node. */
    LEAVE_FINISHED,
    /** A refused eviction is tried again until the deadline. */
    RETRY_REFUSED,
    /** What is still there shortly before the deadline is deleted. */
    FORCE_AT_DEADLINE,
    /** The drain ends when the volumes of the drained pods are off the node. */
    WAIT_FOR_VOLUMES
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
    return new DrainOptions(Set.of(flags), DryRun.NONE, "", Optional.empty(), Duration.ZERO);
  }

  /** For a node that goes away whatever is on it: everything that can be evicted is. */
  public static DrainOptions ofDaemon(String ownPod) {
    return new DrainOptions(
        EnumSet.of(
            Flag.FORCE,
            Flag.IGNORE_DAEMON_SETS,
            Flag.DELETE_EMPTY_DIR_DATA,
            Flag.LEAVE_FINISHED,
            Flag.RETRY_REFUSED,
            Flag.WAIT_FOR_VOLUMES),
        DryRun.NONE,
        ownPod,
        Optional.empty(),
        Duration.ZERO);
  }

  public DrainOptions with(DryRun other) {
    return new DrainOptions(flags, other, ownPod, grace, skipDeleted);
  }

  public DrainOptions with(Flag more) {
    var all = EnumSet.of(more);
    all.addAll(flags);
    return new DrainOptions(all, dryRun, ownPod, grace, skipDeleted);
  }

  public DrainOptions withGrace(Duration given) {
    return new DrainOptions(flags, dryRun, ownPod, Optional.of(given), skipDeleted);
  }

  public DrainOptions skippingDeleted(Duration after) {
    return new DrainOptions(flags, dryRun, ownPod, grace, after);
  }

  public boolean has(Flag flag) {
    return flags.contains(flag);
  }
}
