package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** What is read of the API's objects is all that the agent looks at. */
class ApiReadersTest {
  private static final ObjectMapper EVERYTHING = new ObjectMapper();
  private static final ObjectMapper NEEDED = ApiReaders.mapper();

  @Test
  void aPodIsTheSamePodWithoutTheFieldsThatNobodyReads() throws IOException {
    String json =
        json(
            """
            apiVersion: v1
            kind: Pod
            metadata:
              name: p
              namespace: shop
              uid: u1
              resourceVersion: "7"
              generation: 3
              labels: {app: p}
              annotations: {nodeward.dev/drain-order: "4"}
              deletionTimestamp: "2026-01-01T00:00:00Z"
              deletionGracePeriodSeconds: 33
              ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u2, controller: true}]
              managedFields: [{manager: kubelet, fieldsV1: {"f:spec": {}}}]
            spec:
              nodeName: n
              hostNetwork: true
              priority: 9
              serviceAccountName: s
              terminationGracePeriodSeconds: 12
              affinity: {nodeAffinity: {}}
              containers: [{name: c, env: [{name: A, value: b}]}]
              volumes:
              - {name: a, emptyDir: {sizeLimit: 1Gi}}
              - {name: b, persistentVolumeClaim: {claimName: claim}}
              - {name: c, ephemeral: {volumeClaimTemplate: {spec: {}}}}
              - {name: d, hostPath: {path: /var/log}}
              - {name: e, configMap: {name: m}}
            status:
              phase: Running
              podIP: 10.0.0.7
              podIPs: [{ip: 10.0.0.7}, {ip: "fd00::7"}]
              conditions: [{type: Ready, status: "True", lastTransitionTime: "2026-01-01T00:00:00Z"}]
              containerStatuses: [{name: c, ready: true}]
            """);

    var pod = Domain.pod(NEEDED.readValue(json, Pod.class));

    assertThat(pod)
        .hasNoNullFieldsOrProperties()
        .isEqualTo(Domain.pod(EVERYTHING.readValue(json, Pod.class)));
    assertThat(NEEDED.readValue(json, Pod.class).getSpec().getContainers()).isEmpty();
  }

  @Test
  void aNodeIsTheSameNode() throws IOException {
    String json =
        json(
            """
            apiVersion: v1
            kind: Node
            metadata: {name: n, uid: u, resourceVersion: "7", labels: {a: b}, annotations: {c: d}}
            spec:
              providerID: aws:///eu-west-1a/i-0
              unschedulable: true
              podCIDR: 10.0.0.0/24
              taints: [{key: k, value: v, effect: NoExecute, timeAdded: "2026-01-01T00:00:00Z"}]
            status:
              nodeInfo: {bootID: b, kernelVersion: "6.1"}
              images: [{names: [i], sizeBytes: 3}]
              conditions: [{type: Ready, status: "True", reason: KubeletReady, message: m}]
            """);

    var node = Domain.node(NEEDED.readValue(json, Node.class));

    assertThat(node).isEqualTo(Domain.node(EVERYTHING.readValue(json, Node.class)));
    assertThat(NEEDED.readValue(json, Node.class).getStatus().getImages()).isEmpty();
  }

  @Test
  void aBudgetIsTheSameBudget() throws IOException {
    String json =
        json(
            """
            apiVersion: policy/v1
            kind: PodDisruptionBudget
            metadata: {namespace: shop, name: b, resourceVersion: "7", generation: 2}
            spec:
              maxUnavailable: 1
              unhealthyPodEvictionPolicy: AlwaysAllow
              selector: {matchLabels: {a: b}, matchExpressions: [{key: k, operator: In, values: [v]}]}
            status:
              observedGeneration: 2
              desiredHealthy: 3
              currentHealthy: 4
              disruptionsAllowed: 1
              expectedPods: 4
            """);

    var budget = Domain.budget(NEEDED.readValue(json, PodDisruptionBudget.class));

    assertThat(budget)
        .isEqualTo(Domain.budget(EVERYTHING.readValue(json, PodDisruptionBudget.class)));
  }

  private static String json(String yaml) throws IOException {
    return new YAMLMapper().readTree(yaml).toString();
  }
}
