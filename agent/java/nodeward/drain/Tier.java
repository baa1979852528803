package nodeward.drain;

import java.util.List;
import java.util.Optional;
import nodeward.node.Pod;

/**
 * Which pods go together. Tiers go one after the other: first by phase, within it by annotation
 * {@code nodeward.dev/drain-order} (a whole number, the lowest first, 0 without one), then ordinary
 * pods before critical ones.
 */
public record Tier(Phase phase, int order, Importance importance) implements Comparable<Tier> {
  public static final String ORDER = "nodeward.dev/drain-order";

  // The priority of system-cluster-critical, from which on the scheduler calls a pod critical.
  private static final int CRITICAL = 2_000_000_000;
  private static final List<String> STORAGE_AND_NETWORK =
      List.of("/var/lib/kubelet/plugins", "/opt/cni", "/etc/cni");

  /** The great parts of a drain. */
  public enum Phase {
    WORKLOADS("workloads"),
    DAEMONS("DaemonSets"),
    /** Other pods cannot end in good order without these: CSI and CNI. */
    STORAGE_AND_NETWORK("storage and network");

    private final String text;

    Phase(String text) {
      this.text = text;
    }
  }

  /** By the pod's priority. */
  public enum Importance {
    ORDINARY,
    CRITICAL
  }

  static Tier of(Pod pod) {
    return new Tier(
        phase(pod),
        order(pod),
        pod.priority() >= CRITICAL ? Importance.CRITICAL : Importance.ORDINARY);
  }

  /** A user's pod that mounts such a path is a workload all the same. */
  private static Phase phase(Pod pod) {
    if (!pod.ofDaemonSet()) {
      return Phase.WORKLOADS;
    }
    boolean serves =
        pod.volumes().hostPaths().stream()
            .anyMatch(p -> STORAGE_AND_NETWORK.stream().anyMatch(p::startsWith));
    return serves ? Phase.STORAGE_AND_NETWORK : Phase.DAEMONS;
  }

  /** What is no number counts as none: a pod's author must not be able to break a drain. */
  private static int order(Pod pod) {
    // Judged for each pod at each change: hardly any has one, and the pattern is not free.
    Optional<String> text = pod.annotation(ORDER).filter(t -> t.matches("-?\\d{1,6}"));
    return text.isEmpty() ? 0 : Integer.parseInt(text.get());
  }

  @Override
  public int compareTo(Tier other) {
    int byPhase = phase.compareTo(other.phase);
    int byOrder = byPhase == 0 ? Integer.compare(order, other.order) : byPhase;
    return byOrder == 0 ? importance.compareTo(other.importance) : byOrder;
  }

  @Override
  public String toString() {
    return phase.text
        + (order == 0 ? "" : ", order " + order)
        + (importance == Importance.CRITICAL ? ", critical" : "");
  }
}
