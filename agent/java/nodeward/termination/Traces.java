package nodeward.termination;

import java.util.ArrayList;
import java.util.List;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Taint;

/**
 * What an agent leaves on its Node beside conditions: taints, annotations, the label that keeps
 * load balancers away, and its own cordon. What others put there is none of it.
 */
public final class Traces {
  private static final String DOMAIN = "nodeward.dev/";

  private Traces() {}

  /**
   * The Node without them.
   *
   * @param gateKeys the keys of the gate's taints
   */
  public static NodeChange without(NodeView node, List<String> gateKeys) {
    NodeChange change = NodeChange.of(node);
    for (Taint taint : node.taints()) {
      if (taint.key().startsWith(DOMAIN) || gateKeys.contains(taint.key())) {
        change = change.withoutTaint(taint.key());
      }
    }
    for (String key : node.annotations().keySet()) {
      if (key.startsWith(DOMAIN)) {
        change = change.withoutAnnotation(key);
      }
    }
    if (Marks.OURS.equals(node.labels().get(Marks.EXCLUDE))) {
      change = change.withoutLabel(Marks.EXCLUDE);
    }
    boolean ours =
        Marks.planOn(node).filter(plan -> plan.cordoner() == Plan.Cordoner.NODEWARD).isPresent();
    return ours ? change.uncordoned() : change;
  }

  /** What a change of {@link #without} takes off, for the reader. */
  public static List<String> words(NodeChange change) {
    NodeView seen = change.seen();
    var words = new ArrayList<String>();
    seen.taints().stream()
        .filter(taint -> !change.taints().contains(taint))
        .forEach(taint -> words.add("taint " + taint));
    seen.annotations().keySet().stream()
        .filter(key -> !change.annotations().containsKey(key))
        .sorted()
        .forEach(key -> words.add("annotation " + key));
    seen.labels().keySet().stream()
        .filter(key -> !change.labels().containsKey(key))
        .sorted()
        .forEach(key -> words.add("label " + key));
    if (seen.unschedulable() && !change.unschedulable()) {
      words.add("cordon");
    }
    return words;
  }
}
