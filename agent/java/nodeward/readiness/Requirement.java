package nodeward.readiness;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nodeward.config.Config;
import nodeward.config.Config.Gate.IfMissing;
import nodeward.node.DaemonSetView;
import nodeward.node.NodeView;
import nodeward.node.Pod;

/**
 * One entry of {@code gate.require} as a pure judgement: whether the DaemonSets it names have a pod
 * on this node that is Ready in this boot, for long enough. Local probes are not its business.
 */
final class Requirement {
  /** Times of the API and of the kernel's boot are whole seconds, each rounded in its own way. */
  static final Duration ROUNDING = Duration.ofSeconds(1);

  /** How a required DaemonSet stands on this node. */
  sealed interface Finding {
    record Held(String why) implements Finding {}

    /** Ready, but not for long enough or not proven yet. */
    record Settling(String why) implements Finding {}

    record Fine() implements Finding {}

    /** It has no place on this node and is not waited for. */
    record Skipped(String why) implements Finding {}
  }

  /** What is known of the DaemonSets that the entry names. */
  sealed interface Known {
    record Unread(String why) implements Known {}

    /** The cluster has none of them. */
    record None() implements Known {}

    record Found(List<DaemonSetView> sets) implements Known {
      public Found {
        sets = List.copyOf(sets);
      }
    }
  }

  /**
   * What was seen of pods with the agent's own eyes: the UIDs of those that became Ready in this
   * run, and so in this boot whatever the clocks say, and for how long each Ready one has been so
   * at least.
   */
  record Seen(Set<String> risen, Map<String, Duration> readyFor) {}

  private final Config.Gate.Require config;
  private final Boot boot;
  private final Set<String> ownKeys;

  Requirement(Config.Gate.Require config, Boot boot, Set<String> ownKeys) {
    this.config = config;
    this.boot = boot;
    this.ownKeys = Set.copyOf(ownKeys);
  }

  String name() {
    return config.toString();
  }

  Config.Gate.Require config() {
    return config;
  }

  Finding judge(Known known, NodeView node, List<Pod> pods, Seen seen) {
    return switch (known) {
      case Known.Unread(String why) -> new Finding.Held(why);
      case Known.None() ->
          config.ifMissing() == IfMissing.SKIP
              ? new Finding.Skipped("not in the cluster")
              : new Finding.Held("no such DaemonSet in the cluster");
      case Known.Found(List<DaemonSetView> sets) -> all(sets, node, pods, seen);
    };
  }

  /** Of several DaemonSets the one that stands worst. */
  private Finding all(List<DaemonSetView> sets, NodeView node, List<Pod> pods, Seen seen) {
    Finding worst = new Finding.Skipped("");
    for (DaemonSetView set : sets) {
      Finding one = one(set, node, pods, seen);
      if (rank(one) > rank(worst) || worst.equals(new Finding.Skipped(""))) {
        worst = one;
      }
    }
    return worst;
  }

  private static int rank(Finding finding) {
    return switch (finding) {
      case Finding.Skipped _ -> 0;
      case Finding.Fine _ -> 1;
      case Finding.Settling _ -> 2;
      case Finding.Held _ -> 3;
    };
  }

  private Finding one(DaemonSetView set, NodeView node, List<Pod> pods, Seen seen) {
    List<Pod> own =
        pods.stream().filter(p -> isOf(p, set) && !p.terminating() && !p.finished()).toList();
    String hindered = "";
    switch (DaemonSetEligibility.of(set.placement(), node, ownKeys(node))) {
      case DaemonSetEligibility.Excluded(String why) -> {
        return new Finding.Skipped("not for this node: " + why);
      }
      case DaemonSetEligibility.Staying(String why) -> {
        if (own.isEmpty()) {
          return new Finding.Skipped("not for this node: " + why);
        }
      }
      case DaemonSetEligibility.Waiting(String why) -> hindered = ", " + why;
      case DaemonSetEligibility.Eligible() -> {}
    }
    if (own.isEmpty()) {
      return new Finding.Held("no pod yet" + hindered);
    }
    List<Pod> ready = own.stream().filter(Pod::ready).toList();
    if (ready.isEmpty()) {
      return new Finding.Held("not Ready");
    }
    Optional<Duration> longest =
        ready.stream()
            .filter(p -> seen.risen().contains(p.uid()) || sinceBoot(p))
            .map(p -> seen.readyFor().getOrDefault(p.uid(), Duration.ZERO))
            .max(Duration::compareTo);
    if (longest.isEmpty()) {
      return new Finding.Held("not Ready since this boot");
    }
    return longest.get().compareTo(Duration.ofSeconds(config.minReadySeconds())) >= 0
        ? new Finding.Fine()
        : new Finding.Settling("Ready, but not for %d s yet".formatted(config.minReadySeconds()));
  }

  /** Those of an older configuration, which the mark names, go when the gate opens. */
  private Set<String> ownKeys(NodeView node) {
    return Stream.concat(ownKeys.stream(), Gate.markedKeys(node).stream())
        .collect(Collectors.toUnmodifiableSet());
  }

  private boolean sinceBoot(Pod pod) {
    Instant earliest = boot.at().minus(ROUNDING);
    return !pod.readySince().isBefore(earliest);
  }

  private static boolean isOf(Pod pod, DaemonSetView set) {
    return pod.namespace().equals(set.namespace())
        && pod.ofDaemonSet()
        && pod.controller().filter(o -> o.uid().equals(set.uid())).isPresent();
  }
}
