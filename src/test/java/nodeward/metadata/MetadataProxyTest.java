package nodeward.metadata;

import static nodeward.node.FakeNode.annotated;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import nodeward.component.FakeTime;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.metadata.PodClient.Response;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The proxy over real HTTP, with pods on loopback addresses; names carry the conformance ids. */
class MetadataProxyTest {
  private static final String BASE = "arn:aws:iam::123456789012:role/";
  private static final String LISTING = "/latest/meta-data/iam/security-credentials";
  private static final String TTL = "X-aws-ec2-metadata-token-ttl-seconds: ";
  private static final String TOKEN = "X-aws-ec2-metadata-token: ";
  private static final String WEB = "127.0.0.11";
  private static final String PLAIN = "127.0.0.12";
  private static final String NOBODY = "127.0.0.99";

  private final FakeTime time = new FakeTime();
  private final List<String> events = new CopyOnWriteArrayList<>();
  private final FakeNode node = new FakeNode("node-1").register();
  private final FakeSandboxes sandboxes = new FakeSandboxes();
  private final FakeRoleCredentials sts = new FakeRoleCredentials(time);
  private final CollectorRegistry registry = new CollectorRegistry();
  private final AtomicReference<Optional<String>> base = new AtomicReference<>(Optional.empty());
  private final Pod web = withRole(FakeNode.pod("shop", "web", WEB), "reader");
  private MetadataProxy proxy =
      proxy(config("127.0.0.1:0", BASE, ""), Duration.ofSeconds(20), Duration.ofSeconds(20));

  @BeforeEach
  void start() throws IOException {
    node.put(web);
    node.put(FakeNode.pod("shop", "plain", PLAIN));
    proxy.start();
  }

  @AfterEach
  void stop() {
    proxy.close();
  }

  // --- who asks

  @Test
  void aMalformedAnnotationGetsNotFoundAndTheReason() throws IOException {
    node.put(withRole(web, "../admin"));

    Response response = ask(WEB, "GET", LISTING);

    assertThat(response.status()).isEqualTo(404);
    assertThat(response.body()).contains("iam.amazonaws.com/role", "../admin");
    assertThat(ask(PLAIN, "GET", "/latest/api/token").status()).isEqualTo(405);
  }

  @Test
  void namesWaitForTheAccountOfTheNode() throws IOException {
    restart(config("127.0.0.1:0", "", ""), Duration.ofMillis(20));
    assertThat(ask(WEB, "GET", LISTING).status()).isEqualTo(503);

    base.set(Optional.of(BASE));

    assertThat(ask(WEB, "GET", LISTING + "/reader").status()).isEqualTo(200);
  }

  @Test
  void aClosedConnectionInTheMiddleOfAHoldHarmsNobody() throws Exception {
    try (var client = client(NOBODY)) {
      client.write("GET " + LISTING + " HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
    }

    assertThat(ask(WEB, "GET", LISTING).status()).isEqualTo(200);
  }

  // --- the component

  @Test
  void outcomesAreCounted() throws IOException {
    ask(WEB, "GET", LISTING);
    ask(WEB, "GET", LISTING + "/reader");
    ask(WEB, "PUT", "/latest/api/token", TTL + "60");
    ask(WEB, "GET", "/latest/user-data");
    ask(PLAIN, "GET", LISTING);

    for (String outcome : List.of("role_name", "credentials", "token", "path", "no_role")) {
      assertThat(requests(outcome)).as(outcome).isEqualTo(1);
    }
  }

  @Test
  void theStatusTellsWhatItServes() {
    assertThat(proxy.name()).isEqualTo("metadata");
    assertThat(proxy.status())
        .containsEntry("listen", "127.0.0.1:" + proxy.address().getPort())
        .containsEntry("pods", 2);
  }

  @Test
  void aLostWatchIsToldAndKnownPodsAreServedOn() throws IOException {
    node.watching(FakeNode.Watch.LOST);

    assertThat(proxy.health().isHealthy()).isFalse();
    assertThat(ask(WEB, "GET", LISTING).body()).isEqualTo("reader");
  }

  @Test
  void aBusyPortIsNamed() throws IOException {
    try (var taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      var second =
          proxy(
              config("127.0.0.1:" + taken.getLocalPort(), BASE, ""),
              Duration.ofMillis(20),
              Duration.ofSeconds(1));

      assertThatThrownBy(second::start)
          .isInstanceOf(IOException.class)
          .hasMessageContaining("127.0.0.1:" + taken.getLocalPort());
      second.close();
    }
  }

  @Test
  void closeEndsRequestsThatAreHeld() throws Exception {
    try (var client = client(NOBODY)) {
      // The server must know the connection: one still in its backlog is none of its requests.
      client.send("POST", LISTING);
      client.write("GET " + LISTING + " HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
      proxy.close();
      proxy.close();

      assertThat(client.closedByServer()).isTrue();
    }
    assertThat(proxy.health().isHealthy()).isFalse();
  }

  private void restart(Config.Metadata config, Duration hold) throws IOException {
    proxy.close();
    registry.clear();
    proxy = proxy(config, hold, Duration.ofSeconds(20));
    proxy.start();
  }

  private MetadataProxy proxy(Config.Metadata config, Duration hold, Duration stsLimit) {
    registry.clear();
    return new MetadataProxy(
        config,
        new MetadataProxy.Ports(
            node.asPods(),
            sandboxes,
            sts,
            base::get,
            new FakeNamespaces(),
            (pod, type, reason, message) ->
                events.add(pod.fullName() + " " + reason + ": " + message),
            path -> Optional.empty(),
            (token, audience) -> new TokenReviews.Verdict.Refused("not asked for here")),
        new Grants.Patience(hold, stsLimit),
        PodServer.Limits.of(64, 32),
        registry,
        time);
  }

  private static Config.Metadata config(String listen, String baseArn, String defaultRole) {
    return new Config.Metadata(
        true,
        Address.parse(listen),
        baseArn,
        defaultRole,
        Duration.ofHours(1),
        Duration.ofMinutes(30),
        List.of(),
        List.of(),
        false,
        Config.Metadata.RestrictionFormat.GLOB,
        false,
        List.of(),
        false,
        new Config.Metadata.PodLimits(64, 32),
        new Config.Metadata.Container(List.of(), "nodeward.dev"));
  }

  private PodClient client(String source) throws IOException {
    return new PodClient(source, proxy.address());
  }

  private Response ask(String source, String method, String path, String... headers)
      throws IOException {
    try (var client = client(source)) {
      return client.send(method, path, headers);
    }
  }

  private Response askUnchecked(String source, String path) {
    try {
      return ask(source, "GET", path);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private double requests(String outcome) {
    Double value =
        registry.getSampleValue(
            "nodeward_metadata_requests_total", new String[] {"outcome"}, new String[] {outcome});
    return value == null ? 0 : value;
  }

  private double sample(String name) {
    Double value = registry.getSampleValue(name);
    return value == null ? 0 : value;
  }

  private static Pod withRole(Pod pod, String role) {
    return annotated(pod, RolePolicy.ROLE, role);
  }

  private interface Check {
    boolean holds() throws Exception;
  }

  private static void await(Check check) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!check.holds()) {
      assertThat(System.nanoTime()).as("deadline").isLessThan(end);
      Thread.sleep(10);
    }
  }
}
