package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import mockwebserver3.MockResponse;
import mockwebserver3.MockWebServer;
import nodeward.metadata.TokenReviews.Verdict;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The statuses are those that kube-apiserver 1.34 answers with, see RealApiServerContractTest. */
class KubeTokenReviewsTest {
  private static final String EXTRA =
      "\"extra\":{\"authentication.kubernetes.io/node-name\":[\"n\"],"
          + "\"authentication.kubernetes.io/pod-name\":[\"web\"],"
          + "\"authentication.kubernetes.io/pod-uid\":[\"uid-1\"]}";
  private static final String USER =
      "\"user\":{\"username\":\"system:serviceaccount:shop:cart\"," + EXTRA + "}";

  @TempDir Path directory;
  private final MockWebServer api = new MockWebServer();
  private KubeClient kube;
  private KubeTokenReviews reviews;

  @BeforeEach
  void start() throws IOException {
    api.start();
    Path kubeconfig = directory.resolve("kubeconfig");
    Files.writeString(
        kubeconfig,
        """
        apiVersion: v1
        kind: Config
        clusters: [{name: c, cluster: {server: "http://127.0.0.1:%d"}}]
        users: [{name: u, user: {token: t}}]
        contexts: [{name: x, context: {cluster: c, user: u}}]
        current-context: x
        """
            .formatted(api.getPort()));
    kube =
        Scene.client(
            Scene.config(kubeconfig.toString(), Duration.ofSeconds(10), Duration.ofSeconds(10)),
            "1.2.3",
            Map.of(),
            new CollectorRegistry());
    reviews = new KubeTokenReviews(kube);
  }

  @AfterEach
  void stop() throws IOException {
    kube.close();
    api.close();
  }

  @Test
  void aTokenOfAPodTellsThePod() throws Exception {
    answer(201, "{\"status\":{\"authenticated\":true,\"audiences\":[\"us\"]," + USER + "}}");

    assertThat(reviews.review("the.token.itself", "us"))
        .isEqualTo(new Verdict.Genuine("shop", "web", "uid-1"));

    var request = api.takeRequest();
    assertThat(request.getMethod()).isEqualTo("POST");
    assertThat(request.getTarget()).isEqualTo("/apis/authentication.k8s.io/v1/tokenreviews");
    var spec = new ObjectMapper().readTree(request.getBody().utf8()).path("spec");
    assertThat(spec.path("token").asText()).isEqualTo("the.token.itself");
    assertThat(spec.path("audiences").toString()).isEqualTo("[\"us\"]");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "{\"status\":{\"authenticated\":false,\"error\":\"token audiences [x] is invalid\"}}",
        "{\"status\":{\"authenticated\":true," + USER + "}}",
        "{\"status\":{\"authenticated\":true,\"audiences\":[\"other\"]," + USER + "}}",
        "{\"status\":{\"authenticated\":true,\"audiences\":[\"us\"],"
            + "\"user\":{\"username\":\"system:serviceaccount:shop:cart\"}}}",
        "{\"status\":{\"authenticated\":true,\"audiences\":[\"us\"],"
            + "\"user\":{\"username\":\"system:node:n\","
            + EXTRA
            + "}}}",
        "{\"status\":{\"authenticated\":true,\"audiences\":[\"us\"],"
            + "\"user\":{\"username\":\"system:serviceaccount:shop\","
            + EXTRA
            + "}}}"
      })
  void everythingElseIsRefused(String status) throws IOException {
    answer(201, status);

    assertThat(reviews.review("t", "us")).isInstanceOf(Verdict.Refused.class);
  }

  @Test
  void anApiServerThatDoesNotAnswerRefusesNobody() {
    answer(403, "{\"kind\":\"Status\",\"message\":\"tokenreviews is forbidden\"}");

    assertThatThrownBy(() -> reviews.review("the.token.itself", "us"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("tokenreviews is forbidden")
        .hasMessageNotContaining("the.token.itself");
  }

  private void answer(int code, String body) {
    api.enqueue(
        new MockResponse.Builder()
            .code(code)
            .addHeader("Content-Type", "application/json")
            .body(body)
            .build());
  }
}
