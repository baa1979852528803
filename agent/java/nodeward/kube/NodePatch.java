package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Taint;

/**
 * A {@link NodeChange} as one PATCH that the API server refuses when it would undo somebody else's
 * work. {@code spec.taints} is an atomic list, so it never goes out without a guard: where taints
 * were and stay, a JSON patch (RFC 6902) that tests them, which kubelet's frequent writes do not
 * disturb; everywhere else a merge patch (RFC 7386) that carries the resourceVersion, since {@code
 * test} cannot say "is missing".
 */
record NodePatch(String contentType, JsonNode body) {
  static final String JSON_PATCH = "application/json-patch+json";
  static final String MERGE_PATCH = "application/merge-patch+json";

  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

  static NodePatch of(NodeChange change) {
    return testsTaints(change)
        ? new NodePatch(JSON_PATCH, jsonPatch(change))
        : new NodePatch(MERGE_PATCH, mergePatch(change));
  }

  /** Also, a JSON patch cannot add a key to a map that is not there. */
  private static boolean testsTaints(NodeChange change) {
    NodeView seen = change.seen();
    return !change.taints().equals(seen.taints())
        && !change.taints().isEmpty()
        && !seen.taints().isEmpty()
        && (change.labels().equals(seen.labels()) || !seen.labels().isEmpty())
        && (change.annotations().equals(seen.annotations()) || !seen.annotations().isEmpty());
  }

  private static JsonNode jsonPatch(NodeChange change) {
    NodeView seen = change.seen();
    ArrayNode patch = JSON.arrayNode();
    // A Node that was deleted and registered again under the same name carries the same taints.
    patch.add(operation("test", "/metadata/uid", JSON.textNode(seen.uid())));
    patch.add(operation("test", "/spec/taints", taints(seen.taints())));
    patch.add(operation("replace", "/spec/taints", taints(change.taints())));
    if (change.unschedulable() != seen.unschedulable()) {
      // Who had cordoned before is remembered: a cordon of somebody else in between must be seen.
      patch.add(
          operation("test", "/metadata/resourceVersion", JSON.textNode(seen.resourceVersion())));
      patch.add(operation("add", "/spec/unschedulable", JSON.booleanNode(change.unschedulable())));
    }
    addKeys(patch, "/metadata/labels/", seen.labels(), change.labels());
    addKeys(patch, "/metadata/annotations/", seen.annotations(), change.annotations());
    return patch;
  }

  private static void addKeys(
      ArrayNode patch, String parent, Map<String, String> before, Map<String, String> after) {
    difference(before, after)
        .forEach(
            (key, value) -> {
              String path = parent + key.replace("~", "~0").replace("/", "~1");
              if (value.isNull()) {
                patch.add(JSON.objectNode().put("op", "remove").put("path", path));
              } else {
                patch.add(operation("add", path, value));
              }
            });
  }

  private static ObjectNode operation(String op, String path, JsonNode value) {
    ObjectNode operation = JSON.objectNode().put("op", op).put("path", path);
    operation.set("value", value);
    return operation;
  }

  private static JsonNode mergePatch(NodeChange change) {
    NodeView seen = change.seen();
    ObjectNode patch = JSON.objectNode();
    ObjectNode metadata = patch.putObject("metadata");
    metadata.put("resourceVersion", seen.resourceVersion());
    setKeys(metadata, "labels", seen.labels(), change.labels());
    setKeys(metadata, "annotations", seen.annotations(), change.annotations());
    ObjectNode spec = JSON.objectNode();
    if (!change.taints().equals(seen.taints())) {
      spec.set("taints", change.taints().isEmpty() ? JSON.nullNode() : taints(change.taints()));
    }
    if (change.unschedulable() != seen.unschedulable()) {
      spec.set("unschedulable", change.unschedulable() ? JSON.booleanNode(true) : JSON.nullNode());
    }
    if (!spec.isEmpty()) {
      patch.set("spec", spec);
    }
    return patch;
  }

  private static void setKeys(
      ObjectNode metadata, String field, Map<String, String> before, Map<String, String> after) {
    Map<String, JsonNode> difference = difference(before, after);
    if (!difference.isEmpty()) {
      metadata.putObject(field).setAll(difference);
    }
  }

  /** The keys to write with their values, null for those to remove; sorted, for the eye. */
  private static Map<String, JsonNode> difference(
      Map<String, String> before, Map<String, String> after) {
    var difference = new TreeMap<String, JsonNode>();
    after.forEach(
        (key, value) -> {
          if (!value.equals(before.get(key))) {
            difference.put(key, JSON.textNode(value));
          }
        });
    before.keySet().stream()
        .filter(key -> !after.containsKey(key))
        .forEach(key -> difference.put(key, JSON.nullNode()));
    return difference;
  }

  /** As the API server stores them: fields that are empty are absent. */
  private static ArrayNode taints(List<Taint> taints) {
    ArrayNode list = JSON.arrayNode();
    for (Taint taint : taints) {
      ObjectNode t = list.addObject().put("key", taint.key());
      if (!taint.value().isEmpty()) {
        t.put("value", taint.value());
      }
      t.put("effect", taint.effect());
      if (!taint.timeAdded().isEmpty()) {
        t.put("timeAdded", taint.timeAdded());
      }
    }
    return list;
  }
}
