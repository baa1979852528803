package nodeward.kube;

import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeCondition;
import io.fabric8.kubernetes.api.model.NodeSpec;
import io.fabric8.kubernetes.api.model.NodeStatus;
import io.fabric8.kubernetes.api.model.NodeSystemInfo;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.PodCondition;
import io.fabric8.kubernetes.api.model.PodIP;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.PodStatus;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetSpec;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetStatus;
import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nodeward.node.Budget;
import nodeward.node.Condition;
import nodeward.node.LabelSelector;
import nodeward.node.NodeView;
import nodeward.node.Owner;
import nodeward.node.Pod;
import nodeward.node.Taint;
import org.jspecify.annotations.Nullable;

/**
 * The API's objects as our records. Every field of the API may be missing and none is trusted: an
 * object that the API server stores never makes this throw, for that would lose an event of a
 * watch.
 */
final class Domain {
  // The API server's default for terminationGracePeriodSeconds.
  private static final long DEFAULT_GRACE = 30;

  private Domain() {}

  static NodeView node(Node node) {
    ObjectMeta meta = orNew(node.getMetadata(), ObjectMeta::new);
    NodeSpec spec = orNew(node.getSpec(), NodeSpec::new);
    NodeStatus status = orNew(node.getStatus(), NodeStatus::new);
    NodeSystemInfo info = orNew(status.getNodeInfo(), NodeSystemInfo::new);
    return new NodeView(
        text(meta.getName()),
        text(meta.getUid()),
        text(meta.getResourceVersion()),
        text(spec.getProviderID()),
        text(info.getBootID()),
        Boolean.TRUE.equals(spec.getUnschedulable()),
        all(spec.getTaints()).flatMap(t -> taint(t).stream()).toList(),
        map(meta.getLabels()),
        map(meta.getAnnotations()),
        all(status.getConditions()).map(Domain::condition).toList());
  }

  static Pod pod(io.fabric8.kubernetes.api.model.Pod pod) {
    ObjectMeta meta = orNew(pod.getMetadata(), ObjectMeta::new);
    PodSpec spec = orNew(pod.getSpec(), PodSpec::new);
    PodStatus status = orNew(pod.getStatus(), PodStatus::new);
    return new Pod(
        text(meta.getNamespace()),
        text(meta.getName()),
        text(meta.getUid()),
        text(spec.getNodeName()),
        phase(status.getPhase()),
        addresses(status),
        Boolean.TRUE.equals(spec.getHostNetwork()),
        readySince(status),
        meta.getDeletionTimestamp() == null ? Pod.NEVER : instant(meta.getDeletionTimestamp()),
        grace(meta, spec),
        spec.getPriority() == null ? 0 : spec.getPriority(),
        all(spec.getVolumes()).anyMatch(v -> v.getEmptyDir() != null),
        text(spec.getServiceAccountName()),
        all(meta.getOwnerReferences()).map(Domain::owner).toList(),
        map(meta.getLabels()),
        map(meta.getAnnotations()),
        volumes(text(meta.getName()), spec));
  }

  static Budget budget(PodDisruptionBudget budget) {
    ObjectMeta meta = orNew(budget.getMetadata(), ObjectMeta::new);
    PodDisruptionBudgetSpec spec = orNew(budget.getSpec(), PodDisruptionBudgetSpec::new);
    PodDisruptionBudgetStatus status = orNew(budget.getStatus(), PodDisruptionBudgetStatus::new);
    return new Budget(
        text(meta.getNamespace()),
        text(meta.getName()),
        text(meta.getResourceVersion()),
        selector(spec.getSelector()),
        number(status.getDesiredHealthy()),
        number(status.getCurrentHealthy()),
        number(status.getDisruptionsAllowed()),
        "AlwaysAllow".equals(spec.getUnhealthyPodEvictionPolicy())
            ? Budget.Unready.ALWAYS
            : Budget.Unready.IF_HEALTHY,
        number(status.getObservedGeneration()) >= number(meta.getGeneration()));
  }

  /** Empty selects every pod of the namespace in policy/v1, none selects nothing. */
  private static LabelSelector selector(
      io.fabric8.kubernetes.api.model.@Nullable LabelSelector selector) {
    if (selector == null) {
      return LabelSelector.NOTHING;
    }
    var requirements = new ArrayList<LabelSelector.Requirement>();
    map(selector.getMatchLabels())
        .forEach(
            (key, value) ->
                requirements.add(new LabelSelector.Requirement(key, "In", List.of(value))));
    all(selector.getMatchExpressions())
        .forEach(
            e ->
                requirements.add(
                    new LabelSelector.Requirement(
                        text(e.getKey()), text(e.getOperator()), all(e.getValues()).toList())));
    return LabelSelector.of(requirements);
  }

