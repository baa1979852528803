package nodeward.metadata;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nodeward.config.Config.Metadata.SessionTag;
import nodeward.node.Pod;

/**
 * What role sessions are tagged with, under the keys that EKS Pod Identity uses, so that policies
 * that compare them ({@code ${aws:PrincipalTag/kubernetes-namespace}}) hold for both.
 */
public final class SessionTags {
  private SessionTags() {}

  /** The tags that all sessions of the node have. */
  public static Map<String, String> ofNode(List<SessionTag> wanted, String cluster, String node) {
    var tags = new HashMap<String, String>();
    for (SessionTag tag : wanted) {
      switch (tag) {
        case CLUSTER -> tags.put("eks-cluster-name", cluster);
        case NODE -> tags.put("kubernetes-node-name", node);
        case NAMESPACE, POD, SERVICEACCOUNT -> {}
      }
    }
    return tags;
  }

  /** The tags of a pod's session; empty while one of them is not known. */
  static Optional<Map<String, String>> of(List<SessionTag> wanted, Pod pod) {
    var tags = new HashMap<String, String>();
    for (SessionTag tag : wanted) {
      switch (tag) {
        case NAMESPACE -> tags.put("kubernetes-namespace", pod.namespace());
        case POD -> {
          tags.put("kubernetes-pod-name", pod.name());
          tags.put("kubernetes-pod-uid", pod.uid());
        }
        case SERVICEACCOUNT -> {
          if (pod.serviceAccount().isEmpty()) {
            return Optional.empty();
          }
          tags.put("kubernetes-service-account", pod.serviceAccount());
        }
        case CLUSTER, NODE -> {}
      }
    }
    return Optional.of(tags);
  }
}
