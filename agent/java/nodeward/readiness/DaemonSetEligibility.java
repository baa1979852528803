package nodeward.readiness;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nodeward.node.NodeView;
import nodeward.node.Placement;
import nodeward.node.Placement.Affinity;
import nodeward.node.Placement.Expression;
import nodeward.node.Placement.Term;
import nodeward.node.Placement.Toleration;
import nodeward.node.Taint;

/**
 * Whether a DaemonSet's pod can run on a node, as the DaemonSet controller and the scheduler judge
 * it: the template's own nodeName, node selector, required node affinity, and the node's taints
 * against the template's tolerations and those that the controller adds. Pure; a judgement holds
 * for the Node as it was seen, and has to be made again when its labels or taints change.
 */
sealed interface DaemonSetEligibility {
  /** A pod runs here, or will once the agent has taken its own taints away. */
  record Eligible() implements DaemonSetEligibility {}

  /**
   * Nothing but taints of a node that is still coming up, or is in trouble, keep the pod away: they
   * go by themselves, so the pod is to be waited for.
   */
  record Waiting(String why) implements DaemonSetEligibility {}

  /**
   * A taint that lasts keeps new pods away and evicts none (NoSchedule): a pod that is here stays,
   * and counts; without one the DaemonSet is not meant for this node.
   */
  record Staying(String why) implements DaemonSetEligibility {}

  /** The DaemonSet is not meant for this node. {@code why} is in words, for people. */
  record Excluded(String why) implements DaemonSetEligibility {}

  /** The termination feature's taint: ours too, and no word on whom the node is meant for. */
  String TERMINATING = "nodeward.dev/terminating";

  /**
   * What the DaemonSet controller adds to the tolerations of each template (Kubernetes' {@code
   * AddOrUpdateDaemonPodTolerations}). A taint of ours is not among them.
   */
  List<Toleration> ADDED =
      List.of(
          exists("node.kubernetes.io/not-ready", "NoExecute"),
          exists("node.kubernetes.io/unreachable", "NoExecute"),
          exists("node.kubernetes.io/disk-pressure", "NoSchedule"),
          exists("node.kubernetes.io/memory-pressure", "NoSchedule"),
          exists("node.kubernetes.io/pid-pressure", "NoSchedule"),
          exists("node.kubernetes.io/unschedulable", "NoSchedule"));

  Toleration ADDED_FOR_HOST_NETWORK =
      exists("node.kubernetes.io/network-unavailable", "NoSchedule");

  /**
   * Taints that somebody takes away as soon as the node is fit, or that go with the node: those of
   * the node lifecycle controller, of the cloud's controller, of Karpenter, the cluster autoscaler
   * and kube-node-ready, and the one that tells the cluster of a node that is out of service.
   */
  Set<String> PASSING =
      Set.of(
          "node.kubernetes.io/not-ready",
          "node.kubernetes.io/unreachable",
          "node.kubernetes.io/network-unavailable",
          "node.kubernetes.io/disk-pressure",
          "node.kubernetes.io/memory-pressure",
          "node.kubernetes.io/pid-pressure",
          "node.kubernetes.io/unschedulable",
          "node.kubernetes.io/out-of-service",
          "node.cloudprovider.kubernetes.io/shutdown",
          "node.alpha.kubernetes.io/notReady-workload",
          "karpenter.sh/unregistered",
          "karpenter.sh/disrupted",
          "karpenter.sh/disruption",
          "ToBeDeletedByClusterAutoscaler");

  /** Whose taints all pass, whatever name follows: readiness rules, the autoscaler's, nidhogg's. */
  List<String> PASSING_PREFIXES =
      List.of(
          "readiness.k8s.io/",
          "startup-taint.cluster-autoscaler.kubernetes.io/",
          "ignore-taint.cluster-autoscaler.kubernetes.io/",
          "status-taint.cluster-autoscaler.kubernetes.io/",
          "nidhogg.uswitch.com/");

  /**
   * What those who wait for themselves call their taint, each under a prefix of its own: Cilium,
   * the EBS and EFS drivers, Istio, the cloud's controller, Cluster API.
   */
  List<String> PASSING_SUFFIXES = List.of("/agent-not-ready", "/not-ready", "/uninitialized");

  /**
   * Judges the placement on the node.
   *
   * @param ownTaints keys of the gate's taints, of older configurations too; the node is judged as
   *     if it did not have them
   */
  static DaemonSetEligibility of(Placement placement, NodeView node, Set<String> ownTaints) {
    Optional<String> misfit =
        nameMisfit(placement, node)
            .or(() -> selectorMisfit(placement, node))
            .or(() -> misfit(placement, node));
    if (misfit.isPresent()) {
      return new Excluded(misfit.get());
    }
    List<Taint> inTheWay =
        node.taints().stream()
            .filter(t -> !ownTaints.contains(t.key()) && !t.key().equals(TERMINATING))
            .filter(t -> !tolerates(placement, t))
            .toList();
    List<Taint> lasting = inTheWay.stream().filter(t -> !passes(t)).toList();
    if (!lasting.isEmpty()) {
      String why = "it does not tolerate taint " + lasting.getFirst();
      return inTheWay.stream().anyMatch(t -> t.effect().equals("NoExecute"))
          ? new Excluded(why)
          : new Staying(why);
    }
    return inTheWay.isEmpty()
        ? new Eligible()
        : new Waiting("it does not tolerate taint " + inTheWay.getFirst());
  }