  private static int number(@Nullable Number number) {
    return number == null ? 0 : number.intValue();
  }

  private static Pod.Volumes volumes(String pod, PodSpec spec) {
    var claims = new ArrayList<String>();
    var hostPaths = new ArrayList<String>();
    all(spec.getVolumes())
        .forEach(
            v -> {
              if (v.getPersistentVolumeClaim() != null) {
                claims.add(text(v.getPersistentVolumeClaim().getClaimName()));
              }
              if (v.getEphemeral() != null) {
                // The controller names the claim of a generic ephemeral volume so.
                claims.add(pod + "-" + text(v.getName()));
              }
              if (v.getHostPath() != null) {
                hostPaths.add(text(v.getHostPath().getPath()));
              }
            });
    return new Pod.Volumes(claims, hostPaths);
  }

  /** The API server stores no taint without key or effect. */
  private static Optional<Taint> taint(io.fabric8.kubernetes.api.model.Taint taint) {
    String key = text(taint.getKey());
    String effect = text(taint.getEffect());
    return key.isEmpty() || effect.isEmpty()
        ? Optional.empty()
        : Optional.of(new Taint(key, text(taint.getValue()), effect, text(taint.getTimeAdded())));
  }

  private static Condition condition(NodeCondition condition) {
    return new Condition(
        text(condition.getType()),
        Condition.Status.of(text(condition.getStatus())),
        text(condition.getReason()),
        text(condition.getMessage()),
        instant(condition.getLastTransitionTime()));
  }

  private static Pod.Phase phase(@Nullable String phase) {
    for (Pod.Phase p : Pod.Phase.values()) {
      if (p.name().equals(text(phase).toUpperCase(Locale.ROOT))) {
        return p;
      }
    }
    return Pod.Phase.UNKNOWN;
  }

  private static List<InetAddress> addresses(PodStatus status) {
    Stream<String> all =
        all(status.getPodIPs()).map(PodIP::getIp).filter(Objects::nonNull).distinct();
    List<InetAddress> addresses = all.flatMap(a -> address(a).stream()).toList();
    return addresses.isEmpty() && status.getPodIP() != null
        ? address(status.getPodIP()).stream().toList()
        : addresses;
  }

  /** No name is ever looked up. */
  private static Optional<InetAddress> address(String literal) {
    try {
      return Optional.of(InetAddress.ofLiteral(literal));
    } catch (IllegalArgumentException _) {
      // Not an address, so no connection can come from it.
      return Optional.empty();
    }
  }

  private static Instant readySince(PodStatus status) {
    return all(status.getConditions())
        .filter(c -> "Ready".equals(c.getType()) && "True".equals(c.getStatus()))
        .map(PodCondition::getLastTransitionTime)
        .map(Domain::instant)
        .findFirst()
        .orElse(Pod.NEVER);
  }

  private static Duration grace(ObjectMeta meta, PodSpec spec) {
    long seconds =
        Stream.of(
                Optional.ofNullable(meta.getDeletionGracePeriodSeconds()),
                Optional.ofNullable(spec.getTerminationGracePeriodSeconds()))
            .flatMap(Optional::stream)
            .findFirst()
            .orElse(DEFAULT_GRACE);
    return Duration.ofSeconds(Math.max(0, seconds));
  }

  private static Owner owner(OwnerReference owner) {
    return new Owner(
        text(owner.getApiVersion()),
        text(owner.getKind()),
        text(owner.getName()),
        text(owner.getUid()),
        Boolean.TRUE.equals(owner.getController()));
  }

  /** A time that is missing or odd is long ago. */
  private static Instant instant(@Nullable String time) {
    try {
      return time == null ? Instant.EPOCH : Instant.parse(time);
    } catch (DateTimeParseException _) {
      return Instant.EPOCH;
    }
  }

  private static String text(@Nullable String text) {
    return text == null ? "" : text;
  }

  private static <E> E orNew(@Nullable E given, java.util.function.Supplier<E> otherwise) {
    return given == null ? otherwise.get() : given;
  }

  private static <E> Stream<E> all(@Nullable List<E> list) {
    return list == null ? Stream.empty() : list.stream().filter(Objects::nonNull);
  }

  private static Map<String, String> map(@Nullable Map<String, String> map) {
    return map == null
        ? Map.of()
        : map.entrySet().stream()
            .filter(e -> e.getKey() != null)
            .collect(Collectors.toUnmodifiableMap(Map.Entry::getKey, e -> text(e.getValue())));
  }
}
