package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.time.Duration;
import java.time.Instant;
import nodeward.node.Condition;
import nodeward.node.NodeView;
import nodeward.node.Owner;
import nodeward.node.Pod;
import nodeward.node.Taint;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DomainTest {
  @Test
  void aNodeIsReadInFull() {
    NodeView node =
        node(
            """
            metadata:
              name: n
              uid: u
              resourceVersion: "7"
              labels: {a: b}
              annotations: {c: d}
            spec:
              providerID: aws:///eu-west-1a/i-1
              unschedulable: true
              taints:
              - {key: k, value: v, effect: NoExecute, timeAdded: "2026-11-21T08:00:00Z"}
              - {key: l, effect: NoSchedule}
            status:
              nodeInfo: {bootID: boot}
              conditions:
              - {type: Ready, status: "True", reason: R, message: m, lastTransitionTime: "2026-11-21T08:00:00Z"}
            """);

    assertThat(node.name()).isEqualTo("n");
    assertThat(node.uid()).isEqualTo("u");
    assertThat(node.resourceVersion()).isEqualTo("7");
    assertThat(node.providerId()).isEqualTo("aws:///eu-west-1a/i-1");
    assertThat(node.bootId()).isEqualTo("boot");
    assertThat(node.unschedulable()).isTrue();
    assertThat(node.taints())
        .containsExactly(
            new Taint("k", "v", "NoExecute", "2026-11-21T08:00:00Z"),
            new Taint("l", "", "NoSchedule", ""));
    assertThat(node.labels()).containsEntry("a", "b");
    assertThat(node.annotations()).containsEntry("c", "d");
    assertThat(node.conditions())
        .containsExactly(
            new Condition(
                "Ready", Condition.Status.TRUE, "R", "m", Instant.parse("2026-11-21T08:00:00Z")));
  }

  @Test
  void aPodIsReadInFull() {
    Pod pod =
        pod(
            """
            metadata:
              namespace: ns
              name: p
              uid: u
              deletionTimestamp: "2026-11-21T09:00:00Z"
              deletionGracePeriodSeconds: 5
              labels: {a: b}
              annotations: {iam.amazonaws.com/role: r}
              ownerReferences:
              - {apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: ru, controller: true}
              - {apiVersion: v1, kind: Other, name: o, uid: ou}
            spec:
              nodeName: n
              hostNetwork: true
              priority: 2000001000
              serviceAccountName: sa
              terminationGracePeriodSeconds: 60
              volumes:
              - {name: s, secret: {secretName: x}}
              - {name: e, emptyDir: {}}
            status:
              phase: Running
              podIP: 10.0.0.1
              podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]
              conditions:
              - {type: Initialized, status: "True", lastTransitionTime: "2026-11-21T07:00:00Z"}
              - {type: Ready, status: "True", lastTransitionTime: "2026-11-21T08:00:00Z"}
            """);

    assertThat(pod.fullName()).isEqualTo("ns/p");
    assertThat(pod.uid()).isEqualTo("u");
    assertThat(pod.nodeName()).isEqualTo("n");
    assertThat(pod.phase()).isEqualTo(Pod.Phase.RUNNING);
    assertThat(pod.addresses())
        .extracting(a -> a.getHostAddress())
        .containsExactly("10.0.0.1", "fd00:0:0:0:0:0:0:1");
    assertThat(pod.hostNetwork()).isTrue();
    assertThat(pod.readySince()).isEqualTo("2026-11-21T08:00:00Z");
    assertThat(pod.deletion()).isEqualTo("2026-11-21T09:00:00Z");
    assertThat(pod.grace()).isEqualTo(Duration.ofSeconds(5));
    assertThat(pod.priority()).isEqualTo(2_000_001_000);
    assertThat(pod.emptyDir()).isTrue();
    assertThat(pod.serviceAccount()).isEqualTo("sa");
    assertThat(pod.owners())
        .containsExactly(
            new Owner("apps/v1", "ReplicaSet", "rs", "ru", true),
            new Owner("v1", "Other", "o", "ou", false));
    assertThat(pod.annotations()).containsEntry("iam.amazonaws.com/role", "r");
  }

  @Test
  void whatIsMissingHasTheApisDefaults() {
    Pod pod = pod("metadata: {name: p}");

    assertThat(pod.phase()).isEqualTo(Pod.Phase.UNKNOWN);
    assertThat(pod.ready()).isFalse();
    assertThat(pod.terminating()).isFalse();
    assertThat(pod.grace()).isEqualTo(Duration.ofSeconds(30));
    assertThat(pod.priority()).isZero();
    assertThat(pod.addresses()).isEmpty();
    assertThat(pod.owners()).isEmpty();
  }

  @Test
  void aNotReadyPodIsNotReadySinceAnything() {
    Pod pod =
        pod(
            "{status: {conditions: [{type: Ready, status: 'False', lastTransitionTime:"
                + " '2026-11-21T08:00:00Z'}]}}");

    assertThat(pod.ready()).isFalse();
  }

  @Test
  void aSingleAddressOfAnOldApiServerIsRead() {
    assertThat(pod("{status: {podIP: 10.0.0.1}}").addresses()).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "{metadata: {}, spec: {}, status: {}}",
        "{spec: {taints: [{}]}, status: {conditions: [{}], nodeInfo: {}}}",
        "{spec: {taints: [{key: '', effect: ''}, {key: a}]}}",
        "{metadata: {labels: {}, annotations: {a: null}}}",
        "{metadata: [], spec: text, status: 7}",
        "{spec: {taints: {key: a}, unschedulable: odd}, status: {conditions: none}}",
        "{status: {conditions: [{type: T, status: Odd, lastTransitionTime: yesterday}]}}",
      })
  void noNodeIsTooOdd(String text) {
    NodeView node = node(text);

    assertThat(node.taints()).isEmpty();
    assertThat(node.conditions())
        .allSatisfy(
            c -> {
              assertThat(c.status()).isEqualTo(Condition.Status.UNKNOWN);
              assertThat(c.lastTransition()).isEqualTo(Instant.EPOCH);
            });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "{metadata: {}, spec: {}, status: {}}",
        "{metadata: {ownerReferences: [{}], annotations: {a: null}}}",
        "{spec: {volumes: [{}], terminationGracePeriodSeconds: -1}}",
        "{status: {phase: Odd, podIP: nonsense, podIPs: [{}, {ip: localhost}], conditions: [{}]}}",
        "{status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: yesterday}]}}",
        "{status: {conditions: [{type: Ready, status: 'True'}]}}",
        "{metadata: {deletionTimestamp: soon}}",
        "{metadata: [], spec: text, status: 7}",
        "{spec: {volumes: {name: v}, priority: high, terminationGracePeriodSeconds: long}}",
        "{metadata: {ownerReferences: o, labels: [a]}, status: {podIPs: {ip: 10.0.0.1}}}",
      })
  void noPodIsTooOdd(String text) {
    Pod pod = pod(text);

    assertThat(pod.phase()).isEqualTo(Pod.Phase.UNKNOWN);
    assertThat(pod.addresses()).isEmpty();
    assertThat(pod.grace()).isBetween(Duration.ZERO, Duration.ofSeconds(30));
    assertThat(pod.ready()).isEqualTo(text.contains("'True'"));
    assertThat(pod.terminating()).isEqualTo(text.contains("soon"));
  }

  private static NodeView node(String yaml) {
    return Domain.node(read(yaml));
  }

  private static Pod pod(String yaml) {
    return Domain.pod(read(yaml));
  }

  private static JsonNode read(String yaml) {
    try {
      return new YAMLMapper().readTree(yaml);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(e);
    }
  }
}
