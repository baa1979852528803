package nodeward.node;

/**
 * Events on pods of this node, for {@code kubectl describe pod}. Sent in the background; a failure
 * is logged, never thrown.
 */
@FunctionalInterface
public interface PodEvents {
  void tell(Pod pod, NodeEvents.Type type, String reason, String message);
}
