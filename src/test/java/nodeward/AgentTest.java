package nodeward;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import nodeward.aws.FakeImds;
import nodeward.aws.FakeSts;
import nodeward.config.Config;
import nodeward.config.ConfigReader;
import nodeward.linux.FakeCri;
import nodeward.linux.FakeUnixServer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The whole agent in this JVM, with what it depends on hanging: accepted, and never answered. */
@EnabledOnOs(OS.LINUX)
class AgentTest {
  private static final InetSocketAddress LOOPBACK = new InetSocketAddress("127.0.0.1", 0);

  @TempDir private Path directory;
  private final List<AutoCloseable> open = new ArrayList<>();
  private String hanging;
  private int admin;
  private int proxy;

  @BeforeEach
  void hang() throws IOException {
    var silent = new ServerSocket(0, 128, InetAddress.ofLiteral("127.0.0.1"));
    open.add(silent);
    hanging = "http://127.0.0.1:" + silent.getLocalPort();
    admin = freePort();
    proxy = freePort();
  }

  @AfterEach
  void close() {
    assertThat(open.reversed()).allSatisfy(AutoCloseable::close);
  }

  @Test
  void o7LivenessDoesNotDependOnInstanceMetadataStsOrTheApiServer() throws Exception {
    start(hanging, hanging, directory.resolve("none.sock"));

    for (int i = 0; i < 20; i++) {
      assertThat(get("/healthz", 200)).isNotEmpty();
    }
    assertThat(get("/readyz", 503)).contains("pods:");
  }

  @Test
  void o8WithoutAnApiServerThePodsOfTheRuntimeAreServed() throws Exception {
    var imds = FakeImds.start(LOOPBACK);
    open.add(imds);
    var sts = FakeSts.start(LOOPBACK);
    open.add(sts);
    var containerd = FakeUnixServer.containerd(directory.resolve("containerd.sock"));
    open.add(containerd);
    containerd
        .sandboxes()
        .put(
            new FakeCri.Box(
                "box-1",
                "shop",
                "web",
                "uid-web",
                FakeCri.State.READY,
                FakeCri.Network.POD,
                List.of("127.0.0.31"),
                Map.of("iam.amazonaws.com/role", "reader")));

    start(imds.endpoint().toString(), sts.endpoint().toString(), containerd.path());

    String keys = ask("127.0.0.31", "/latest/meta-data/iam/security-credentials/reader", " 200 ");
    assertThat(keys).contains("ASIAFAKE000000000001");
    assertThat(sts.assumptions().getFirst().role())
        .isEqualTo("arn:aws:iam::" + FakeImds.ACCOUNT + ":role/reader");
    assertThat(sts.assumptions().getFirst().sessionName()).isEqualTo("shop.web");
  }

  private void start(String imds, String sts, Path cri) throws Exception {
    Path kubeconfig = directory.resolve("kubeconfig");
    Files.writeString(
        kubeconfig,
        """
        apiVersion: v1
        kind: Config
        clusters: [{name: c, cluster: {server: "%s"}}]
        users: [{name: u, user: {token: t}}]
        contexts: [{name: x, context: {cluster: c, user: u}}]
        current-context: x
        """
            .formatted(hanging));
    Path file = directory.resolve("config.yaml");
    Files.writeString(
        file,
        """
        node: {name: node-1, criSocket: %1$s}
        kubernetes: {kubeconfig: %2$s}
        aws: {region: eu-west-1, metadataEndpoint: "%3$s", stsEndpoint: "%4$s"}
        gate: {enabled: false}
        conntrack: {enabled: false}
        runtime: {enabled: false}
        metadata: {listen: "127.0.0.1:%5$d"}
        admin: {listen: "127.0.0.1:%6$d"}
        control: {socket: %7$s/control.sock}
        state: {directory: %7$s}
        """
            .formatted(cri, kubeconfig, imds, sts, proxy, admin, directory));
    Config config = ConfigReader.read(Optional.of(file), Map.of(), Map.of());
    var agent = new Agent(config, "test", Map.of());
    open.add(agent);
    agent.start();
  }

  private String get(String path, int status) throws Exception {
    URL url = URI.create("http://127.0.0.1:" + admin + path).toURL();
    var connection = (HttpURLConnection) url.openConnection();
    connection.setReadTimeout(10_000);
    assertThat(connection.getResponseCode()).as(path).isEqualTo(status);
    try (var body = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
      return new String(body.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  /** Asks from the pod's address until the answer has this status. */
  private String ask(String from, String path, String status) throws Exception {
    var last = new String[1];
    await(
        () -> {
          try (var socket = new Socket()) {
            socket.bind(new InetSocketAddress(from, 0));
            socket.connect(new InetSocketAddress("127.0.0.1", proxy));
            socket.setSoTimeout(10_000);
            String request =
                "GET %s HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n"
                    .formatted(path);
            socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
            last[0] = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
          }
          return last[0].startsWith("HTTP/1.1" + status);
        });
    return last[0];
  }

  private static void await(Callable<Boolean> check) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!check.call()) {
      assertThat(System.nanoTime()).as("deadline").isLessThan(end);
      Thread.sleep(10);
    }
  }

  private static int freePort() throws IOException {
    try (var socket = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
      return socket.getLocalPort();
    }
  }
}
