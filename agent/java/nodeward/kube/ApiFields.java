package nodeward.kube;

import com.fasterxml.jackson.annotation.JsonIncludeProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.EmptyDirVolumeSource;
import io.fabric8.kubernetes.api.model.EphemeralVolumeSource;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.NodeSpec;
import io.fabric8.kubernetes.api.model.NodeStatus;
import io.fabric8.kubernetes.api.model.NodeSystemInfo;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.PodStatus;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetSpec;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetStatus;

/**
 * The fields of the API's large types that {@link Domain} and the informers read. Jackson makes no
 * readers for the others: a Pod alone reaches some 250 types, whose classes and descriptions would
 * be a sixth of the agent's memory. Objects that are read so must not be written back whole.
 */
final class ApiFields {
  private ApiFields() {}

  static ObjectMapper mapper() {
    return new ObjectMapper()
        .addMixIn(ObjectMeta.class, Meta.class)
        .addMixIn(Namespace.class, MetaAlone.class)
        .addMixIn(NodeSpec.class, OfNodeSpec.class)
        .addMixIn(NodeStatus.class, OfNodeStatus.class)
        .addMixIn(NodeSystemInfo.class, OfNodeSystemInfo.class)
        .addMixIn(PodSpec.class, OfPodSpec.class)
        .addMixIn(PodStatus.class, OfPodStatus.class)
        .addMixIn(Volume.class, OfVolume.class)
        .addMixIn(EmptyDirVolumeSource.class, Nothing.class)
        .addMixIn(EphemeralVolumeSource.class, Nothing.class)
        .addMixIn(PodDisruptionBudgetSpec.class, OfBudgetSpec.class)
        .addMixIn(PodDisruptionBudgetStatus.class, OfBudgetStatus.class);
  }

  @JsonIncludeProperties({
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "labels",
    "annotations",
    "ownerReferences",
    "deletionTimestamp",
    "deletionGracePeriodSeconds"
  })
  private interface Meta {}

  @JsonIncludeProperties({"apiVersion", "kind", "metadata"})
  private interface MetaAlone {}

  @JsonIncludeProperties({"providerID", "unschedulable", "taints"})
  private interface OfNodeSpec {}

  @JsonIncludeProperties({"nodeInfo", "conditions"})
  private interface OfNodeStatus {}

  @JsonIncludeProperties("bootID")
  private interface OfNodeSystemInfo {}

  @JsonIncludeProperties({
    "nodeName",
    "hostNetwork",
    "priority",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "volumes"
  })
  private interface OfPodSpec {}

  @JsonIncludeProperties({"phase", "podIP", "podIPs", "conditions"})
  private interface OfPodStatus {}

  @JsonIncludeProperties({"name", "emptyDir", "persistentVolumeClaim", "ephemeral", "hostPath"})
  private interface OfVolume {}

  /** That it is there is all that counts. */
  @JsonIncludeProperties({})
  private interface Nothing {}

  @JsonIncludeProperties({"selector", "unhealthyPodEvictionPolicy"})
  private interface OfBudgetSpec {}

  @JsonIncludeProperties({
    "desiredHealthy",
    "currentHealthy",
    "disruptionsAllowed",
    "observedGeneration"
  })
  private interface OfBudgetStatus {}
}
