package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import nodeward.config.Preset;
import nodeward.metadata.PodClient.Response;
import nodeward.node.FakeNode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.InstanceProfileCredentialsProvider;

/** The protocol, P1 to P17, against the real server over raw sockets and with a real SDK. */
class ProtocolConformanceTest {
  private static final String LISTING = "/latest/meta-data/iam/security-credentials";
  private static final String TTL = "X-aws-ec2-metadata-token-ttl-seconds: ";
  private static final String TOKEN = "X-aws-ec2-metadata-token: ";
  private static final String WEB = "127.0.0.11";
  private static final String PLAIN = "127.0.0.12";

  private final TestProxy test = new TestProxy();

  @BeforeEach
  void start() throws IOException {
    test.pod("web", WEB, "reader");
    test.node.put(FakeNode.pod("shop", "plain", PLAIN));
    test.start(new TestProxy.Settings());
  }

  @AfterEach
  void stop() {
    test.close();
  }

  @Test
  void p1ATokenIsGivenAndItsLifetimeEchoed() throws IOException {
    Response token = test.ask(WEB, "PUT", "/latest/api/token", TTL + "21600");

    assertThat(token.status()).isEqualTo(200);
    assertThat(token.headers()).containsEntry("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    assertThat(token.body()).matches("[A-Za-z0-9_=-]{56}");
    assertThat(test.ask(WEB, "GET", LISTING + "/", TOKEN + token.body()).body())
        .isEqualTo("reader");
    assertThat(test.ask(WEB, "GET", LISTING + "/reader", TOKEN + token.body()).status())
        .isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(strings = {"X: y", TTL + "0", TTL + "21601", TTL + "x", TTL})
  void p2ATokenWithoutAGoodLifetimeIsRefused(String header) throws IOException {
    assertThat(test.ask(WEB, "PUT", "/latest/api/token", header).status()).isEqualTo(400);
  }

  @Test
  void p3AForwardedTokenRequestIsRefused() throws IOException {
    assertThat(
            test.ask(WEB, "PUT", "/latest/api/token", TTL + "60", "X-Forwarded-For: 10.0.0.1")
                .status())
        .isEqualTo(403);
  }

  @Test
  void p4BadExpiredAndForeignTokensAreRefused() throws IOException {
    test.pod("other", "127.0.0.13", "reader");
    String mine = test.ask(WEB, "PUT", "/latest/api/token", TTL + "60").body();
    String foreign = test.ask("127.0.0.13", "PUT", "/latest/api/token", TTL + "60").body();

    assertThat(test.ask(WEB, "GET", LISTING, TOKEN + "abc").status()).isEqualTo(401);
    assertThat(test.ask(WEB, "GET", LISTING, TOKEN).status()).isEqualTo(401);
    assertThat(test.ask(WEB, "GET", LISTING, TOKEN + foreign).status()).isEqualTo(401);
    assertThat(test.ask(WEB, "GET", LISTING + "/reader", TOKEN + foreign).status()).isEqualTo(401);
    test.time.advance(Duration.ofSeconds(60));
    assertThat(test.ask(WEB, "GET", LISTING, TOKEN + mine).status()).isEqualTo(401);
  }

  @Test
  void p5VersionOneNeedsNoToken() throws IOException {
    assertThat(test.ask(WEB, "GET", LISTING + "/reader").status()).isEqualTo(200);
  }

  @Test
  void p5VersionOneIsRefusedWhereVersionTwoIsRequired() throws IOException {
    test.start(new TestProxy.Settings().requireV2().open(Preset.PLACEMENT));
    test.instance.put("/latest/meta-data/placement/region", "eu-west-1");
    String token = test.ask(WEB, "PUT", "/latest/api/token", TTL + "60").body();

    for (String path :
        List.of(LISTING, LISTING + "/reader", "/latest/meta-data/placement/region")) {
      assertThat(test.ask(WEB, "GET", path).status()).as(path).isEqualTo(401);
      assertThat(test.ask(WEB, "GET", path, TOKEN + token).status()).as(path).isEqualTo(200);
    }
  }

  @Test
  void p5p15ANamespaceMayRequireVersionTwoAndOpenPaths() throws IOException {
    test.start(new TestProxy.Settings().openByNamespace());
    test.instance.put("/latest/meta-data/instance-id", "i-1");
    String token = TOKEN + test.ask(WEB, "PUT", "/latest/api/token", TTL + "60").body();
    test.namespaces.put("shop", Map.of());
    assertThat(test.ask(WEB, "GET", LISTING).status()).isEqualTo(200);
    assertThat(test.ask(WEB, "GET", "/latest/meta-data/instance-id").status()).isEqualTo(404);

    test.namespaces.put(
        "shop", Map.of(Openness.OPEN, "user-data, instance-id", Openness.V2, "required"));

    assertThat(test.ask(WEB, "GET", LISTING).status()).isEqualTo(401);
    assertThat(test.ask(WEB, "GET", LISTING, token).status()).isEqualTo(200);
    assertThat(test.ask(WEB, "GET", "/latest/meta-data/instance-id", token).body())
        .isEqualTo("i-1");
    assertThat(test.ask(WEB, "GET", "/latest/user-data", token).status()).isEqualTo(404);

    test.namespaces.lose("the API server is away");

    assertThat(test.ask(WEB, "GET", LISTING).status()).isEqualTo(401);
    assertThat(test.ask(WEB, "GET", LISTING, token).status()).isEqualTo(200);
    assertThat(test.ask(WEB, "GET", "/latest/meta-data/instance-id", token).status())
        .isEqualTo(404);
  }

  @Test
  void p5p15AnnotationsOfANamespaceAreNothingUntilTheConfigurationLetsThem() throws IOException {
    test.namespaces.put("shop", Map.of(Openness.OPEN, "instance-id", Openness.V2, "required"));

    assertThat(test.ask(WEB, "GET", LISTING).status()).isEqualTo(200);
    assertThat(test.ask(WEB, "GET", "/latest/meta-data/instance-id").status()).isEqualTo(404);
    assertThat(test.namespaces.asked()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"latest", "2021-03-23", "1.0"})
  void p6p7TheListingIsTheSameWithAndWithoutASlash(String version) throws IOException {
    for (String end : List.of("", "/")) {
      Response listing =
          test.ask(WEB, "GET", "/" + version + "/meta-data/iam/security-credentials" + end);

      assertThat(listing.status()).isEqualTo(200);
      assertThat(listing.body()).isEqualTo("reader");
      assertThat(listing.headers()).containsEntry("content-type", "text/plain");
    }
  }

  @Test
  void p8TheCredentialsHaveAllSevenFields() throws IOException {
    Response keys = test.ask(WEB, "GET", LISTING + "/reader");

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
    test.time.advance(Duration.ofMillis(1));
    test.sts.recover();
    test.pod("late", "127.0.0.14", "writer");

    String body = test.ask("127.0.0.14", "GET", LISTING + "/writer").body();

    assertThat(body).contains("\"2026-11-21T09:00:00Z\"", "\"2026-11-21T08:00:00Z\"");
  }

  @Test
  void p9HeadTellsTheLengthWithoutTheBody() throws IOException {
    try (var client = test.client(WEB)) {
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
    Response response = test.ask(WEB, method, path);

    assertThat(response.status()).isEqualTo(405);
    assertThat(response.headers()).containsEntry("allow", allowed);
  }

  @Test
  void p10ABodyOfATokenRequestIsOfNoInterest() throws IOException {
    try (var client = test.client(WEB)) {
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
  void p11RequestsThatComeTogetherAreAnsweredInOrder() throws Exception {
    test.pod("cold", "127.0.0.20", "cold");
    String request = "GET %s HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
    try (var client = test.client("127.0.0.20")) {
      // More than one turn of the loop, and some of them wait for STS.
      client.write(
          request.formatted(LISTING + "/cold").repeat(3)
              + (request.formatted(LISTING) + request.formatted("/latest/user-data")).repeat(20));

      for (int i = 0; i < 3; i++) {
        assertThat(client.read("GET").body()).contains("ASIA");
      }
      for (int i = 0; i < 20; i++) {
        assertThat(client.read("GET").body()).isEqualTo("cold");
        assertThat(client.read("GET").status()).isEqualTo(404);
      }
    }
  }

  @Test
  void p11ARequestMayComeByteByByte() throws IOException {
    try (var client = test.client(WEB)) {
      for (char c :
          ("GET " + LISTING + " HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n").toCharArray()) {
        client.write(String.valueOf(c));
      }

      assertThat(client.read("GET").body()).isEqualTo("reader");
    }
  }

  @Test
  void p11TheConnectionEndsWhenThePodAsksForIt() throws IOException {
    try (var client = test.client(WEB)) {
      Response response = client.send("GET", LISTING, "Connection: close");

      assertThat(response.body()).isEqualTo("reader");
      assertThat(response.headers()).containsEntry("connection", "close");
      assertThat(client.closedByServer()).isTrue();
    }
    try (var client = test.client(WEB)) {
      Response old = client.raw("GET", "GET " + LISTING + " HTTP/1.0\r\nHost: localhost\r\n\r\n");

      assertThat(old.body()).isEqualTo("reader");
      assertThat(client.closedByServer()).isTrue();
    }
  }

  @Test
  void p11OneConnectionServesThePipelineOfAnSdk() throws IOException {
    try (var client = test.client(WEB)) {
      Response token = client.send("PUT", "/latest/api/token", TTL + "300");
      Response name = client.send("GET", LISTING + "/", TOKEN + token.body());
      Response keys = client.send("GET", LISTING + "/" + name.body(), TOKEN + token.body());

      assertThat(keys.status()).isEqualTo(200);
    }
  }

  @Test
  void p12TheServerCallsItselfAsInstanceMetadataDoes() throws IOException {
    assertThat(test.ask(WEB, "GET", LISTING).headers()).containsEntry("server", "EC2ws");
    assertThat(test.ask(WEB, "GET", "/latest/user-data").headers())
        .containsEntry("server", "EC2ws");
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
    test.pod("path", "127.0.0.15", "/team/reader");

    assertThat(test.ask("127.0.0.15", "GET", LISTING).body()).isEqualTo("team/reader");
    assertThat(test.ask("127.0.0.15", "GET", LISTING + "/" + asked).status()).isEqualTo(200);
  }

  @Test
  void p13AForeignArnIsListedInFull() throws IOException {
    String arn = "arn:aws:iam::999999999999:role/reader";
    test.pod("foreign", "127.0.0.16", arn);

    assertThat(test.ask("127.0.0.16", "GET", LISTING).body()).isEqualTo(arn);
    assertThat(test.ask("127.0.0.16", "GET", LISTING + "/" + arn).status()).isEqualTo(200);
    assertThat(test.ask("127.0.0.16", "GET", LISTING + "/reader").status()).isEqualTo(404);
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
    Response response = test.ask(WEB, "GET", target);

    assertThat(response.status()).isEqualTo(400);
    assertThat(response.body()).doesNotContain("ASIA");
  }

  @Test
  void p14AnOverLongPathIsRefused() throws IOException {
    assertThat(test.ask(WEB, "GET", LISTING + "/" + "a".repeat(5000)).status()).isEqualTo(400);
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
    assertThat(test.ask(WEB, "GET", path).status()).isEqualTo(404);
  }

  @Test
  void p15OpenPathsArePassedOnWithNothingOfThePods() throws IOException {
    test.start(new TestProxy.Settings().open(Preset.PLACEMENT, Preset.INSTANCE_IDENTITY));
    test.instance.put("/latest/meta-data/placement/region", "eu-west-1");
    test.instance.put("/2021-03-23/dynamic/instance-identity/document", "{}");
    test.instance.put("/latest/meta-data/instance-id", "i-1");

    Response region =
        test.ask(
            WEB,
            "GET",
            "/latest/meta-data/placement/region",
            "Authorization: secret",
            "Cookie: secret");

    assertThat(region.status()).isEqualTo(200);
    assertThat(region.body()).isEqualTo("eu-west-1");
    assertThat(region.headers()).containsEntry("content-type", "text/plain");
    assertThat(test.ask(PLAIN, "GET", "/2021-03-23/dynamic/instance-identity/document").status())
        .isEqualTo(200);
    assertThat(test.ask(WEB, "GET", "/latest/meta-data/placement/none").status()).isEqualTo(404);
    assertThat(test.ask(WEB, "GET", "/latest/meta-data/instance-id").status()).isEqualTo(404);
    assertThat(test.instanceAsked)
        .containsExactly(
            "/latest/meta-data/placement/region",
            "/2021-03-23/dynamic/instance-identity/document",
            "/latest/meta-data/placement/none");
  }

  @Test
  void p15AnOpenPathIsRememberedAndItsAbsenceTold() throws IOException {
    test.start(new TestProxy.Settings().open(Preset.INSTANCE_ID));
    test.instance.put("/latest/meta-data/instance-id", "i-1");

    for (int i = 0; i < 50; i++) {
      assertThat(test.ask(WEB, "GET", "/latest/meta-data/instance-id").body()).isEqualTo("i-1");
    }
    assertThat(test.instanceAsked).hasSize(1);
    test.time.advance(Duration.ofSeconds(31));
    test.instanceDown = true;

    Response unavailable = test.ask(WEB, "GET", "/latest/meta-data/instance-id");

    assertThat(unavailable.status()).isEqualTo(503);
    assertThat(unavailable.body()).contains("try again").doesNotContain("no answer");
    assertThat(test.requests("upstream")).isEqualTo(1);
  }

  @Test
  void p15PodsCannotUseUpTheInstancesMetadata() throws IOException {
    test.start(new TestProxy.Settings().open(Preset.PLACEMENT));
    int refused = 0;
    for (int i = 0; i < 100; i++) {
      if (test.ask(WEB, "GET", "/latest/meta-data/placement/" + i).status() == 503) {
        refused++;
      }
    }

    assertThat(test.instanceAsked).hasSize(20);
    assertThat(refused).isEqualTo(80);
  }

  @Test
  void p16TheseStayClosedWhateverIsOpen() throws IOException {
    test.start(new TestProxy.Settings().open(Preset.values()));

    for (String path :
        List.of(
            "/latest/user-data",
            "/latest/meta-data/iam/info",
            "/latest/meta-data/iam/security-credentials/node-role",
            "/latest/meta-data/identity-credentials/ec2/info",
            "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
            "/latest/meta-data/",
            "/latest/dynamic/",
            "/latest/dynamic/instance-identity/x",
            "/latest/meta-data/placement/region%2f..%2fiam",
            "/latest/meta-data/placement/../iam/info",
            "/latest/meta-data/placementx",
            "/latest/meta-data/networks/x",
            "/latest/api/tokens")) {
      assertThat(test.ask(WEB, "GET", path).status()).as(path).isIn(400, 404);
    }
    assertThat(test.instanceAsked).isEmpty();
  }

  @Test
  void aForeignHostIsRefused() throws IOException {
    try (var client = test.client(WEB)) {
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
                          + test.proxy().address().getPort()
                          + "\r\n\r\n")
                  .status())
          .isEqualTo(200);
    }
  }

  @Test
  void p17TheSdkForJavaGetsCredentials() {
    test.pod("sdk", "127.0.0.1", "team/sdk");
    try (var provider =
        InstanceProfileCredentialsProvider.builder()
            .endpoint("http://127.0.0.1:" + test.proxy().address().getPort())
            .build()) {
      var keys = (AwsSessionCredentials) provider.resolveCredentials();

      assertThat(keys.accessKeyId()).startsWith("ASIA");
      assertThat(keys.sessionToken()).startsWith("token+");
      assertThat(keys.expirationTime()).contains(Instant.parse("2026-11-21T09:00:00Z"));
    }
    assertThat(test.requests("token")).isEqualTo(1);
  }

  // --- what is no request

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
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\nHost: 169.254.169.254\n\n",
        "GET / HTTP/1.1\r\nHost: 169.254.169.254\r\n folded: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u0016\u0003\u0001\u0002\u0000\u0001"
      })
  void malformedRequestsGetA4xxAndHarmNobody(String request) throws IOException {
    try (var client = test.client(WEB)) {
      assertThat(client.raw("GET", request).status()).isBetween(400, 499);
    }
    assertThat(test.ask(WEB, "GET", LISTING).status()).isEqualTo(200);
    assertThat(test.requests("malformed") + test.requests("host")).isEqualTo(1);
  }

  @Test
  void largeHeadersGetA4xxAndHarmNobody() throws IOException {
    assertThat(test.ask(WEB, "GET", LISTING, "X: " + "a".repeat(20_000)).status()).isEqualTo(431);
    assertThat(test.ask(WEB, "GET", LISTING).status()).isEqualTo(200);
  }

  @Test
  void headersWithoutEndAreCutOff() throws IOException {
    try (var client = test.client(WEB)) {
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
    assertThat(test.ask(WEB, "GET", LISTING).status()).isEqualTo(200);
  }
}
