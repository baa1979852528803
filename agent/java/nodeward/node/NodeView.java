package nodeward.node;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What the agent reads of a Node, at one resourceVersion. Fields that the Node lacks are empty. */
public record NodeView(
    String name,
    String uid,
    String resourceVersion,
    String providerId,
    String bootId,
    boolean unschedulable,
    List<Taint> taints,
    Map<String, String> labels,
    Map<String, String> annotations,
    List<Condition> conditions) {

  public NodeView {
    taints = List.copyOf(taints);
    labels = Map.copyOf(labels);
    annotations = Map.copyOf(annotations);
    conditions = List.copyOf(conditions);
  }

  public boolean hasTaint(String key) {
    return taints.stream().anyMatch(t -> t.key().equals(key));
  }

  public Optional<String> annotation(String key) {
    return Optional.ofNullable(annotations.get(key));
  }

  public Optional<Condition> condition(String type) {
    return conditions.stream().filter(c -> c.type().equals(type)).findFirst();
  }
}
