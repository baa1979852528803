package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Poll;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The manifests on a real API server: kustomize builds them, it takes every field of them, and the
 * admission policy lets an agent change its own Node and nothing else.
 */
@Tag("e2e")
final class AdmissionE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final String MERGE = "application/merge-patch+json";
  private static final String STRATEGIC = "application/strategic-merge-patch+json";
  private static final String OWN = "/api/v1/nodes/own";
  private static final String OTHER = "/api/v1/nodes/other";
  private static final String FOREIGN =
      "{\"key\":\"example.com/foreign\",\"value\":\"a\",\"effect\":\"NoSchedule\"}";
  private static final String OURS =
      "{\"key\":\"readiness.k8s.io/nodeward\",\"value\":\"pending\",\"effect\":\"NoSchedule\"}";
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final YAMLMapper YAML = YAMLMapper.builder().build();

  private record Answer(int code, String message) {}

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  static Path directory;

  private static ControlPlane plane;
  private static HttpClient http;
  private static String bound;
  private static String unbound;

  @BeforeAll
  static void start() throws Exception {
    plane = ControlPlane.start(directory.resolve("plane"));
    http = HttpClient.newBuilder().sslContext(trust()).build();
    plane.kubectl("apply", "--validate=strict", "-k", AgentIdentity.manifests() + "/base");
    for (String node : List.of("own", "other")) {
      plane.apply(
          """
          apiVersion: v1
          kind: Node
          metadata:
            name: %s
            labels: {kubernetes.io/hostname: %1$s, example.com/kept: a}
            annotations: {example.com/kept: a}
          ---
          apiVersion: v1
          kind: Pod
          metadata: {name: identity-%1$s, namespace: nodeward}
          spec:
            nodeName: %1$s
            serviceAccountName: nodeward
            containers: [{name: main, image: none}]
          """
              .formatted(node));
    }
    bound =
        plane
            .kubectl(
                "create",
                "token",
                "nodeward",
                "-n",
                "nodeward",
                "--bound-object-kind=Pod",
                "--bound-object-name=identity-own")
            .strip();
    unbound = plane.kubectl("create", "token", "nodeward", "-n", "nodeward").strip();
    taints(FOREIGN + "," + OURS);
    // Policies and rights are learned of by watches.
    Poll.until(
        "the rights are known",
        SOON,
        () -> send(bound, "PATCH", OWN, MERGE, cordon(true)).code == 200);
    Poll.until(
        "the policies are known",
        SOON,
        () ->
            send(bound, "PATCH", OTHER, MERGE, cordon(true)).code == 403
                && send(unbound, "DELETE", pod("nobody"), "", "").code != 200
                && evict(unbound, "identity-other").code == 403);
  }

  @AfterAll
  static void stop() {
    if (plane != null) {
      plane.close();
    }
  }

  @ParameterizedTest
  @CsvSource({
    "rights, 0, ''",
    "base, 1, nodeward:0.1.0",
    "health-only, 1, nodeward:0.1.0",
    "with-interception, 1, nodeward:0.1.0",
    "identity-only, 1, registry.k8s.io/pause:3.10"
  })
  void eachBuildsAndEveryFieldIsKnown(String name, int daemonSets, String image) throws Exception {
    Path built = directory.resolve(name + ".yaml");
    Files.writeString(built, plane.kubectl("kustomize", AgentIdentity.manifests() + "/" + name));

    plane.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
        "--dry-run=server",
        "-f",
        built.toString());

    List<JsonNode> sets = kind(built, "DaemonSet");
    assertThat(sets).hasSize(daemonSets);
    for (JsonNode set : sets) {
      assertThat(set.at("/spec/template/spec/containers/0/image").asText()).isEqualTo(image);
      assertThat(set.at("/spec/selector/matchLabels")).hasSize(2);
    }
    // With the agent in a pod it has nothing but these to evict by; elsewhere nobody has them.
    boolean evicts = name.equals("base") || name.equals("with-interception");
    assertThat(kind(built, "ClusterRole")).hasSize(evicts ? 2 : 1);
  }

  @Test
  void theConfigurationIsThatOfTheOverlayAndRollsTheDaemonSetWhenItChanges() throws Exception {
    var names = new TreeMap<String, String>();
    for (String name : List.of("base", "health-only", "with-interception")) {
      Path built = directory.resolve("config-" + name + ".yaml");
      Files.writeString(built, plane.kubectl("kustomize", AgentIdentity.manifests() + "/" + name));
      JsonNode map = kind(built, "ConfigMap").getFirst();
      String expected =
          Files.readString(AgentIdentity.manifests().resolve(name).resolve("config.yaml"));
      assertThat(map.at("/data/config.yaml").asText()).isEqualTo(expected);
      String mounted =
          kind(built, "DaemonSet")
              .getFirst()
              .at("/spec/template/spec/volumes")
              .findValue("configMap")
              .path("name")
              .asText();
      assertThat(mounted).isEqualTo(map.at("/metadata/name").asText());
      names.put(mounted, name);
    }
    assertThat(names).hasSize(3);
  }

  @Test
  void thePodMonitorIsAComponentThatOpensTheMetrics() throws Exception {
    Path copy = directory.resolve("copy");
    try (Stream<Path> all = Files.walk(AgentIdentity.manifests())) {
      for (Path each : all.toList()) {
        Path to = copy.resolve(AgentIdentity.manifests().relativize(each).toString());
        Files.createDirectories(to.getParent());
        Files.copy(each, to);
      }
    }
    Path overlay = Files.createDirectory(copy.resolve("mine"));
    Files.writeString(
        overlay.resolve("kustomization.yaml"),
        """
        resources: [../base]
        components: [../pod-monitor]
        images: [{name: nodeward, newName: example.com/mirror/nodeward, newTag: 1.2.3}]
        """);
    Path built = directory.resolve("monitored.yaml");
    Files.writeString(built, plane.kubectl("kustomize", overlay.toString()));

    JsonNode container = kind(built, "DaemonSet").getFirst().at("/spec/template/spec/containers/0");
    assertThat(container.path("image").asText()).isEqualTo("example.com/mirror/nodeward:1.2.3");
    assertThat(container.at("/ports/0/name").asText())
        .isEqualTo(
            kind(built, "PodMonitor").getFirst().at("/spec/podMetricsEndpoints/0/port").asText());
    assertThat(container.path("env").findValuesAsText("name"))
        .contains("NODEWARD_ADMIN_METRICS_LISTEN", "NODE_NAME");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'spec':{'unschedulable':true}}",
        "{'spec':{'unschedulable':null}}",
        "{'spec':{'taints':[FOREIGN]}}",
        "{'spec':{'taints':[FOREIGN,OURS]}}",
        "{'spec':{'taints':[FOREIGN,{'key':'nodeward.dev/terminating','effect':'NoSchedule'}]}}",
        "{'metadata':{'annotations':{'nodeward.dev/gate':'x'}}}",
        "{'metadata':{'annotations':{'nodeward.dev/gate':null}}}",
        "{'metadata':{'labels':{'node.kubernetes.io/exclude-from-external-load-balancers':'n'}}}"
      })
  void anAgentChangesItsOwnNodeOnly(String patch) throws Exception {
    assertThat(send(bound, "PATCH", OWN, MERGE, json(patch)).code).isEqualTo(200);

    assertThat(send(unbound, "PATCH", OWN, MERGE, json(patch)))
        .satisfies(a -> assertThat(a.code).isEqualTo(403))
        .satisfies(
            a -> assertThat(a.message).contains("the token is not bound to a pod on a node"));
    assertThat(send(bound, "PATCH", OTHER, MERGE, json(patch)))
        .satisfies(a -> assertThat(a.code).isEqualTo(403))
        .satisfies(
            a -> assertThat(a.message).contains("the agent of node own may not change node other"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{'spec':{'taints':null}}                                          | only these taints",
        "{'spec':{'taints':[OURS]}}                                        | only these taints",
        "{'spec':{'taints':[FOREIGN,{'key':'a','effect':'NoExecute'}]}}    | only these taints",
        "{'spec':{'taints':[{'key':'example.com/foreign','effect':'NoSchedule'}]}} | only these",
        "{'spec':{'providerID':'aws:///a/i-1'}}           | only taints and unschedulable",
        "{'metadata':{'labels':{'example.com/kept':'b'}}}                  | only these labels",
        "{'metadata':{'labels':{'example.com/kept':null}}}                 | only these labels",
        "{'metadata':{'labels':{'node-role.kubernetes.io/control-plane':''}}} | only these labels",
        "{'metadata':{'annotations':{'example.com/kept':null}}}            | only annotations",
        "{'metadata':{'annotations':{'example.com/new':'b'}}}              | only annotations",
        "{'metadata':{'annotations':{'example.com/new':''}}}               | only annotations",
        "{'metadata':{'finalizers':['example.com/f']}}                     | finalizers",
      })
  void whatIsNotTheAgentsIsRefusedOnItsOwnNodeToo(String patch, String why) throws Exception {
    Answer answer = send(bound, "PATCH", OWN, MERGE, json(patch.strip()));

    assertThat(answer.code).as(answer.message).isEqualTo(403);
    assertThat(answer.message).contains(why);
  }

  @Test
  void ofTheStatusOnlyItsOwnConditionsAreTheAgents() throws Exception {
    String ours =
        "{'status':{'conditions':[{'type':'ConntrackPressure','status':'False','reason':'R'}]}}";
    assertThat(send(bound, "PATCH", OWN + "/status", STRATEGIC, json(ours)).code).isEqualTo(200);
    assertThat(send(bound, "PATCH", OTHER + "/status", STRATEGIC, json(ours)).code).isEqualTo(403);

    for (Map.Entry<String, String> each :
        Map.of(
                "{'status':{'conditions':[{'type':'Ready','status':'True','reason':'R'}]}}",
                "only these conditions",
                "{'status':{'capacity':{'example.com/gpu':'8'}}}",
                "of the status only conditions",
                "{'status':{'addresses':[{'type':'InternalIP','address':'10.0.0.1'}]}}",
                "of the status only conditions",
                "{'metadata':{'labels':{'example.com/kept':'b'}}}",
                "only these labels")
            .entrySet()) {
      Answer answer = send(bound, "PATCH", OWN + "/status", STRATEGIC, json(each.getKey()));
      assertThat(answer.code).as(each.getKey() + answer).isEqualTo(403);
      assertThat(answer.message).contains(each.getValue());
    }
    String remove = "{'status':{'conditions':[{'$patch':'delete','type':'ConntrackPressure'}]}}";
    assertThat(send(bound, "PATCH", OWN + "/status", STRATEGIC, json(remove)).code).isEqualTo(200);
  }

  @Test
  void podsOfOtherNodesAreNotDeletedAndAnUnboundTokenEvictsNobody() throws Exception {
    for (String node : List.of("own", "other")) {
      plane.apply(
          """
          apiVersion: v1
          kind: Pod
          metadata: {name: victim-%1$s, namespace: nodeward}
          spec: {nodeName: %1$s, containers: [{name: main, image: none}]}
          """
              .formatted(node));
    }

    Answer other = send(bound, "DELETE", pod("victim-other"), "", "");
    assertThat(other.code).isEqualTo(403);
    assertThat(other.message).contains("may not delete pods of others");
    assertThat(send(unbound, "DELETE", pod("victim-own"), "", "").code).isEqualTo(403);
    assertThat(evict(unbound, "victim-own").code).isEqualTo(403);
    assertThat(evict(bound, "victim-own").code).isEqualTo(201);
    assertThat(send(bound, "DELETE", pod("victim-own"), "", "").code).isEqualTo(200);
  }

  @Test
  void whoIsNotTheAgentIsNotConcerned() throws Exception {
    assertThat(plane.patch(OTHER, "{\"metadata\":{\"labels\":{\"example.com/more\":\"a\"}}}"))
        .isNotNull();
    plane.kubectl("taint", "node", "other", "example.com/more=:NoSchedule");
    plane.kubectl("taint", "node", "other", "example.com/more-");
  }

  private static void taints(String list) throws IOException {
    for (String node : List.of(OWN, OTHER)) {
      plane.patch(node, "{\"spec\":{\"taints\":[%s]}}".formatted(list));
    }
  }

  private static String json(String text) {
    return text.replace("FOREIGN", FOREIGN).replace("OURS", OURS).replace('\'', '"');
  }

  private static String cordon(boolean is) {
    return "{\"spec\":{\"unschedulable\":%b}}".formatted(is);
  }

  private static String pod(String name) {
    return "/api/v1/namespaces/nodeward/pods/" + name;
  }

  private static Answer evict(String token, String name) throws Exception {
    return send(
        token,
        "POST",
        pod(name) + "/eviction",
        "application/json",
        "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"%s\"}}"
            .formatted(name));
  }

  private static Answer send(String token, String method, String path, String type, String body)
      throws IOException, InterruptedException {
    var request =
        HttpRequest.newBuilder(URI.create(plane.server() + path))
            .header("Authorization", "Bearer " + token)
            .method(method, HttpRequest.BodyPublishers.ofString(body));
    if (!type.isEmpty()) {
      request.header("Content-Type", type);
    }
    HttpResponse<String> response =
        http.send(request.build(), HttpResponse.BodyHandlers.ofString());
    return new Answer(
        response.statusCode(), JSON.readTree(response.body()).path("message").asText());
  }

  private static List<JsonNode> kind(Path file, String kind) throws IOException {
    var found = new ArrayList<JsonNode>();
    try (var all = YAML.readerFor(JsonNode.class).<JsonNode>readValues(file.toFile())) {
      all.forEachRemaining(
          d -> {
            if (d.path("kind").asText().equals(kind)) {
              found.add(d);
            }
          });
    }
    return found;
  }

  private static SSLContext trust() throws IOException, GeneralSecurityException {
    var store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (var in = Files.newInputStream(plane.caCertificate())) {
      store.setCertificateEntry(
          "ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return context;
  }
}
