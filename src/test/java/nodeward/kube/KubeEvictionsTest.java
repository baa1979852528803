package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import nodeward.node.Evicted;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The answers that {@link ApiServerContract} cannot call forth, and what is sent. */
class KubeEvictionsTest {
  @TempDir Path directory;
  private Scene scene;
  private KubeEvictions evictions;
  private Pod pod;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory);
    evictions = new KubeEvictions(scene.kube);
    scene.putPod("a", Scene.NODE);
    pod = scene.pods.read().getFirst();
    scene.api.clearRequests();
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void oneRequestGoesOutWithTheUidAsPrecondition() throws IOException {
    evictions.evict(pod);
    evictions.tryEvict(pod);

    assertThat(scene.api.requests())
        .extracting(r -> r.method() + " " + r.path())
        .containsOnly("POST /api/v1/namespaces/default/pods/a/eviction")
        .hasSize(2);
    JsonNode real = json(scene.api.requests().get(0).body());
    JsonNode dry = json(scene.api.requests().get(1).body());
    assertThat(real)
        .isEqualTo(
            json(
                """
                {"apiVersion": "policy/v1", "kind": "Eviction",
                 "metadata": {"namespace": "default", "name": "a"},
                 "deleteOptions": {"preconditions": {"uid": "%s"}}}
                """
                    .formatted(pod.uid())));
    assertThat(dry.at("/deleteOptions/dryRun/0").asText()).isEqualTo("All");
    assertThat(dry.at("/deleteOptions/preconditions/uid").asText()).isEqualTo(pod.uid());
  }

  @Test
  void anOverloadedApiServerBlocks() throws IOException {
    scene.api.answer(
        r -> true, 429, Map.of("Retry-After", "7"), "Too many requests, please try again later.\n");

    assertThat(evictions.evict(pod))
        .isEqualTo(
            new Evicted.Blocked(
                Evicted.By.SERVER,
                "Too many requests, please try again later.",
                Duration.ofSeconds(7)));
    assertThat(scene.api.requests()).hasSize(1);
  }

  @Test
  void otherRefusalsAreForGood() throws IOException {
    for (int status : new int[] {400, 403, 409, 422}) {
      scene.api.answer(r -> true, status, "Refused", "because of " + status);

      assertThat(evictions.evict(pod))
          .isEqualTo(new Evicted.Refused("because of %d (%d)".formatted(status, status)));
      scene.api.answerNormally();
    }
  }

  @Test
  void aFailureOfTheApiServerIsAnErrorAndNotTriedAgain() {
    for (int status : new int[] {500, 503, 504}) {
      scene.api.clearRequests();
      scene.api.answer(r -> true, status, "InternalError", "failed with " + status);

      assertThatThrownBy(() -> evictions.evict(pod))
          .isInstanceOf(IOException.class)
          .hasMessage("evict pod default/a: failed with %d (%d)".formatted(status, status));
      assertThat(scene.api.requests()).hasSize(1);
      scene.api.answerNormally();
    }
  }

  private static JsonNode json(String text) throws IOException {
    return new ObjectMapper().readTree(text);
  }
}
