package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import nodeward.component.FakeTime;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Condition;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NodeIdentityTest {
  private static final String NODE = "node-1";
  private static final String KUBELET = "token-of-the-kubelet";

  @TempDir Path directory;
  private final FakeTime time = new FakeTime();
  private final List<AutoCloseable> opened = new ArrayList<>();
  private FakeApiServer api;
  private Path kubeconfig;
  private KubeClient kube;
  private OwnNode node;

  @BeforeEach
  void open() throws IOException {
    api = FakeApiServer.start();
    opened.add(api);
    kubeconfig = directory.resolve("kubelet.conf");
    writeKubeconfig("token: " + KUBELET);
    kube = client((command, environment) -> "");
    node = new OwnNode(kube, NODE, Time.SYSTEM);
    api.put("{kind: Namespace, metadata: {name: nodeward}}");
    api.put("{kind: ServiceAccount, metadata: {namespace: nodeward, name: nodeward}}");
    api.put("{kind: Node, metadata: {name: node-1}, status: {nodeInfo: {bootID: boot-1}}}");
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : opened.reversed()) {
      each.close();
    }
  }

  @Test
  void theFirstRequestAsksForATokenThatIsBoundToThePodOfThisNode() throws Exception {
    putPod("elsewhere", "node-2", "nodeward");
    putPod("stranger", NODE, "other");
    String uid = putPod("identity-a", NODE, "nodeward");

    node.read();
    node.read();

    FakeApiServer.Request asked = tokenRequests().getFirst();
    assertThat(tokenRequests()).hasSize(1);
    assertThat(asked.token()).isEqualTo(KUBELET);
    assertThat(asked.userAgent()).isEqualTo("nodeward/1.2.3");
    assertThat(asked.body()).contains("\"name\":\"identity-a\"", "\"uid\":\"" + uid + "\"");
    assertThat(readers()).hasSize(2).allMatch(t -> t.startsWith("issued-")).doesNotContain(KUBELET);
    assertThat(kube.isKubelet()).isFalse();
    assertThat(kube.health().isHealthy()).isTrue();
    assertThat(kube.status().get("credentials").toString())
        .startsWith("ServiceAccount nodeward/nodeward of pod nodeward/identity-a until ");
  }

  @Test
  void manyFirstRequestsAskOnce() throws Exception {
    putPod("identity-a", NODE, "nodeward");

    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int i = 0; i < 20; i++) {
        threads.submit(node::read);
      }
    }

    assertThat(readers()).hasSize(20);
    assertThat(tokenRequests()).hasSize(1);
  }

  @Test
  void withoutAPodRequestsGoOutAsTheKubeletAndARefusalSaysWhy() throws Exception {
    node.read();

    assertThat(readers()).containsExactly(KUBELET);
    assertThat(kube.isKubelet()).isTrue();
    assertThat(node.mayTaint()).isFalse();
    assertThat(kube.health().toString())
        .contains("speaking as the kubelet: no pod of ServiceAccount nodeward/nodeward is on node");
    api.answer(
        r -> r.path().endsWith("/nodes/node-1") && r.token().equals(KUBELET),
        403,
        "Forbidden",
        "nodes \"node-1\" is forbidden: node \"node-1\" is not allowed to modify taints");
    assertThatThrownBy(node::read)
        .hasMessage(
            "read node node-1 as the kubelet (no pod of ServiceAccount nodeward/nodeward is on node"
                + " node-1 yet): nodes \"node-1\" is forbidden: node \"node-1\" is not allowed to"
                + " modify taints (403)");
  }

  @Test
  void aMissingPodIsAskedForWithBackOffOnly() throws Exception {
    for (int i = 0; i < 30; i++) {
      node.read();
    }
    assertThat(podLists()).isEqualTo(1);

    time.advance(Duration.ofSeconds(31));
    node.read();

    assertThat(podLists()).isEqualTo(2);
  }

  @Test
  void aPodThatTheWatchTellsOfIsUsedAtOnce() throws Exception {
    var pods = new OwnPods(kube, NODE);
    opened.add(pods);
    pods.start();
    Await.until("the watch is open", pods::watching);
    node.read();
    assertThat(kube.isKubelet()).isTrue();

    putPod("identity-a", NODE, "nodeward");
    Await.until("the watch has told", () -> !pods.current().isEmpty());

    assertThat(kube.isKubelet()).isFalse();
  }

  @Test
  void aTokenIsRenewedWellBeforeItsEndAndTheOldOneServesWhileThatFails() throws Exception {
    putPod("identity-a", NODE, "nodeward");
    node.read();
    time.advance(Duration.ofMinutes(35));
    node.read();
    assertThat(tokenRequests()).hasSize(1);

    api.answer(r -> r.path().endsWith("/token"), 500, "InternalError", "etcd is away");
    time.advance(Duration.ofMinutes(8));
    node.read();
    node.read();
    assertThat(tokenRequests()).hasSize(2);
    assertThat(readers()).hasSize(4).containsOnly(readers().getFirst());
    api.answerNormally();
    time.advance(Duration.ofSeconds(31));
    node.read();

    assertThat(tokenRequests()).hasSize(3);
    assertThat(readers().getLast()).isNotEqualTo(readers().getFirst()).startsWith("issued-");
  }

  @Test
  void aTokenThatIsOverIsNotShownAnyMore() throws Exception {
    putPod("identity-a", NODE, "nodeward");
    node.read();
    api.answer(r -> r.path().endsWith("/token"), 500, "InternalError", "etcd is away");

    time.advance(Duration.ofMinutes(61));
    node.read();

    assertThat(readers().getLast()).isEqualTo(KUBELET);
  }

  @Test
  void aRefusedTokenIsReplacedWithinTheRequest() throws Exception {
    putPod("identity-a", NODE, "nodeward");
    node.read();
    String first = readers().getFirst();

    api.refuseTokens();
    assertThat(node.read()).isPresent();

    assertThat(readers()).hasSize(3);
    assertThat(readers().get(1)).isEqualTo(first);
    assertThat(readers().get(2)).startsWith("issued-").isNotEqualTo(first);
  }

  @Test
  void withThePodGoneTheKubeletSpeaksUntilThereIsAnother() throws Exception {
    putPod("identity-a", NODE, "nodeward");
    node.read();

    api.delete("pods", "nodeward", "identity-a");
    assertThat(node.read()).isPresent();
    assertThat(readers().getLast()).isEqualTo(KUBELET);
    assertThat(kube.health().isHealthy()).isFalse();
    putPod("identity-b", NODE, "nodeward");
    time.advance(Duration.ofSeconds(31));
    node.read();

    assertThat(tokenRequests().getLast().body()).contains("\"name\":\"identity-b\"");
    assertThat(kube.health().isHealthy()).isTrue();
  }

  @Test
  void thePodThatFollowsOneThatIsEndingIsUsedBeforeTheTokenIsRefused() throws Exception {
    var pods = new OwnPods(kube, NODE);
    opened.add(pods);
    pods.start();
    putPod("identity-a", NODE, "nodeward");
    Await.until("the watch has told", () -> pods.current().size() == 1);
    node.read();

    api.edit(
        "pods",
        "nodeward",
        "identity-a",
        o -> o.withObject("/metadata").put("deletionTimestamp", "2026-11-21T08:00:00Z"));
    putPod("identity-b", NODE, "nodeward");
    Await.until("the watch has told", () -> pods.current().size() == 2);
    node.read();

    assertThat(tokenRequests()).hasSize(2);
    assertThat(tokenRequests().getLast().body()).contains("\"name\":\"identity-b\"");
    node.read();
    assertThat(tokenRequests()).hasSize(2);
  }

  @Test
  void theTokenOutlivesAnOutageOfTheApiServer() throws Exception {
    putPod("identity-a", NODE, "nodeward");
    node.read();

    api.stop();
    assertThatThrownBy(node::read).isInstanceOf(IOException.class);
    api.restart();
    node.read();

    assertThat(tokenRequests()).hasSize(1);
    assertThat(readers()).hasSize(2).containsOnly(readers().getFirst());
  }

  @Test
  void evictionsGoOutAsTheKubeletWhomTheApiServerConfinesToThisNode() throws Exception {
    putPod("identity-a", NODE, "nodeward");
    putPod("victim", NODE, "default");
    node.read();
    var evictions = new KubeEvictions(kube);
    var pods = new OwnPods(kube, NODE);
    var victim =
        pods.read().stream().filter(p -> p.name().equals("victim")).findFirst().orElseThrow();

    evictions.evict(victim);

    assertThat(api.requests())
        .filteredOn(r -> r.path().endsWith("/eviction"))
        .singleElement()
        .satisfies(r -> assertThat(r.token()).isEqualTo(KUBELET));
    assertThat(readers().getLast()).startsWith("issued-");
  }

  @Test
  void whetherPodsMayBeEvictedIsAskedAsWhoEvictsThem() throws Exception {
    putPod("identity-a", NODE, "nodeward");

    new KubePermissions(kube).check();

    List<FakeApiServer.Request> asked =
        api.requests().stream().filter(r -> r.path().endsWith("accessreviews")).toList();
    assertThat(asked).hasSizeGreaterThan(4);
    assertThat(asked)
        .filteredOn(r -> r.token().equals(KUBELET))
        .extracting(r -> r.body().replaceAll(".*\"verb\":\"(\\w+)\".*", "$1"))
        .containsExactlyInAnyOrder("create", "delete");
    assertThat(asked)
        .filteredOn(r -> !r.token().equals(KUBELET))
        .allSatisfy(r -> assertThat(r.token()).startsWith("issued-"))
        .noneMatch(r -> r.body().contains("eviction"));
  }

  @Test
  void theStatusOfTheNodeIsWrittenAsTheAgent() throws Exception {
    putPod("identity-a", NODE, "nodeward");

    node.writeConditions(
        List.of(new Condition("T", Condition.Status.FALSE, "R", "m", java.time.Instant.EPOCH)));

    assertThat(api.requests())
        .filteredOn(r -> r.path().endsWith("/status"))
        .singleElement()
        .satisfies(r -> assertThat(r.token()).startsWith("issued-"));
  }

  @Test
  void aKubeletsCredentialThatWasReplacedIsReadAgainWhenTheOldOneIsRefused() throws Exception {
    node.read();
    api.answer(r -> r.token().equals(KUBELET), 401, "Unauthorized", "Unauthorized");
    writeKubeconfig("token: the-next-one");

    time.advance(Duration.ofSeconds(2));
    node.read();

    assertThat(readers()).startsWith(KUBELET).endsWith("the-next-one");
  }

  @Test
  void noSecretIsToldInStatusHealthOrFailures() throws Exception {
    putPod("identity-a", NODE, "nodeward");
    node.read();
    String token = readers().getLast();
    String told = kube.status().toString() + kube.health() + kube;
    api.answer(r -> true, 401, "Unauthorized", "Unauthorized");

    assertThatThrownBy(node::read)
        .isInstanceOf(IOException.class)
        .message()
        .doesNotContain(token)
        .doesNotContain(KUBELET);
    assertThat(told + kube.status() + kube.health()).doesNotContain(token).doesNotContain(KUBELET);
  }

  @Test
  void aCredentialProgramIsRunAsTheKubeconfigSays() throws Exception {
    writeKubeconfig(
        """
        exec:
              apiVersion: client.authentication.k8s.io/v1beta1
              command: aws
              args: [eks, get-token, --cluster-name, c1]
              env: [{name: AWS_STS_REGIONAL_ENDPOINTS, value: regional}]
        """);
    var ran = new ArrayList<String>();
    kube =
        client(
            (command, environment) -> {
              ran.add(String.join(" ", command));
              assertThat(environment)
                  .containsEntry("AWS_STS_REGIONAL_ENDPOINTS", "regional")
                  .containsKey("KUBERNETES_EXEC_INFO");
              return "{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"k8s-aws-v1.%d\"}}"
                  .formatted(ran.size());
            });
    node = new OwnNode(kube, NODE, Time.SYSTEM);

    node.read();
    node.read();
    assertThat(ran).containsExactly("aws eks get-token --cluster-name c1");
    time.advance(Duration.ofMinutes(6));
    node.read();

    assertThat(readers()).containsExactly("k8s-aws-v1.1", "k8s-aws-v1.1", "k8s-aws-v1.2");
  }

  @Test
  void aCredentialProgramThatFailsIsNamedAndWhatItPrintedIsNot() throws Exception {
    writeKubeconfig(
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: /opt/get, args: []}");

    Map<String, KubeClient.Program> programs =
        Map.of(
            "the kubelet's credential program (kubeconfig %s): no such file".formatted(kubeconfig),
            (command, environment) -> {
              throw new IOException("no such file");
            },
            "/opt/get of kubeconfig %s printed no ExecCredential".formatted(kubeconfig),
            (command, environment) -> "SECRET {",
            "/opt/get of kubeconfig %s printed neither a token nor a certificate"
                .formatted(kubeconfig),
            (command, environment) -> "{\"secret\":\"SECRET\"}");
    for (var each : programs.entrySet()) {
      try (var failing = client(each.getValue())) {
        assertThatThrownBy(() -> new OwnNode(failing, NODE, Time.SYSTEM).read())
            .isInstanceOf(IOException.class)
            .message()
            .contains(each.getKey())
            .doesNotContain("SECRET");
      }
    }
  }

  @Test
  void aCertificateThatIsNoneIsAnErrorWithoutItsText() throws Exception {
    for (String user :
        List.of(
            "client-certificate-data: SECRET!",
            "{client-certificate-data: U0VDUkVU, client-key-data: U0VDUkVU}")) {
      writeKubeconfig(user);
      assertThatThrownBy(node::read)
          .as(user)
          .isInstanceOf(IOException.class)
          .hasMessageContaining("the kubelet's certificate or key cannot be used")
          .hasMessageNotContaining("SECRET")
          .hasMessageNotContaining("U0VDUkVU");
    }
  }

  @Test
  void aKubeconfigThatIsMissingOrNoneIsToldWithoutItsText() throws Exception {
    Files.delete(kubeconfig);
    assertThatThrownBy(node::read)
        .hasMessageContaining("the kubelet's kubeconfig is in none of")
        .hasMessageContaining(kubeconfig.toString());

    for (String text : List.of("a: [SECRET", "apiVersion: v1\nkind: Config\n")) {
      Files.writeString(kubeconfig, text);
      assertThatThrownBy(node::read)
          .as(text)
          .hasMessageContaining(kubeconfig.toString())
          .hasMessageNotContaining("SECRET");
    }
  }

  private KubeClient client(KubeClient.Program program) {
    var client =
        new KubeClient(
            new Config.Kubernetes(
                "",
                Duration.ofSeconds(5),
                Duration.ofSeconds(5),
                Config.Kubernetes.Identity.KUBELET,
                List.of(directory.resolve("not-there"), kubeconfig),
                "nodeward/nodeward"),
            NODE,
            program,
            "1.2.3",
            Map.of(),
            new CollectorRegistry(),
            time);
    opened.add(client);
    return client;
  }

  private void writeKubeconfig(String user) throws IOException {
    Files.writeString(
        kubeconfig,
        """
        apiVersion: v1
        kind: Config
        clusters: [{name: c, cluster: {server: "%s"}}]
        users:
        - name: u
          user:
            %s
        contexts: [{name: x, context: {cluster: c, user: u}}]
        current-context: x
        """
            .formatted(api.uri(), user));
  }

  private String putPod(String name, String on, String account) {
    return api.put(
            """
            kind: Pod
            metadata: {namespace: nodeward, name: %s}
            spec: {nodeName: %s, serviceAccountName: %s}
            status: {phase: Pending}
            """
                .formatted(name, on, account))
        .at("/metadata/uid")
        .asText();
  }

  private List<FakeApiServer.Request> tokenRequests() {
    return api.requests().stream().filter(r -> r.path().endsWith("/token")).toList();
  }

  private long podLists() {
    return api.requests().stream()
        .filter(r -> r.path().equals("/api/v1/namespaces/nodeward/pods"))
        .count();
  }

  /** With which tokens the Node was read. */
  private List<String> readers() {
    return api.requests().stream()
        .filter(r -> r.path().equals("/api/v1/nodes/node-1") && r.method().equals("GET"))
        .map(FakeApiServer.Request::token)
        .toList();
  }
}
