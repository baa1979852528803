package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import nodeward.metadata.PodClient.Response;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.ContainerCredentialsProvider;

/** The container credentials endpoint over real HTTP; the caller is on the host's network. */
class ContainerDoorTest {
  private static final String HOST = "127.0.0.1";

  private final TestProxy test = new TestProxy();
  private final Pod agent =
      IdentityConformanceTest.onHostNetwork(
          FakeNode.annotated(
              FakeNode.pod("kube-system", "cni", "10.0.0.1"), RolePolicy.ROLE, "team/cni"));

  @BeforeEach
  void start() throws IOException {
    test.node.put(agent);
    test.start(new TestProxy.Settings().container("127.0.0.1:0"));
  }

  @AfterEach
  void stop() {
    test.close();
  }

  @Test
  void aPodOfTheHostNetworkGetsItsRoleByItsToken() throws IOException {
    Response keys = ask("Authorization: " + known(agent, "a"));

    assertThat(keys.status()).isEqualTo(200);
    assertThat(keys.headers()).containsEntry("content-type", "application/json");
    JsonNode json = new ObjectMapper().readTree(keys.body());
    assertThat(json.size()).isEqualTo(5);
    assertThat(json.get("AccessKeyId").asText()).startsWith("ASIA");
    assertThat(json.get("SecretAccessKey").asText()).isNotEmpty();
    assertThat(json.get("Token").asText()).isNotEmpty();
    assertThat(json.get("Expiration").asText()).isEqualTo("2026-11-21T09:00:00Z");
    assertThat(json.get("AccountId").asText()).isEqualTo("123456789012");
    assertThat(test.sts.calls())
        .extracting(RoleSession::roleArn)
        .containsOnly(TestProxy.BASE + "team/cni");
  }

  @Test
  void itsCredentialsAreFetchedBeforeItAsks() throws Exception {
    TestProxy.await(
        () -> test.sts.calls().stream().anyMatch(s -> s.roleArn().endsWith("team/cni")));
  }

  @Test
  void theSdkForJavaGetsCredentials(@TempDir Path directory) throws IOException {
    Path token = Files.writeString(directory.resolve("token"), known(agent, "sdk"));
    Map<String, String> environment =
        Map.of(
            "aws.containerCredentialsFullUri",
            "http://127.0.0.1:" + address().getPort() + ContainerDoor.PATH,
            "aws.containerAuthorizationTokenFile",
            token.toString());
    environment.forEach(System::setProperty);
    try (var provider = ContainerCredentialsProvider.builder().build()) {
      var keys = (AwsSessionCredentials) provider.resolveCredentials();

      assertThat(keys.accessKeyId()).startsWith("ASIA");
      assertThat(keys.expirationTime()).contains(Instant.parse("2026-11-21T09:00:00Z"));
    } finally {
      environment.keySet().forEach(System::clearProperty);
    }
  }

  @Test
  void aTokenIsReviewedOnceInAMinute() throws IOException {
    String token = known(agent, "a");

    for (int i = 0; i < 5; i++) {
      assertThat(ask("Authorization: Bearer " + token).status()).isEqualTo(200);
    }
    assertThat(test.reviewed).containsExactly(token);
    test.time.advance(Duration.ofSeconds(61));
    test.tokens.clear();

    assertThat(ask("Authorization: " + token).status()).isEqualTo(401);
    assertThat(test.reviewed).hasSize(2);
  }

  @Test
  void whileTheApiServerIsAwayItsLastWordCountsUntilTheTokenEnds() throws IOException {
    String token = known(agent, "a");
    assertThat(ask("Authorization: " + token).status()).isEqualTo(200);
    test.reviewsDown = true;

    test.time.advance(Duration.ofMinutes(9));
    assertThat(ask("Authorization: " + token).status()).isEqualTo(200);
    Response other = ask("Authorization: " + known(agent, "other"));
    assertThat(other.status()).isEqualTo(503);
    assertThat(other.headers()).containsEntry("content-type", "application/json");
    assertThat(other.body()).contains("\"code\":\"review\"").doesNotContain("refused");
    test.time.advance(Duration.ofMinutes(2));
    assertThat(ask("Authorization: " + token).status()).isEqualTo(401);
  }

