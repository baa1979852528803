package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nodeward.aws.FakeImds;
import nodeward.aws.FakeSts;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Manifests;
import nodeward.cluster.Poll;
import nodeward.cluster.RealNode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * AWS' own SDKs in pods of a real node ask 169.254.169.254, as their authors set them up, and get
 * the role of their pod. The instance has a metadata service of its own behind the interception,
 * which no pod may reach, whether the agent lives or not.
 */
@Tag("e2e")
final class SdkE2eTest {
  private static final Duration SOON = Duration.ofSeconds(120);
  private static final int ADMIN_PORT = 9821;
  private static final String NODE = "sdk";
  private static final String LISTING =
      "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private FakeImds imds;
  private FakeSts sts;
  private RealNode node;
  private PackagedAgent agent;

  @BeforeEach
  void start() throws IOException {
    plane =
        ControlPlane.start(
            directory.resolve("plane"), ControlPlane.Part.CONTROLLERS, ControlPlane.Part.SCHEDULER);
    AgentIdentity.grant(plane);
    var everywhere = new InetSocketAddress("0.0.0.0", 0);
    imds = FakeImds.start(everywhere).httpTokens(FakeImds.HttpTokens.OPTIONAL);
    sts = FakeSts.start(everywhere);
    node = RealNode.start(plane, NODE, List.of());
    node.routeMetadataTo(imds.port());
    agent = PackagedAgent.on(node, directory.resolve("agent.log"), ADMIN_PORT);
    Path etc = Files.createDirectories(node.path("/etc/nodeward"));
    Files.copy(
        node.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS), etc.resolve("kubeconfig"));
    Files.writeString(etc.resolve("config.yaml"), config());
  }

  @AfterEach
  void stop() {
    List<AutoCloseable> all = new ArrayList<>();
    for (AutoCloseable each : new AutoCloseable[] {agent, node, plane, sts, imds}) {
      if (each != null) {
        all.add(each);
      }
    }
    assertThat(all).allSatisfy(AutoCloseable::close);
  }

  private String config() {
    return """
    node: {name: %1$s}
    kubernetes: {kubeconfig: /etc/nodeward/kubeconfig}
    aws: {stsEndpoint: "http://%2$s:%3$d"}
    gate: {require: []}
    metadata: {interceptInterfaces: [%4$s]}
    termination: {enabled: false}
    admin: {listen: "%5$s:%6$d"}
    """
        .formatted(
            NODE, node.hostAddress(), sts.port(), node.podBridge(), node.nodeAddress(), ADMIN_PORT);
  }

  @Test
  void everySdkGetsTheRoleOfItsPodAndNothingElseIsEverReached() throws Exception {
    plane.apply(Manifests.podtool("witness", "sleep"));
    Poll.until("the witness runs", SOON, () -> phase("witness").equals("Running"));
    // Without the agent the node's own role is open to every pod: this is what must not be seen.
    assertThat(asked("witness", LISTING)).isEqualTo("200 " + FakeImds.NODE_ROLE);

    agent.start();
    agent.await("ready", SOON, agent::isReady);
    assertThat(asked("witness", LISTING)).startsWith("404 ");
    fetchedBy("v1-or-v2", Map.of());

    assertThat(agent.stop()).isZero();
    Path config = node.path("/etc/nodeward/config.yaml");
    Files.writeString(config, config().replace("metadata: {", "metadata: {requireV2: true, "));
    agent.start();
    Poll.until("ready", SOON, agent::isReady);
    assertThat(asked("witness", LISTING)).startsWith("401 ");
    fetchedBy("v2-only", Map.of());
    fetchedBy("v1-disabled", Map.of("AWS_EC2_METADATA_V1_DISABLED", "true"));

    int before = imds.requests();
    agent.close();
    assertThat(asked("witness", LISTING)).isNotEmpty().doesNotStartWith("2");
    assertThat(asked("witness", "http://169.254.169.254/latest/meta-data/instance-id"))
        .doesNotStartWith("2");
    assertThat(imds.requests()).isEqualTo(before);
  }

  /** Each SDK in a pod of its own, whose first act it is to ask. */
  private void fetchedBy(String mode, Map<String, String> environment) throws Exception {
    Map<String, List<String>> clients = clients();
    for (var client : clients.entrySet()) {
      String name = client.getKey() + "-" + mode;
      plane.apply(pod(name, "role-of-" + name, client.getValue(), environment));
    }
    for (String client : clients.keySet()) {
      String name = client + "-" + mode;
      agent.await(
          name + " has ended", SOON, () -> List.of("Succeeded", "Failed").contains(phase(name)));
      String said = plane.kubectl("logs", name);
      assertThat(phase(name)).describedAs("%s said: %s", name, said).isEqualTo("Succeeded");
      JsonNode found = JSON.readTree(said.lines().reduce("", (first, last) -> last));
      assertThat(found.path("accessKeyId").asText()).startsWith("ASIAFAKE");
      assertThat(Instant.parse(found.path("expiration").asText()))
          .isAfter(Instant.now().plus(Duration.ofMinutes(15)));
      assertThat(sts.assumptions())
          .filteredOn(a -> a.role().endsWith(":role/role-of-" + name))
          .singleElement()
          .satisfies(a -> assertThat(a.sessionName()).isEqualTo("default." + name));
    }
  }

  /** Commands as this machine has them; a pod sees its files under {@code /machine}. */
  private static Map<String, List<String>> clients() {
    String sdk = System.getenv("SDK_CLIENTS");
    return Map.of(
        "go", List.of(sdk + "/go-client"),
        "javascript", List.of(sdk + "/bin/node", sdk + "/javascript/client.js"),
        "python", List.of(sdk + "/bin/python3", sdk + "/python/client.py"),
        "java",
            List.of(
                System.getProperty("java.home") + "/bin/java",
                "-Xmx128m",
                "-cp",
                System.getProperty("java.class.path"),
                SdkClient.class.getName()));
  }

  private static String pod(
      String name, String role, List<String> command, Map<String, String> environment)
      throws IOException {
    var all = new ArrayList<>(List.of("chroot", "/machine"));
    all.addAll(command);
    var env = new ArrayList<Map<String, String>>();
    env.add(Map.of("name", "HOME", "value", "/nonexistent"));
    env.add(Map.of("name", "AWS_REGION", "value", FakeImds.REGION));
    environment.forEach((key, value) -> env.add(Map.of("name", key, "value", value)));
    return """
    apiVersion: v1
    kind: Pod
    metadata: {name: %s, annotations: {iam.amazonaws.com/role: %s}}
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      containers:
      - name: sdk
        image: %s
        imagePullPolicy: Never
        args: %s
        env: %s
        volumeMounts: [{name: machine, mountPath: /machine, readOnly: true}]
      volumes: [{name: machine, hostPath: {path: /}}]
    """
        .formatted(
            name,
            role,
            Manifests.BUSYBOX_IMAGE,
            JSON.writeValueAsString(all),
            JSON.writeValueAsString(env));
  }

  private String phase(String pod) throws IOException {
    return plane.get("/api/v1/namespaces/default/pods/" + pod).at("/status/phase").asText();
  }

  /** Status and body of a GET from inside the pod, or why there was no answer. */
  private String asked(String pod, String url) throws IOException {
    try {
      return plane.kubectl("exec", pod, "--", "/podtool", "http-get", url).strip();
    } catch (IOException e) {
      return "no answer: " + e.getMessage();
    }
  }
}