  /**
   * Whether the taint lets the placement's pods onto the node; one that only asks the scheduler to
   * prefer others always does.
   */
  static boolean tolerates(Placement placement, Taint taint) {
    return taint.effect().equals("PreferNoSchedule")
        || tolerations(placement).anyMatch(t -> tolerates(t, taint));
  }

  private static Stream<Toleration> tolerations(Placement placement) {
    Stream<Toleration> all = Stream.concat(placement.tolerations().stream(), ADDED.stream());
    return placement.hostNetwork() ? Stream.concat(all, Stream.of(ADDED_FOR_HOST_NETWORK)) : all;
  }

  private static boolean tolerates(Toleration toleration, Taint taint) {
    return (toleration.effect().isEmpty() || toleration.effect().equals(taint.effect()))
        && (toleration.key().isEmpty() || toleration.key().equals(taint.key()))
        && switch (toleration.operator()) {
          case "Exists" -> true;
          case "Equal" -> toleration.value().equals(taint.value());
          default -> false;
        };
  }

  private static boolean passes(Taint taint) {
    return PASSING.contains(taint.key())
        || PASSING_PREFIXES.stream().anyMatch(taint.key()::startsWith)
        || PASSING_SUFFIXES.stream().anyMatch(taint.key()::endsWith);
  }

  private static Optional<String> nameMisfit(Placement placement, NodeView node) {
    return placement.nodeName().isEmpty() || placement.nodeName().equals(node.name())
        ? Optional.empty()
        : Optional.of("its template names node " + placement.nodeName());
  }

  private static Optional<String> selectorMisfit(Placement placement, NodeView node) {
    String wanted =
        placement.nodeSelector().entrySet().stream()
            .filter(e -> !e.getValue().equals(node.labels().get(e.getKey())))
            .sorted(Map.Entry.comparingByKey())
            .map(e -> e.getKey() + "=" + e.getValue())
            .collect(Collectors.joining(" and "));
    return wanted.isEmpty() ? Optional.empty() : Optional.of("its nodeSelector wants " + wanted);
  }

  private static Optional<String> misfit(Placement placement, NodeView node) {
    if (placement.affinity() == Affinity.NONE
        || placement.terms().stream().anyMatch(t -> matches(t, node))) {
      return Optional.empty();
    }
    String wanted =
        placement.terms().stream()
            .filter(t -> !isEmpty(t))
            .map(DaemonSetEligibility::words)
            .collect(Collectors.joining(", or "));
    return Optional.of(
        wanted.isEmpty()
            ? "its required node affinity has no terms, which no node matches"
            : "its node affinity wants " + wanted);
  }

  private static boolean isEmpty(Term term) {
    return term.labels().isEmpty() && term.fields().isEmpty();
  }

  private static boolean matches(Term term, NodeView node) {
    Predicate<Expression> ofLabels = e -> onLabel(e, node.labels());
    return !isEmpty(term)
        && term.labels().stream().allMatch(ofLabels)
        && term.fields().stream().allMatch(e -> onField(e, node));
  }

  private static boolean onLabel(Expression e, Map<String, String> labels) {
    Optional<String> value = Optional.ofNullable(labels.get(e.key()));
    return switch (e.operator()) {
      case "In" -> value.filter(e.values()::contains).isPresent();
      case "NotIn" -> value.filter(e.values()::contains).isEmpty();
      case "Exists" -> value.isPresent();
      case "DoesNotExist" -> value.isEmpty();
      case "Gt" -> compared(value, e).filter(c -> c > 0).isPresent();
      case "Lt" -> compared(value, e).filter(c -> c < 0).isPresent();
      default -> false;
    };
  }

  /** How the label's number compares with the expression's; empty where one of them is none. */
  private static Optional<Integer> compared(Optional<String> label, Expression e) {
    if (label.isEmpty() || e.values().size() != 1) {
      return Optional.empty();
    }
    try {
      return Optional.of(
          Long.compare(Long.parseLong(label.get()), Long.parseLong(e.values().getFirst())));
    } catch (NumberFormatException _) {
      return Optional.empty();
    }
  }

  /** The API knows one field, and In and NotIn with one value. */
  private static boolean onField(Expression e, NodeView node) {
    if (!e.key().equals("metadata.name") || e.values().size() != 1) {
      return false;
    }
    boolean same = e.values().getFirst().equals(node.name());
    return switch (e.operator()) {
      case "In" -> same;
      case "NotIn" -> !same;
      default -> false;
    };
  }

  private static String words(Term term) {
    return Stream.concat(term.labels().stream(), term.fields().stream())
        .map(
            e ->
                e.values().isEmpty()
                    ? e.key() + " " + e.operator()
                    : "%s %s (%s)".formatted(e.key(), e.operator(), String.join(", ", e.values())))
        .collect(Collectors.joining(" and "));
  }

  private static Toleration exists(String key, String effect) {
    return new Toleration(key, "Exists", "", effect);
  }
}
