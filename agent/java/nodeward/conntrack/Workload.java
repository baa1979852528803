package nodeward.conntrack;

import nodeward.node.Owner;
import nodeward.node.Pod;

/** What a pod is a part of, as people name it. */
final class Workload {
  private static final String TEMPLATE_HASH = "pod-template-hash";

  private Workload() {}

  /**
   * {@code NAMESPACE/NAME} of the Deployment behind a ReplicaSet, which is named after it and the
   * hash of its template; else of the controller; else of the pod itself.
   */
  static String of(Pod pod) {
    return pod.controller()
        .map(owner -> pod.namespace() + "/" + name(pod, owner))
        .orElseGet(pod::fullName);
  }

  private static String name(Pod pod, Owner owner) {
    String hash = "-" + pod.labels().getOrDefault(TEMPLATE_HASH, "");
    boolean deployed =
        owner.kind().equals("ReplicaSet") && hash.length() > 1 && owner.name().endsWith(hash);
    return deployed
        ? owner.name().substring(0, owner.name().length() - hash.length())
        : owner.name();
  }
}