  @Test
  void aTokenThatIsNotGenuineIsRefused() throws IOException {
    String forged = token(agent.uid(), "forged", TestProxy.AUDIENCE, 600);

    Response response = ask("Authorization: " + forged);

    assertThat(response.status()).isEqualTo(401);
    assertThat(response.body())
        .isEqualTo("{\"code\":\"token\",\"message\":\"the token is refused\"}");
    assertThat(test.reviewed).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "X: y",
        "Authorization:",
        "Authorization: x",
        "Authorization: a.b.c",
        "Authorization: a.bm90IGpzb24.c",
        "Authorization: a.e30.c",
        "Authorization: Basic dTpw"
      })
  void whatCannotBeATokenOfAPodIsRefusedWithoutAQuestion(String header) throws IOException {
    assertThat(ask(header).status()).isEqualTo(401);
    assertThat(test.reviewed).isEmpty();
  }

  @Test
  void aTokenForSomebodyElseOrThatHasEndedIsRefusedWithoutAQuestion() throws IOException {
    for (String token :
        List.of(
            token(agent.uid(), "a", "https://kubernetes.default.svc", 600),
            token(agent.uid(), "a", TestProxy.AUDIENCE, -1),
            token(agent.uid(), "a".repeat(Bearers.LONGEST), TestProxy.AUDIENCE, 600))) {
      assertThat(ask("Authorization: " + token).status()).isEqualTo(401);
    }
    assertThat(ask("Authorization: " + known(agent, "a"), "Authorization: b").status())
        .isEqualTo(401);
    assertThat(test.reviewed).isEmpty();
  }

  @Test
  void aFloodOfForgedTokensDoesNotReachTheApiServer() throws IOException {
    int tryAgain = 0;
    for (int i = 0; i < 60; i++) {
      String forged = token(agent.uid(), "forged" + i, TestProxy.AUDIENCE, 600);
      tryAgain += ask("Authorization: " + forged).status() == 503 ? 1 : 0;
    }

    assertThat(test.reviewed).hasSize(20);
    assertThat(tryAgain).isEqualTo(40);
  }

  @Test
  void thePodMustBeOneOfThisNodesAndLive() throws IOException {
    Pod elsewhere = FakeNode.pod("kube-system", "elsewhere", "10.0.0.2");
    assertThat(ask("Authorization: " + known(elsewhere, "a")).status()).isEqualTo(503);
    test.tokens.put(
        token(agent.uid(), "renamed", TestProxy.AUDIENCE, 600),
        new TokenReviews.Verdict.Genuine("kube-system", "other", agent.uid()));
    assertThat(
            ask("Authorization: " + token(agent.uid(), "renamed", TestProxy.AUDIENCE, 600))
                .status())
        .isEqualTo(503);

    String token = known(agent, "b");
    assertThat(ask("Authorization: " + token).status()).isEqualTo(200);
    test.node.put(FakeNode.inPhase(agent, Pod.Phase.SUCCEEDED));
    assertThat(ask("Authorization: " + token).status()).isEqualTo(503);
  }

  @Test
  void aPodWithoutARoleGetsNone() throws IOException {
    Pod plain =
        IdentityConformanceTest.onHostNetwork(FakeNode.pod("kube-system", "plain", "10.0.0.1"));
    test.node.put(plain);

    Response response = ask("Authorization: " + known(plain, "a"));

    assertThat(response.status()).isEqualTo(404);
    assertThat(response.body()).contains("\"code\":\"no_role\"");
  }

  @Test
  void thereIsNothingElse() throws IOException {
    String authorization = "Authorization: " + known(agent, "a");
    for (String path :
        List.of(
            "/",
            "/v1/credentials/",
            "/v1/credentials?x",
            "//v1/credentials",
            "/v1/%63redentials",
            "/latest/meta-data/iam/security-credentials/",
            "/latest/api/token",
            "/metrics")) {
      assertThat(send("GET", path, authorization).status()).as(path).isEqualTo(404);
    }
    assertThat(send("POST", ContainerDoor.PATH, authorization).status()).isEqualTo(405);
    assertThat(send("HEAD", ContainerDoor.PATH, authorization).status()).isEqualTo(200);
    assertThat(ask(authorization, "X-Forwarded-For: 10.0.0.1").status()).isEqualTo(403);
    try (var client = new PodClient(HOST, address())) {
      assertThat(
              client
                  .raw(
                      "GET",
                      "GET /v1/credentials HTTP/1.1\r\nHost: evil.example\r\n"
                          + authorization
                          + "\r\n\r\n")
                  .status())
          .isEqualTo(403);
    }
    assertThat(test.reviewed).hasSize(1);
  }

  @Test
  void theInstanceMetadataIsNotOpenToTheHost() throws IOException {
    assertThat(test.ask(HOST, "GET", "/latest/meta-data/iam/security-credentials/").status())
        .isEqualTo(403);
    assertThat(test.ask(HOST, "GET", ContainerDoor.PATH).status()).isEqualTo(404);
  }

  private InetSocketAddress address() {
    return test.proxy().containerAddresses().getFirst();
  }

  private Response ask(String... headers) throws IOException {
    return send("GET", ContainerDoor.PATH, headers);
  }

  private Response send(String method, String path, String... headers) throws IOException {
    try (var client = new PodClient(HOST, address())) {
      String lines = String.join("\r\n", headers);
      URI uri = URI.create("http://127.0.0.1:" + address().getPort());
      return client.raw(
          method,
          "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n"
              .formatted(method, path, uri.getAuthority(), lines));
    }
  }

  /** A token that the API server finds good; each signature is one of its own. */
  private String known(Pod pod, String signature) {
    String token = token(pod.uid(), signature, TestProxy.AUDIENCE, 600);
    test.tokens.put(
        token, new TokenReviews.Verdict.Genuine(pod.namespace(), pod.name(), pod.uid()));
    return token;
  }

  private String token(String uid, String signature, String audience, long secondsLeft) {
    String claims =
        "{\"aud\":[\"%s\"],\"exp\":%d,\"kubernetes.io\":{\"pod\":{\"name\":\"p\",\"uid\":\"%s\"}}}"
            .formatted(audience, test.time.now().getEpochSecond() + secondsLeft, uid);
    return encoded("{\"alg\":\"RS256\"}") + "." + encoded(claims) + "." + signature;
  }

  private static String encoded(String json) {
    return Base64.getUrlEncoder()
        .withoutPadding()
        .encodeToString(json.getBytes(StandardCharsets.UTF_8));
  }
}
