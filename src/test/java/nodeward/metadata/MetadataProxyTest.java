package nodeward.metadata;

import static nodeward.node.FakeNode.annotated;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.InstanceProfileCredentialsProvider;

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

  // --- protocol

  @Test
  void p1ATokenIsGivenAndItsLifetimeEchoed() throws IOException {
    Response token = ask(WEB, "PUT", "/latest/api/token", TTL + "21600");

    assertThat(token.status()).isEqualTo(200);
    assertThat(token.headers()).containsEntry("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    assertThat(token.body()).matches("[A-Za-z0-9_=-]{56}");
    assertThat(ask(WEB, "GET", LISTING + "/", TOKEN + token.body()).body()).isEqualTo("reader");
    assertThat(ask(WEB, "GET", LISTING + "/reader", TOKEN + token.body()).status()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"X: y", TTL + "0", TTL + "21601", TTL + "x", TTL})
  void p2ATokenWithoutAGoodLifetimeIsRefused(String header) throws IOException {
    assertThat(ask(WEB, "PUT", "/latest/api/token", header).status()).isEqualTo(400);
  }

  @Test
  void p3AForwardedTokenRequestIsRefused() throws IOException {
    assertThat(
            ask(WEB, "PUT", "/latest/api/token", TTL + "60", "X-Forwarded-For: 10.0.0.1").status())
        .isEqualTo(403);
  }

  @Test
  void p4BadExpiredAndForeignTokensAreRefused() throws IOException {
    node.put(withRole(FakeNode.pod("shop", "other", "127.0.0.13"), "reader"));
    String mine = ask(WEB, "PUT", "/latest/api/token", TTL + "60").body();
    String foreign = ask("127.0.0.13", "PUT", "/latest/api/token", TTL + "60").body();

    assertThat(ask(WEB, "GET", LISTING, TOKEN + "abc").status()).isEqualTo(401);
    assertThat(ask(WEB, "GET", LISTING, TOKEN).status()).isEqualTo(401);
    assertThat(ask(WEB, "GET", LISTING, TOKEN + foreign).status()).isEqualTo(401);
    assertThat(ask(WEB, "GET", LISTING + "/reader", TOKEN + foreign).status()).isEqualTo(401);
    time.advance(Duration.ofSeconds(60));
    assertThat(ask(WEB, "GET", LISTING, TOKEN + mine).status()).isEqualTo(401);
  }

  @Test
  void p5VersionOneNeedsNoToken() throws IOException {
    assertThat(ask(WEB, "GET", LISTING + "/reader").status()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"latest", "2021-03-23", "1.0"})
  void p6p7TheListingIsTheSameWithAndWithoutASlash(String version) throws IOException {
    for (String end : List.of("", "/")) {
      Response listing =
          ask(WEB, "GET", "/" + version + "/meta-data/iam/security-credentials" + end);

      assertThat(listing.status()).isEqualTo(200);
      assertThat(listing.body()).isEqualTo("reader");
      assertThat(listing.headers()).containsEntry("content-type", "text/plain");
    }
  }

  @Test
  void p8TheCredentialsHaveAllSevenFields() throws IOException {
    Response keys = ask(WEB, "GET", LISTING + "/reader");

    JsonNode json = new ObjectMapper().readTree(keys.body());
    assertThat(json.size()).isEqualTo(7);
    assertThat(json.get("Code").asText()).isEqualTo("Success");
    assertThat(json.get("LastUpdated").asText()).isEqualTo("2026-11-21T08:00:00Z");
    assertThat(json.get("Type").asText()).isEqualTo("AWS-HMAC");
    assertThat(json.get("AccessKeyId").asText()).isEqualTo("ASIA1");
    assertThat(json.get("SecretAccessKey").asText()).isEqualTo("secret/1");
    assertThat(json.get("Token").asText()).isEqualTo("token+1");
    assertThat(json.get("Expiration").asText()).isEqualTo("2026-11-21T09:00:00Z");
    assertThat(keys.headers()).containsEntry("content-type", "application/json");
    assertThat(keys.headers())
        .containsEntry("content-length", Integer.toString(keys.body().length()));
  }

  @Test
  void p8FractionsOfSecondsAreCut() throws IOException {
    time.advance(Duration.ofMillis(1));
    sts.recover();
    node.put(withRole(FakeNode.pod("shop", "late", "127.0.0.14"), "writer"));

    String body = ask("127.0.0.14", "GET", LISTING + "/writer").body();

    assertThat(body).contains("\"2026-11-21T09:00:00Z\"", "\"2026-11-21T08:00:00Z\"");
  }

  @Test
  void p9HeadTellsTheLengthWithoutTheBody() throws IOException {
    try (var client = client(WEB)) {
      Response head = client.send("HEAD", LISTING);
      Response get = client.send("GET", LISTING);

      assertThat(head.status()).isEqualTo(200);
      assertThat(head.headers()).containsEntry("content-length", "6");
      assertThat(get.body()).isEqualTo("reader");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "POST, /latest/meta-data/iam/security-credentials, 'GET, HEAD'",
    "DELETE, /latest/meta-data/iam/security-credentials/reader, 'GET, HEAD'",
    "GET, /latest/api/token, PUT"
  })
  void p9OtherMethodsAreRefused(String method, String path, String allowed) throws IOException {
    Response response = ask(WEB, method, path);

    assertThat(response.status()).isEqualTo(405);
    assertThat(response.headers()).containsEntry("allow", allowed);
  }

  @Test
  void p10ABodyOfATokenRequestIsOfNoInterest() throws IOException {
    try (var client = client(WEB)) {
      Response token =
          client.raw(
              "PUT",
              "PUT /latest/api/token HTTP/1.1\r\nHost: 169.254.169.254\r\n"
                  + TTL
                  + "60\r\nContent-Length: 3\r\n\r\nabc");

      assertThat(token.status()).isEqualTo(200);
      assertThat(client.send("GET", LISTING).status()).isEqualTo(200);
    }
  }

  @Test
  void p11OneConnectionServesThePipelineOfAnSdk() throws IOException {
    try (var client = client(WEB)) {
      Response token = client.send("PUT", "/latest/api/token", TTL + "300");
      Response name = client.send("GET", LISTING + "/", TOKEN + token.body());
      Response keys = client.send("GET", LISTING + "/" + name.body(), TOKEN + token.body());

      assertThat(keys.status()).isEqualTo(200);
    }
  }

  @Test
  void p12TheServerCallsItselfAsInstanceMetadataDoes() throws IOException {
    assertThat(ask(WEB, "GET", LISTING).headers()).containsEntry("server", "EC2ws");
    assertThat(ask(WEB, "GET", "/latest/user-data").headers()).containsEntry("server", "EC2ws");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "team/reader",
        "team%2Freader",
        "arn:aws:iam::123456789012:role/team/reader",
        "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Freader"
      })
  void p13PathsAndArnsWorkRawAndEscaped(String asked) throws IOException {
    node.put(withRole(FakeNode.pod("shop", "path", "127.0.0.15"), "/team/reader"));

    assertThat(ask("127.0.0.15", "GET", LISTING).body()).isEqualTo("team/reader");
    assertThat(ask("127.0.0.15", "GET", LISTING + "/" + asked).status()).isEqualTo(200);
  }

  @Test
  void p13AForeignArnIsListedInFull() throws IOException {
    String arn = "arn:aws:iam::999999999999:role/reader";
    node.put(withRole(FakeNode.pod("shop", "foreign", "127.0.0.16"), arn));

    assertThat(ask("127.0.0.16", "GET", LISTING).body()).isEqualTo(arn);
    assertThat(ask("127.0.0.16", "GET", LISTING + "/" + arn).status()).isEqualTo(200);
    assertThat(ask("127.0.0.16", "GET", LISTING + "/reader").status()).isEqualTo(404);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "//latest/meta-data/iam/security-credentials/reader",
        "/latest/meta-data/iam//security-credentials/reader",
        "/latest/meta-data/iam/security-credentials//reader",
        "/latest/x/../meta-data/iam/security-credentials/reader",
        "/latest/meta-data/iam/security-credentials/%2e%2e/reader",
        "/latest/meta-data/iam/security-credentials/reader%0a",
        "/latest/meta-data/iam/security-credentials/reader;x",
        "/latest/meta-data/iam/security-credentials/reader?x",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/reader",
        "/latest/meta-data/iam/security-credentials/rea\tder",
        "/latest/meta-data/iam/security-credentials/rea\u0001der",
        "/latest/meta-data/iam/security-credentials/re\u00e9der",
        "/latest/meta-data/iam/security-credentials/reader\\"
      })
  void p14AmbiguousPathsAreRefused(String target) throws IOException {
    Response response = ask(WEB, "GET", target);

    assertThat(response.status()).isEqualTo(400);
    assertThat(response.body()).doesNotContain("ASIA");
  }

  @Test
  void p14AnOverLongPathIsRefused() throws IOException {
    assertThat(ask(WEB, "GET", LISTING + "/" + "a".repeat(5000)).status()).isEqualTo(400);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/",
        "/latest/user-data",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        "/latest/dynamic/instance-identity/document",
        "/metrics",
        "/healthz"
      })
  void p15p16EveryOtherPathIsDenied(String path) throws IOException {
    assertThat(ask(WEB, "GET", path).status()).isEqualTo(404);
  }

  @Test
  void aForeignHostIsRefused() throws IOException {
    try (var client = client(WEB)) {
      assertThat(
              client
                  .raw("GET", "GET " + LISTING + " HTTP/1.1\r\nHost: evil.example\r\n\r\n")
                  .status())
          .isEqualTo(403);
      assertThat(
              client
                  .raw(
                      "GET",
                      "GET "
                          + LISTING
                          + " HTTP/1.1\r\nHost: localhost:"
                          + proxy.address().getPort()
                          + "\r\n\r\n")
                  .status())
          .isEqualTo(200);
    }
  }

  @Test
  void p17TheSdkForJavaGetsCredentials() {
    node.put(withRole(FakeNode.pod("shop", "sdk", "127.0.0.1"), "team/sdk"));
    try (var provider =
        InstanceProfileCredentialsProvider.builder()
            .endpoint("http://127.0.0.1:" + proxy.address().getPort())
            .build()) {
      var keys = (AwsSessionCredentials) provider.resolveCredentials();

      assertThat(keys.accessKeyId()).startsWith("ASIA");
      assertThat(keys.sessionToken()).startsWith("token+");
      assertThat(keys.expirationTime()).contains(Instant.parse("2026-11-21T09:00:00Z"));
    }
    assertThat(requests("token")).isEqualTo(1);
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

  // --- bad input

  @ParameterizedTest
  @ValueSource(
      strings = {
        "GET\r\n\r\n",
        "\r\n\r\nnonsense\r\n\r\n",
        "GET /\r\n\r\n",
        "GET /latest HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : 169.254.169.254\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
      })
  void malformedRequestsGetA4xxAndHarmNobody(String request) throws IOException {
    try (var client = client(WEB)) {
      assertThat(client.raw("GET", request).status()).isBetween(400, 499);
    }
    assertThat(ask(WEB, "GET", LISTING).status()).isEqualTo(200);
  }

  @Test
  void largeHeadersGetA4xxAndHarmNobody() throws IOException {
    assertThat(ask(WEB, "GET", LISTING, "X: " + "a".repeat(20_000)).status()).isEqualTo(431);
    assertThat(ask(WEB, "GET", LISTING).status()).isEqualTo(200);
  }

  @Test
  void headersWithoutEndAreCutOff() throws IOException {
    try (var client = client(WEB)) {
      client.write("GET " + LISTING + " HTTP/1.1\r\nHost: 169.254.169.254\r\nX: ");
      assertThatThrownBy(
              () -> {
                for (int i = 0; i < 10_000; i++) {
                  client.write("a".repeat(1000));
                }
                client.read("GET");
              })
          .isInstanceOf(IOException.class);
    }
    assertThat(ask(WEB, "GET", LISTING).status()).isEqualTo(200);
  }

  @Test
  void connectionsThatSayNothingHarmNobody() throws IOException {
    var silent = new ArrayList<PodClient>();
    for (int i = 0; i < 100; i++) {
      var client = client(PLAIN);
      silent.add(client);
      client.write("GET / HT");
    }

    assertThat(ask(WEB, "GET", LISTING).status()).isEqualTo(200);

    for (PodClient client : silent) {
      client.close();
    }
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
        .containsEntry("interception", "off")
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
  void o2TheInterceptionIsInPlaceBeforeTheProxyListens() throws IOException {
    int port;
    try (var free = new ServerSocket(0)) {
      port = free.getLocalPort();
    }
    var installed = new ArrayList<Interception>();
    Firewall firewall =
        interception -> {
          assertThatThrownBy(() -> new Socket("127.0.0.1", port).close())
              .isInstanceOf(IOException.class);
          installed.add(interception);
        };
    var config =
        new Config.Metadata(
            true,
            Address.parse("0.0.0.0:" + port),
            BASE,
            "",
            Duration.ofHours(1),
            Duration.ofMinutes(30),
            List.of("cni0", "eni+"),
            List.of());
    try (var intercepting =
        new MetadataProxy(
            config,
            node.asPods(),
            sandboxes,
            sts,
            base::get,
            firewall,
            new CollectorRegistry(),
            time)) {
      intercepting.start();

      assertThat(installed).hasSize(1);
      assertThat(installed.getFirst().interfaces()).containsExactly("cni0", "eni+");
      assertThat(installed.getFirst().port()).isEqualTo(port);
      assertThat(intercepting.status().get("interception").toString()).startsWith("cni0 eni+ -> ");
    }
    assertThat(installed).hasSize(1);
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
    Firewall none =
        interception -> {
          throw new IOException("nothing is to be touched");
        };
    return new MetadataProxy(
        config,
        node.asPods(),
        sandboxes,
        sts,
        base::get,
        none,
        registry,
        time,
        new MetadataProxy.Patience(hold, stsLimit));
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
        List.of());
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
