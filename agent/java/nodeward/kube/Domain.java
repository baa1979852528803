package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import nodeward.node.Budget;
import nodeward.node.Condition;
import nodeward.node.LabelSelector;
import nodeward.node.NodeView;
import nodeward.node.Owner;
import nodeward.node.Pod;
import nodeward.node.Taint;

/**
 * The API's objects as our records, read from their JSON: to look through fabric8's models of them
 * would take a command longer than all else. Every field of the API may be missing and none is
 * trusted: an object that the API server stores never makes this throw, for that would lose an
 * event of a watch.
 */
final class Domain {
  // The API server's default for terminationGracePeriodSeconds.
  private static final long DEFAULT_GRACE = 30;

  private Domain() {}

  static NodeView node(JsonNode node) {
    JsonNode meta = node.path("metadata");
    JsonNode spec = node.path("spec");
    JsonNode status = node.path("status");
    return new NodeView(
        text(meta, "name"),
        text(meta, "uid"),
        text(meta, "resourceVersion"),
        text(spec, "providerID"),
        text(status.path("nodeInfo"), "bootID"),
        spec.path("unschedulable").asBoolean(),
        all(spec, "taints").flatMap(t -> taint(t).stream()).toList(),
        map(meta, "labels"),
        map(meta, "annotations"),
        all(status, "conditions").map(Domain::condition).toList());
  }

  static Pod pod(JsonNode pod) {
    JsonNode meta = pod.path("metadata");
    JsonNode spec = pod.path("spec");
    JsonNode status = pod.path("status");
    return new Pod(
        text(meta, "namespace"),
        text(meta, "name"),
        text(meta, "uid"),
        text(spec, "nodeName"),
        phase(text(status, "phase")),
        addresses(status),
        spec.path("hostNetwork").asBoolean(),
        readySince(status),
        text(meta, "deletionTimestamp").isEmpty() ? Pod.NEVER : time(meta, "deletionTimestamp"),
        grace(meta, spec),
        spec.path("priority").asInt(),
        all(spec, "volumes").anyMatch(v -> has(v, "emptyDir")),
        text(spec, "serviceAccountName"),
        all(meta, "ownerReferences").map(Domain::owner).toList(),
        map(meta, "labels"),
        map(meta, "annotations"),
        volumes(text(meta, "name"), spec));
  }

  static Budget budget(JsonNode budget) {
    JsonNode meta = budget.path("metadata");
    JsonNode spec = budget.path("spec");
    JsonNode status = budget.path("status");
    return new Budget(
        text(meta, "namespace"),
        text(meta, "name"),
        text(meta, "resourceVersion"),
        selector(spec.path("selector")),
        status.path("desiredHealthy").asInt(),
        status.path("currentHealthy").asInt(),
        status.path("disruptionsAllowed").asInt(),
        text(spec, "unhealthyPodEvictionPolicy").equals("AlwaysAllow")
            ? Budget.Unready.ALWAYS
            : Budget.Unready.IF_HEALTHY,
        status.path("observedGeneration").asLong() >= meta.path("generation").asLong());
  }

  /** Values that are null count as empty. */
  static Map<String, String> annotations(JsonNode object) {
    return map(object.path("metadata"), "annotations");
  }

  /** Empty selects every pod of the namespace in policy/v1, none selects nothing. */
  private static LabelSelector selector(JsonNode selector) {
    if (!selector.isObject()) {
      return LabelSelector.NOTHING;
    }
    var requirements = new ArrayList<LabelSelector.Requirement>();
    map(selector, "matchLabels")
        .forEach(
            (key, value) ->
                requirements.add(new LabelSelector.Requirement(key, "In", List.of(value))));
    all(selector, "matchExpressions")
        .forEach(
            e ->
                requirements.add(
                    new LabelSelector.Requirement(
                        text(e, "key"),
                        text(e, "operator"),
                        all(e, "values").map(v -> v.asText("")).toList())));
    return LabelSelector.of(requirements);
  }

  private static Pod.Volumes volumes(String pod, JsonNode spec) {
    var claims = new ArrayList<String>();
    var hostPaths = new ArrayList<String>();
    all(spec, "volumes")
        .forEach(
            v -> {
              if (has(v, "persistentVolumeClaim")) {
                claims.add(text(v.path("persistentVolumeClaim"), "claimName"));
              }
              if (has(v, "ephemeral")) {
                // The controller names the claim of a generic ephemeral volume so.
                claims.add(pod + "-" + text(v, "name"));
              }
              if (has(v, "hostPath")) {
                hostPaths.add(text(v.path("hostPath"), "path"));
              }
            });
    return new Pod.Volumes(claims, hostPaths);
  }

  /** The API server stores no taint without key or effect. */
  private static Optional<Taint> taint(JsonNode taint) {
    String key = text(taint, "key");
    String effect = text(taint, "effect");
    return key.isEmpty() || effect.isEmpty()
        ? Optional.empty()
        : Optional.of(new Taint(key, text(taint, "value"), effect, text(taint, "timeAdded")));
  }

  private static Condition condition(JsonNode condition) {
    return new Condition(
        text(condition, "type"),
        Condition.Status.of(text(condition, "status")),
        text(condition, "reason"),
        text(condition, "message"),
        time(condition, "lastTransitionTime"));
  }

  private static Pod.Phase phase(String phase) {
    for (Pod.Phase p : Pod.Phase.values()) {
      if (p.name().equals(phase.toUpperCase(Locale.ROOT))) {
        return p;
      }
    }
    return Pod.Phase.UNKNOWN;
  }

  private static List<InetAddress> addresses(JsonNode status) {
    List<InetAddress> addresses =
        all(status, "podIPs")
            .map(a -> text(a, "ip"))
            .distinct()
            .flatMap(a -> address(a).stream())
            .toList();
    return addresses.isEmpty() ? address(text(status, "podIP")).stream().toList() : addresses;
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

  private static Instant readySince(JsonNode status) {
    return all(status, "conditions")
        .filter(c -> text(c, "type").equals("Ready") && text(c, "status").equals("True"))
        .map(c -> time(c, "lastTransitionTime"))
        .findFirst()
        .orElse(Pod.NEVER);
  }

  private static Duration grace(JsonNode meta, JsonNode spec) {
    long usual = spec.path("terminationGracePeriodSeconds").asLong(DEFAULT_GRACE);
    return Duration.ofSeconds(Math.max(0, meta.path("deletionGracePeriodSeconds").asLong(usual)));
  }

  private static Owner owner(JsonNode owner) {
    return new Owner(
        text(owner, "apiVersion"),
        text(owner, "kind"),
        text(owner, "name"),
        text(owner, "uid"),
        owner.path("controller").asBoolean());
  }

  /** A time that is missing or odd is long ago. */
  private static Instant time(JsonNode object, String field) {
    try {
      return Instant.parse(text(object, field));
    } catch (DateTimeParseException _) {
      return Instant.EPOCH;
    }
  }

  private static boolean has(JsonNode object, String field) {
    return object.hasNonNull(field);
  }

  private static String text(JsonNode object, String field) {
    return object.path(field).asText("");
  }

  private static Stream<JsonNode> all(JsonNode object, String field) {
    return StreamSupport.stream(object.path(field).spliterator(), false).filter(e -> !e.isNull());
  }

  private static Map<String, String> map(JsonNode object, String field) {
    var map = new HashMap<String, String>();
    object.path(field).properties().forEach(e -> map.put(e.getKey(), e.getValue().asText("")));
    return Map.copyOf(map);
  }
}
