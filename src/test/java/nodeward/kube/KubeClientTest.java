package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fabric8.kubernetes.client.http.HttpClient;
import io.fabric8.kubernetes.client.okhttp.OkHttpClientImpl;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import nodeward.component.Time;
import nodeward.config.Config;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KubeClientTest {
  private static final String TRUST_STORE = "javax.net.ssl.trustStore";

  @TempDir Path directory;
  private Scene scene;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory, Duration.ofMillis(700), Duration.ofSeconds(5));
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void buildingItAsksNothingOfTheApiServer() throws IOException {
    scene.kube.start();
    scene.kube.client();

    assertThat(scene.api.requests()).isEmpty();
    assertThat(scene.kube.health().isHealthy()).isTrue();
    assertThat(scene.kube.status())
        .containsEntry("server", scene.api.uri() + "/")
        .containsEntry("credentials", "kubeconfig " + scene.kubeconfig);
  }

  @Test
  void aMissingKubeconfigIsToldWithWhereItWasLookedFor() throws Exception {
    try (var kube = client("", Map.of())) {
      kube.start();
      var node = new OwnNode(kube, "n", Time.SYSTEM);

      assertThatThrownBy(node::read)
          .isInstanceOf(IOException.class)
          .hasMessageContaining("no kubeconfig: neither kubernetes.kubeconfig nor KUBECONFIG")
          .hasMessageContaining("/var/run/secrets/kubernetes.io/serviceaccount");
      assertThat(kube.health().toString()).contains("no kubeconfig");
    }
  }

  @Test
  void theVariableKubeconfigIsUsedWhereNothingIsConfigured() throws Exception {
    try (var kube = client("", Map.of("KUBECONFIG", scene.kubeconfig.toString()))) {
      assertThat(new OwnNode(kube, "n", Time.SYSTEM).read()).isEmpty();
    }
  }

  @Test
  void aKubeconfigThatIsNoneIsToldWithItsPath() throws Exception {
    for (String text : new String[] {"", "{", "a: [", "apiVersion: v1\nkind: Config\n"}) {
      Path file = Files.writeString(directory.resolve("bad"), text);
      try (var kube = client(file.toString(), Map.of())) {
        assertThatThrownBy(() -> new OwnNode(kube, "n", Time.SYSTEM).read())
            .as(text)
            .isInstanceOf(IOException.class)
            .hasMessageContaining(file.toString());
      }
    }
  }

  @Test
  void everyRequestTellsWhoAsks() throws IOException {
    scene.node.read();
    scene.node.start();
    Await.until("the watch is open", scene.node::watching);

    assertThat(scene.api.requests())
        .hasSize(3)
        .extracting(FakeApiServer.Request::userAgent)
        .containsOnly("nodeward/1.2.3");
  }

  @Test
  void aFailureNamesOperationNodeAndTheServersMessage() {
    scene.api.answer(r -> true, 403, "Forbidden", "nodes \"node-1\" is forbidden: no RBAC rule");

    assertThatThrownBy(scene.node::read)
        .isInstanceOf(IOException.class)
        .hasMessage("read node node-1: nodes \"node-1\" is forbidden: no RBAC rule (403)");
  }

  @Test
  void aTextFromAProxyIsToldToo() {
    scene.api.answerText(r -> true, 502, "<html>bad gateway</html>");

    assertThatThrownBy(scene.node::read)
        .hasMessage("read node node-1: <html>bad gateway</html> (502)");
  }

  @Test
  void anApiServerThatIsAwayIsAnError() throws IOException {
    scene.api.stop();

    assertThatThrownBy(scene.pods::read)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("list pods of node node-1: Failed to connect to")
        .hasMessageContaining("Connection refused");
  }

  @Test
  void aRequestEndsWithItsTimeLimit() {
    scene.api.stall();

    assertThatThrownBy(scene.node::read)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("read node node-1")
        .hasMessageContaining("timeout");
  }

  @Test
  void anInterruptEndsARequestAndIsKept() throws InterruptedException {
    scene.api.stall();
    var failure = new AtomicReference<Throwable>();
    var interrupted = new AtomicReference<Boolean>();
    var begun = new CountDownLatch(1);
    Thread reader =
        Thread.startVirtualThread(
            () -> {
              begun.countDown();
              try {
                scene.node.read();
              } catch (IOException e) {
                failure.set(e);
                interrupted.set(Thread.interrupted());
              }
            });
    begun.await();

    reader.interrupt();
    reader.join();

    assertThat(failure.get()).isInstanceOf(InterruptedIOException.class);
    assertThat(interrupted.get()).isTrue();
  }

  @Test
  void nothingIsTriedTwice() {
    scene.api.answer(r -> true, 500, "InternalError", "etcd is away");

    assertThatThrownBy(scene.node::read).hasMessageContaining("etcd is away (500)");

    assertThat(scene.api.requests()).hasSize(1);
  }

  @Test
  void requestsAreCounted() throws IOException {
    scene.node.read();
    scene.node.read();
    scene.api.stop();
    assertThatThrownBy(scene.node::read).isInstanceOf(IOException.class);

    assertThat(count("get", "4xx")).isEqualTo(2);
    assertThat(count("get", "none")).isEqualTo(1);
  }

  @Test
  void aClosedClientIsAnError() throws Exception {
    scene.kube.client();
    scene.kube.close();
    scene.kube.close();

    assertThatThrownBy(scene.node::read)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("closed");
  }

  @Test
  void aPodSpeaksAsItsServiceAccountWithTheTokenOfTheDay() throws IOException {
    Path token = Files.writeString(directory.resolve("token"), "first\n");
    var credentials =
        new Credentials(
            Config.Kubernetes.Identity.AUTO,
            "",
            Map.of("KUBERNETES_SERVICE_HOST", "10.96.0.1", "KUBERNETES_SERVICE_PORT", "443"),
            directory);

    var config = credentials.read();
    String first = config.getOauthTokenProvider().getToken();
    Files.writeString(token, "second\n");
    String second = config.getOauthTokenProvider().getToken();
    Files.delete(token);
    String last = config.getOauthTokenProvider().getToken();

    assertThat(config.getMasterUrl()).isEqualTo("https://10.96.0.1:443/");
    assertThat(config.getCaCertFile()).isEqualTo(directory.resolve("ca.crt").toString());
    assertThat(first).isEqualTo("first");
    assertThat(second).isEqualTo("second");
    assertThat(last).isEqualTo("second");
  }

  @Test
  void onlyTheClustersOwnAuthorityVouchesForTheApiServer() throws Exception {
    Path publicAuthorities = Files.createDirectory(directory.resolve("public"));
    Path own = Files.createDirectory(directory.resolve("own"));
    try (var impostor = new TlsFront(publicAuthorities, address());
        var server = new TlsFront(own, address())) {
      Path kubeconfig = Files.writeString(directory.resolve("tls"), server.kubeconfig());
      Path misled =
          Files.writeString(
              directory.resolve("misled"),
              server
                  .kubeconfig()
                  .replace(Integer.toString(server.port()), Integer.toString(impostor.port())));
      System.setProperty(TRUST_STORE, publicAuthorities.resolve("tls.p12").toString());
      System.setProperty(TRUST_STORE + "Password", "changeit");

      try (var kube = client(kubeconfig.toString(), Map.of());
          var other = client(misled.toString(), Map.of())) {
        assertThat(new OwnNode(kube, "n", Time.SYSTEM).read()).isEmpty();
        assertThatThrownBy(new OwnNode(other, "n", Time.SYSTEM)::read)
            .isInstanceOf(IOException.class)
            .hasMessageContaining("PKIX path");
      }
    } finally {
      System.clearProperty(TRUST_STORE);
      System.clearProperty(TRUST_STORE + "Password");
    }
  }

  @Test
  void aRequestDoesNotWaitForTheAcknowledgementOfTheOneBefore() throws IOException {
    HttpClient.Builder builder =
        new Traffic(Duration.ofSeconds(5), new CollectorRegistry())
            .httpClients(Optional.empty())
            .newBuilder(io.fabric8.kubernetes.client.Config.empty());

    try (var client = (OkHttpClientImpl) builder.build();
        var socket = client.getOkHttpClient().socketFactory().createSocket()) {
      assertThat(socket.getTcpNoDelay()).isTrue();
    }
  }

  private InetSocketAddress address() {
    return new InetSocketAddress(scene.api.uri().getHost(), scene.api.uri().getPort());
  }

  private double count(String verb, String code) {
    Double count =
        scene.metrics.getSampleValue(
            "nodeward_kube_requests_total",
            new String[] {"verb", "code"},
            new String[] {verb, code});
    return count == null ? 0 : count;
  }

  private static KubeClient client(String kubeconfig, Map<String, String> environment) {
    return Scene.client(
        Scene.config(kubeconfig, Duration.ofSeconds(5), Duration.ofSeconds(5)),
        "1.2.3",
        environment,
        new CollectorRegistry());
  }
}
