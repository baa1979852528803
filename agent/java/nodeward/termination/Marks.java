package nodeward.termination;

import java.io.IOException;
import java.util.Optional;
import java.util.function.Supplier;
import nodeward.drain.Cordon;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Nodes;
import nodeward.node.Taint;
import nodeward.termination.Plan.Cordoner;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The marks of a plan on the Node: cordon, taint, label and annotation in one guarded change, and
 * their undoing, which leaves what others did. A Node that stands for another instance is not
 * touched. Runs on the caller's thread; a failed request is thrown.
 */
final class Marks {
  static final String TAINT = "nodeward.dev/terminating";
  static final String ANNOTATION = "nodeward.dev/drain";
  static final String EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers";
  static final String OURS = "nodeward";

  private static final Logger log = LoggerFactory.getLogger(Marks.class);

  private final Nodes nodes;
  private final Policy policy;
  private final Supplier<String> instanceId;
  private final Cordon cordon;

  /** {@code instanceId} is empty while nobody knows it. */
  Marks(Nodes nodes, Policy policy, Supplier<String> instanceId) {
    this.nodes = nodes;
    this.policy = policy;
    this.instanceId = instanceId;
    this.cordon = new Cordon(nodes);
  }

  /** Puts the marks on; tells who had cordoned the node. */
  Cordoner put(Plan plan) throws IOException, InterruptedException {
    refuseAnotherInstance();
    boolean taint = nodes.mayTaint();
    if (!taint) {
      log.warn(
          "termination: no taint on node={}, the cordon alone keeps pods away: the agent speaks as"
              + " the kubelet",
          nodes.nodeName());
    }
    return switch (cordon.edit(node -> marked(node, plan, taint))) {
      case Cordon.Edit.Written(NodeView before) -> cordoner(before, plan);
      case Cordon.Edit.Same(NodeView before) -> cordoner(before, plan);
      case Cordon.Edit.Absent _ -> {
        log.warn("termination: no such node={}, nothing to cordon", nodes.nodeName());
        yield Cordoner.UNKNOWN;
      }
    };
  }

  /** Takes off what is Nodeward's. */
  void takeOff(Plan plan) throws IOException, InterruptedException {
    cordon.edit(
        node -> {
          NodeChange change = NodeChange.of(node).withoutTaint(TAINT).withoutAnnotation(ANNOTATION);
          if (OURS.equals(node.labels().get(EXCLUDE))) {
            change = change.withoutLabel(EXCLUDE);
          }
          return ours(node, plan) ? change.uncordoned() : change;
        });
  }

  /** The plan that the Node carries; empty when there is none that can be read. */
  static Optional<Plan> planOn(NodeView node) {
    Optional<String> text = node.annotation(ANNOTATION);
    if (text.isEmpty()) {
      return Optional.empty();
    }
    try {
      return PlanJson.read(text.get()).state().planned();
    } catch (IllegalArgumentException e) {
      log.debug("termination: annotation {} cannot be read why=\"{}\"", ANNOTATION, e.toString());
      return Optional.empty();
    }
  }

  private void refuseAnotherInstance() throws IOException {
    String here = instanceId.get();
    String there = nodes.current().map(NodeView::providerId).orElse("");
    String named = there.substring(there.lastIndexOf('/') + 1);
    if (!here.isEmpty() && named.startsWith("i-") && !named.equals(here)) {
      throw new IOException(
          "node %s is instance %s, but this is %s: node.name is wrong, or the Node is left over"
              .formatted(nodes.nodeName(), named, here));
    }
  }

  private NodeChange marked(NodeView node, Plan plan, boolean taint) {
    Plan known = plan.cordonedBy(cordoner(node, plan));
    NodeChange change =
        NodeChange.of(node)
            .cordoned()
            .withAnnotation(ANNOTATION, PlanJson.write(node.name(), new State.Noticed(known)));
    if (taint) {
      change = change.withTaint(new Taint(TAINT, plan.kind().text(), "NoSchedule", ""));
    }
    // A node that is merely held still serves what runs on it.
    boolean excluded = node.labels().containsKey(EXCLUDE) || policy.holds(plan);
    return excluded ? change : change.withLabel(EXCLUDE, OURS);
  }

  /** Who had cordoned the node, as far as the node itself and the plan tell. */
  private static Cordoner cordoner(NodeView node, Plan plan) {
    if (!node.unschedulable()) {
      return Cordoner.NODEWARD;
    }
    if (plan.cordoner() != Cordoner.UNKNOWN) {
      return plan.cordoner();
    }
    return planOn(node)
        .map(Plan::cordoner)
        .filter(c -> c != Cordoner.UNKNOWN)
        .orElse(Cordoner.OTHERS);
  }

  /** A plan that was withdrawn before it had marked the Node has cordoned nothing. */
  private static boolean ours(NodeView node, Plan plan) {
    Cordoner known =
        plan.cordoner() == Cordoner.UNKNOWN
            ? planOn(node).map(Plan::cordoner).orElse(Cordoner.UNKNOWN)
            : plan.cordoner();
    return known == Cordoner.NODEWARD;
  }
}
