package nodeward.node;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What the agent wants of a Node's spec and metadata, stated against the {@link NodeView} it was
 * decided on. {@link Nodes#change} writes the difference in one guarded patch.
 */
public record NodeChange(
    NodeView seen,
    boolean unschedulable,
    List<Taint> taints,
    Map<String, String> labels,
    Map<String, String> annotations) {

  public NodeChange {
    taints = List.copyOf(taints);
    labels = Map.copyOf(labels);
    annotations = Map.copyOf(annotations);
  }

  public static NodeChange of(NodeView seen) {
    return new NodeChange(
        seen, seen.unschedulable(), seen.taints(), seen.labels(), seen.annotations());
  }

  public NodeChange cordoned() {
    return new NodeChange(seen, true, taints, labels, annotations);
  }

  public NodeChange uncordoned() {
    return new NodeChange(seen, false, taints, labels, annotations);
  }

  /**
   * Adds the taint at the end; one of the same key and effect that is there already is kept as it
   * is.
   */
  public NodeChange withTaint(Taint taint) {
    if (taints.stream().anyMatch(taint::sameAs)) {
      return this;
    }
    var all = new ArrayList<>(taints);
    all.add(taint);
    return new NodeChange(seen, unschedulable, all, labels, annotations);
  }

  /** Removes every taint of the key, whatever its effect; the others keep their order. */
  public NodeChange withoutTaint(String key) {
    var rest = taints.stream().filter(t -> !t.key().equals(key)).toList();
    return new NodeChange(seen, unschedulable, rest, labels, annotations);
  }

  public NodeChange withLabel(String key, String value) {
    return new NodeChange(seen, unschedulable, taints, with(labels, key, value), annotations);
  }

  public NodeChange withoutLabel(String key) {
    return new NodeChange(seen, unschedulable, taints, without(labels, key), annotations);
  }

  public NodeChange withAnnotation(String key, String value) {
    return new NodeChange(seen, unschedulable, taints, labels, with(annotations, key, value));
  }

  public NodeChange withoutAnnotation(String key) {
    return new NodeChange(seen, unschedulable, taints, labels, without(annotations, key));
  }

  /** Whether there is nothing to write. */
  public boolean isEmpty() {
    // Not by the record's own equals, which the JVM makes at its first use: a drain waits for this.
    return unschedulable == seen.unschedulable()
        && taints.equals(seen.taints())
        && labels.equals(seen.labels())
        && annotations.equals(seen.annotations());
  }

  private static Map<String, String> with(Map<String, String> map, String key, String value) {
    var all = new HashMap<>(map);
    all.put(key, value);
    return all;
  }

  private static Map<String, String> without(Map<String, String> map, String key) {
    var rest = new HashMap<>(map);
    rest.remove(key);
    return rest;
  }
}
