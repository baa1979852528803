package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Manifests;
import nodeward.cluster.RealNode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * The packaged agent on a real node to which nobody has given a credential: it has the kubelet's,
 * and with it a token of its own. The admission policy and the rights are those that are shipped.
 */
@Tag("e2e")
final class KubeletIdentityE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final int ADMIN_PORT = 9821;
  private static final String NODE = "no-secret";
  private static final String KUBELET = "system:node:" + NODE;
  private static final String PODS = "/api/v1/namespaces/nodeward/pods";
  private static final String CURRENT = "/var/lib/kubelet/pki/kubelet-client-current.pem";

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private RealNode node;
  private PackagedAgent agent;

  @BeforeEach
  void start() throws IOException {
    plane =
        ControlPlane.start(
            directory.resolve("plane"), ControlPlane.Part.CONTROLLERS, ControlPlane.Part.SCHEDULER);
    node = RealNode.start(plane, NODE, List.of(HandMadeNode.GATE_TAINT));
    writeKubeconfig();
    agent = PackagedAgent.on(node, directory.resolve("agent.log"), ADMIN_PORT);
    Path etc = Files.createDirectories(node.path("/etc/nodeward"));
    Files.writeString(
        etc.resolve("config.yaml"),
        """
        node: {name: %s}
        kubernetes: {identity: kubelet}
        aws: {metadataEndpoint: "http://127.0.0.1:1", region: eu-west-1}
        gate: {require: [{namespace: kube-system, daemonSet: kube-proxy}]}
        metadata: {enabled: false}
        conntrack: {enabled: false}
        runtime: {enabled: false}
        termination: {enabled: false}
        admin: {listen: "%s:%d"}
        """
            .formatted(NODE, node.nodeAddress(), ADMIN_PORT));
  }

  @AfterEach
  void stop() {
    for (AutoCloseable each : new AutoCloseable[] {agent, node, plane}) {
      if (each != null) {
        assertThat(each).satisfies(AutoCloseable::close);
      }
    }
  }

  @Test
  void fromNoSecretAtAllToAnOpenGate() throws Exception {
    withoutItsPodTheAgentCordonsAndDrainsAndSaysWhyTheGateWaits();
    withItsPodTheGateOpens();
    onlyItsOwnNodeIsChanged();
    aNewPodMeansANewToken();
    anOutageAndANewCertificateOfTheKubeletChangeNothing();
    noTokenIsInTheLog();
  }

  private void withoutItsPodTheAgentCordonsAndDrainsAndSaysWhyTheGateWaits() throws Exception {
    plane.kubectl("apply", "-k", AgentIdentity.manifests() + "/rights");
    plane.apply(Manifests.KUBE_PROXY);
    agent.start();
    String why = "no pod of ServiceAccount nodeward/nodeward is on node no-secret yet";
    agent.await(
        "the agent says as whom it speaks",
        SOON,
        () -> agent.page("/readyz").body().contains("speaking as the kubelet: " + why));
    agent.await(
        "the gate says why it waits",
        SOON,
        () -> agent.part("gate").toString().contains("as the kubelet (" + why + ")"));

    plane.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: worker}
        spec:
          nodeName: %s
          terminationGracePeriodSeconds: 1
          containers: [{name: main, image: %s, imagePullPolicy: Never, args: [sleep]}]
        """
            .formatted(NODE, Manifests.PODTOOL_IMAGE));
    PackagedAgent.Ended drained = agent.run("drain", "--ignore-daemonsets", "--force");

    assertThat(drained.code()).as(drained.toString()).isZero();
    assertThat(plane.get("/api/v1/namespaces/default/pods").path("items")).isEmpty();
    assertThat(node().at("/spec/unschedulable").asBoolean()).isTrue();
    assertThat(agent.run("uncordon").code()).isZero();
    assertThat(gated()).isTrue();
  }

  private void withItsPodTheGateOpens() throws Exception {
    plane.kubectl("taint", "node", NODE, "example.com/foreign=kept:NoSchedule");
    String manifests = plane.kubectl("kustomize", AgentIdentity.manifests() + "/identity-only");
    assertThat(manifests).contains("image: registry.k8s.io/pause:3.10");
    plane.apply(
        manifests.replace(
            "image: registry.k8s.io/pause:3.10",
            "image: localhost/pause:test\n        imagePullPolicy: Never"));

    agent.await("the gate opens", SOON, () -> !gated());

    assertThat(node().at("/spec/taints").toString()).contains("example.com/foreign");
    agent.await("the agent is ready", SOON, agent::isReady);
    assertThat(credentials())
        .startsWith("ServiceAccount nodeward/nodeward of pod nodeward/nodeward-identity-");
    List<AuditEntry> writes =
        audit().stream()
            .filter(e -> e.verb().equals("patch") && e.resource().equals("nodes"))
            .filter(e -> e.code() == 200)
            .toList();
    assertThat(writes.getLast().user()).isEqualTo(AgentIdentity.USER);
    assertThat(audit()).filteredOn(e -> e.subresource().equals("token")).isNotEmpty();
    assertThat(audit())
        .filteredOn(e -> e.subresource().equals("token") || e.subresource().equals("eviction"))
        .allSatisfy(e -> assertThat(e.user()).isEqualTo(KUBELET));
  }

  private void onlyItsOwnNodeIsChanged() throws Exception {
    plane.apply("{apiVersion: v1, kind: Node, metadata: {name: somebody-else}}");

    PackagedAgent.Ended other = agent.run("cordon", "somebody-else");

    assertThat(other.code()).isEqualTo(1);
    assertThat(String.join("\n", other.err()))
        .contains("the agent of node no-secret may not change node somebody-else");
    assertThat(agent.run("cordon").code()).isZero();
    assertThat(agent.run("uncordon").code()).isZero();
    PackagedAgent.Ended doctor = agent.run("doctor");
    // The ServiceAccount itself has no right to end pods.
    assertThat(doctor.out())
        .contains("ok      create pods/eviction", "ok      delete pods", "ok      patch nodes");
    assertThat(String.join("\n", doctor.out()))
        .contains(
            "on the API server the agent is: ServiceAccount nodeward/nodeward of pod nodeward/");
  }

  private void aNewPodMeansANewToken() throws Exception {
    String before = identityPod();
    plane.kubectl("delete", "pod", "-n", "nodeward", before, "--force", "--grace-period=0");
    agent.await(
        "there is another pod",
        SOON,
        () -> !identityPod().isEmpty() && !identityPod().equals(before));

    closeTheGateByHand();
    agent.await("the gate opens again", SOON, () -> !gated());

    agent.await(
        "the token is of the new pod", SOON, () -> credentials().contains(identityPod() + " "));
  }

  private void anOutageAndANewCertificateOfTheKubeletChangeNothing() throws Exception {
    String before = credentials();
    plane.killApiServer();
    // As a kubelet does with its next certificate.
    Path pki = node.path(CURRENT).getParent();
    Files.copy(pki.resolve("1.pem"), pki.resolve("2.pem"));
    Files.delete(pki.resolve("kubelet-client-current.pem"));
    Files.createSymbolicLink(pki.resolve("kubelet-client-current.pem"), Path.of("2.pem"));
    Files.delete(pki.resolve("1.pem"));
    plane.startApiServer();
    agent.await("ready again", SOON, agent::isReady);

    closeTheGateByHand();
    agent.await("the gate opens again", SOON, () -> !gated());

    assertThat(credentials()).startsWith(before.substring(0, before.indexOf(" until ")));
    assertThat(agent.run("cordon").code()).isZero();
  }

  private void noTokenIsInTheLog() throws IOException {
    // Every token of a ServiceAccount begins so: it is the Base64 of {" and a letter.
    assertThat(agent.logged("eyJ")).isEmpty();
    assertThat(agent.logged("Bearer")).isEmpty();
    assertThat(agent.logged("identity: speaking as serviceaccount=nodeward/nodeward"))
        .hasSizeBetween(2, 4);
  }

  /** The agent takes off what somebody puts on, which is a request of its own. */
  private void closeTheGateByHand() throws IOException {
    plane.kubectl("taint", "node", NODE, "--overwrite", HandMadeNode.GATE_TAINT);
  }

  private boolean gated() throws IOException {
    return node().at("/spec/taints").toString().contains(HandMadeNode.GATE);
  }

  private JsonNode node() throws IOException {
    return plane.get("/api/v1/nodes/" + NODE);
  }

  private String credentials() throws IOException {
    return agent.part("kubernetes").path("credentials").asText();
  }

  private String identityPod() throws IOException {
    for (JsonNode pod : plane.get(PODS).path("items")) {
      if (pod.at("/spec/nodeName").asText().equals(NODE)
          && pod.at("/metadata/deletionTimestamp").isMissingNode()) {
        return pod.at("/metadata/name").asText();
      }
    }
    return "";
  }

  private List<AuditEntry> audit() throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT);
  }

  /** As kubeadm leaves it: certificate and key in one file, behind a link that is moved on. */
  private void writeKubeconfig() throws IOException {
    JsonNode kubeconfig =
        YAMLMapper.builder().build().readTree(Files.readString(node.kubeletKubeconfig()));
    JsonNode user = kubeconfig.at("/users/0/user");
    Path pki = Files.createDirectories(node.path(CURRENT).getParent());
    Files.writeString(
        pki.resolve("1.pem"),
        text(user.path("client-certificate-data")) + text(user.path("client-key-data")));
    Files.createSymbolicLink(pki.resolve("kubelet-client-current.pem"), Path.of("1.pem"));
    Files.writeString(
        node.path("/etc/kubernetes/kubelet.conf"),
        """
        apiVersion: v1
        kind: Config
        clusters:
        - name: c
          cluster: {server: "%s", certificate-authority: ca.crt}
        users:
        - name: u
          user: {client-certificate: %s, client-key: %2$s}
        contexts: [{name: x, context: {cluster: c, user: u}}]
        current-context: x
        """
            .formatted(kubeconfig.at("/clusters/0/cluster/server").asText(), CURRENT));
  }

  private static String text(JsonNode base64) {
    return new String(Base64.getDecoder().decode(base64.asText()), StandardCharsets.US_ASCII);
  }
}
