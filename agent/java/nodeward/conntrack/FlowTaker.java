package nodeward.conntrack;

/** Takes each flow of a walk through the table; must not keep it. */
@FunctionalInterface
public interface FlowTaker {
  void take(Flow flow);
}
