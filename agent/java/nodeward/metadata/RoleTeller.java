package nodeward.metadata;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import nodeward.component.Time;
import nodeward.node.NodeEvents;
import nodeward.node.Pod;
import nodeward.node.PodEvents;

/**
 * Tells on a pod why it does not get its role, once for each reason and again after half an hour
 * while it lasts: its owners read {@code kubectl describe}, not this node's log. What STS said
 * stays in the log, for it names the node's own role. Any thread may tell.
 */
final class RoleTeller {
  private static final Duration AGAIN = Duration.ofMinutes(30);

  private record Told(String message, long at) {}

  private final PodEvents events;
  private final Time time;
  private final Map<String, Told> told = new HashMap<>();

  RoleTeller(PodEvents events, Time time) {
    this.events = events;
    this.time = time;
  }

  /** By its annotations or by its namespace. */
  void denied(Pod pod, String why) {
    tell(pod, "RoleDenied", "no role for this pod: " + why);
  }

  /** STS does not give it to the node. */
  void notAssumable(Pod pod, RoleSession session) {
    tell(
        pod,
        "RoleNotAssumable",
        "role "
            + session.roleArn()
            + " does not exist, does not trust the role of this node, or wants another external"
            + " id");
  }

  /** Forgets what was told of a pod that has its role now. */
  void well(Pod pod) {
    told.remove(pod.uid());
  }

  /** Forgets the pods that are gone. */
  void keep(Collection<Pod> pods) {
    Set<String> left = pods.stream().map(Pod::uid).collect(Collectors.toSet());
    told.keySet().retainAll(left);
  }

  private void tell(Pod pod, String reason, String message) {
    long now = time.nanos();
    Told last = told.get(pod.uid());
    if (last == null || !last.message.equals(message) || now - last.at >= AGAIN.toNanos()) {
      told.put(pod.uid(), new Told(message, now));
      events.tell(pod, NodeEvents.Type.WARNING, reason, message);
    }
  }
}
