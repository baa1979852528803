package nodeward.kube;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fabric8.zjsonpatch.JsonPatch;
import io.fabric8.zjsonpatch.JsonPatchException;
import java.util.Map;

/** The three patches of the API: JSON (RFC 6902), merge (RFC 7386) and strategic merge. */
final class Patches {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  /** The lists that a strategic merge merges by a key; it replaces all others, as spec.taints. */
  private static final Map<String, String> MERGED_BY =
      Map.of(
          "/status/conditions", "type",
          "/status/addresses", "type",
          "/metadata/ownerReferences", "uid");

  private Patches() {}

  static ObjectNode apply(String contentType, String patch, ObjectNode to) {
    JsonNode read = read(patch);
    return switch (contentType.replaceAll("\\s*;.*", "")) {
      case "application/json-patch+json" -> json(read, to);
      case "application/merge-patch+json" -> {
        ObjectNode result = to.deepCopy();
        merge(read, result);
        yield result;
      }
      case "application/strategic-merge-patch+json" -> {
        ObjectNode result = to.deepCopy();
        mergeStrategically("", read, result);
        yield result;
      }
      default -> throw Refusal.of(415, "UnsupportedMediaType", "415: Unsupported Media Type");
    };
  }

  private static JsonNode read(String patch) {
    try {
      return MAPPER.readTree(patch);
    } catch (JsonProcessingException e) {
      throw Refusal.badRequest("error decoding patch: " + e.getOriginalMessage());
    }
  }

  private static ObjectNode json(JsonNode patch, ObjectNode to) {
    try {
      return (ObjectNode) JsonPatch.apply(patch, to);
    } catch (JsonPatchException e) {
      throw Refusal.patchDoesNotFit();
    }
  }

  private static void merge(JsonNode patch, ObjectNode into) {
    for (Map.Entry<String, JsonNode> field : patch.properties()) {
      JsonNode value = field.getValue();
      if (value.isNull()) {
        into.remove(field.getKey());
      } else if (value.isObject()) {
        merge(value, child(into, field.getKey()));
      } else {
        into.set(field.getKey(), value);
      }
    }
  }

  private static void mergeStrategically(String path, JsonNode patch, ObjectNode into) {
    for (Map.Entry<String, JsonNode> field : patch.properties()) {
      String name = field.getKey();
      JsonNode value = field.getValue();
      String at = path + "/" + name;
      if (name.startsWith("$setElementOrder")) {
        continue;
      }
      if (value.isNull()) {
        into.remove(name);
      } else if (value.isObject()) {
        mergeStrategically(at, value, child(into, name));
      } else if (value instanceof ArrayNode list && MERGED_BY.containsKey(at)) {
        mergeByKey(MERGED_BY.get(at), list, into.withArray("/" + name));
      } else {
        into.set(name, value);
      }
    }
  }

  private static void mergeByKey(String key, ArrayNode patch, ArrayNode into) {
    for (JsonNode element : patch) {
      int found = -1;
      for (int i = 0; i < into.size(); i++) {
        if (into.get(i).path(key).equals(element.path(key))) {
          found = i;
        }
      }
      if (element.path("$patch").asText().equals("delete")) {
        if (found >= 0) {
          into.remove(found);
        }
      } else if (found >= 0) {
        mergeStrategically("", element, (ObjectNode) into.get(found));
      } else {
        into.add(element);
      }
    }
  }

  private static ObjectNode child(ObjectNode parent, String name) {
    return parent.get(name) instanceof ObjectNode child ? child : parent.putObject(name);
  }
}
