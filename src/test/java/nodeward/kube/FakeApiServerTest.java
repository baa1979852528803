package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What other clients than the adapter, and the simulator, use of the fake API server. */
class FakeApiServerTest {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private final HttpClient http = HttpClient.newHttpClient();
  private FakeApiServer api;

  @BeforeEach
  void start() throws IOException {
    api = FakeApiServer.start();
  }

  @AfterEach
  void stop() throws IOException {
    http.shutdownNow();
    api.close();
  }

  @Test
  void itTellsItsVersionAndThatItIsReady() throws Exception {
    assertThat(get("/version").path("gitVersion").asText()).startsWith("v1.");
    assertThat(text("/readyz")).isEqualTo("ok");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          app=a                | a1 a2
          app==a               | a1 a2
          app!=a               | b none
          app in (a, b)        | a1 a2 b
          app notin (a)        | b none
          app                  | a1 a2 b
          !app                 | none
          app=a,tier=front     | a1
          app in (a),!tier     | a2
          """)
  void labelSelectors(String selector, String expected) throws Exception {
    api.put(
        """
        {kind: Pod, metadata: {name: a1, labels: {app: a, tier: front}}}
        ---
        {kind: Pod, metadata: {name: a2, labels: {app: a}}}
        ---
        {kind: Pod, metadata: {name: b, labels: {app: b}}}
        ---
        {kind: Pod, metadata: {name: none}}
        """);

    assertThat(names(get("/api/v1/pods?labelSelector=" + encode(selector))))
        .containsExactly(expected.split(" "));
  }

  @Test
  void listsComeInPagesUntilTheirTokenIsForgotten() throws Exception {
    for (int i = 0; i < 5; i++) {
      api.put("{kind: DaemonSet, metadata: {namespace: kube-system, name: d%d}}".formatted(i));
    }

    JsonNode first = get("/apis/apps/v1/namespaces/kube-system/daemonsets?limit=2");
    String path = "/apis/apps/v1/daemonsets?limit=2&continue=";
    JsonNode second = get(path + first.at("/metadata/continue").asText());
    JsonNode third = get(path + second.at("/metadata/continue").asText());
    api.put("{kind: DaemonSet, metadata: {name: other}}");
    api.forgetHistory();
    JsonNode late = get(path + first.at("/metadata/continue").asText());

    assertThat(names(first)).containsExactly("d0", "d1");
    assertThat(first.at("/metadata/remainingItemCount").asInt()).isEqualTo(3);
    assertThat(names(second)).containsExactly("d2", "d3");
    assertThat(names(third)).containsExactly("d4");
    assertThat(third.at("/metadata").has("continue")).isFalse();
    assertThat(late.path("code").asInt()).isEqualTo(410);
    assertThat(late.path("reason").asText()).isEqualTo("Expired");
  }

  @Test
  void aWatchOverPlainHttpTellsChangesBookmarksAndThatItsVersionIsForgotten() throws Exception {
    api.put("{kind: Pod, metadata: {name: a}, spec: {nodeName: n}}");
    String version = get("/api/v1/pods").at("/metadata/resourceVersion").asText();
    String path =
        "/api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dn";

    var frames = new ArrayList<String>();
    try (InputStream in = stream(path + "&resourceVersion=" + version)) {
      var lines = new Scanner(in, StandardCharsets.UTF_8);
      Await.until("the watch is open", () -> api.watches() == 1);
      api.edit("pods", "default", "a", p -> p.withObject("/status").put("phase", "Running"));
      api.put("{kind: Pod, metadata: {name: b}, spec: {nodeName: other}}");
      api.sendBookmarks();
      api.delete("pods", "default", "a");
      api.forgetHistory();
      while (lines.hasNextLine()) {
        frames.add(lines.nextLine());
      }
    }

    assertThat(frames)
        .extracting(f -> MAPPER.readTree(f).path("type").asText())
        .containsExactly("MODIFIED", "BOOKMARK", "DELETED", "ERROR");
    assertThat(MAPPER.readTree(frames.getLast()).at("/object/code").asInt()).isEqualTo(410);
    Await.until("the watch is closed", () -> api.watches() == 0);
  }

  @Test
  void aSimulatedKubeletHearsOfChangesAndEndsPodsInTheirTime() throws Exception {
    var heard = new CopyOnWriteArrayList<String>();
    api.onChange(c -> heard.add(c.type() + " " + c.object().at("/metadata/name").asText()));
    api.put("{kind: Pod, metadata: {name: a}, spec: {nodeName: n}, status: {phase: Running}}");

    send("DELETE", "/api/v1/namespaces/default/pods/a", "{\"gracePeriodSeconds\": 5}");
    api.endTerminating(Instant.now());
    boolean before = api.get("pods", "default", "a").isPresent();
    api.endTerminating(Instant.now().plusSeconds(6));

    assertThat(before).isTrue();
    assertThat(api.get("pods", "default", "a")).isEmpty();
    Await.until("all is heard", () -> heard.size() == 3);
    assertThat(heard).containsExactly("ADDED a", "MODIFIED a", "DELETED a");
  }

  @Test
  void aPodOnNoNodeEndsAtOnce() throws Exception {
    api.put("{kind: Pod, metadata: {name: a}}");

    send("DELETE", "/api/v1/namespaces/default/pods/a", "");

    assertThat(api.get("pods", "default", "a")).isEmpty();
  }

  @Test
  void leasesAreKeptLikeEverythingElse() throws Exception {
    String path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

    JsonNode made =
        send("POST", path, "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"holderIdentity\":\"n\"}}");
    JsonNode again = send("POST", path, "{\"metadata\":{\"name\":\"n\"}}");
    String renewed =
        made.toString().replace("\"holderIdentity\":\"n\"", "\"holderIdentity\":\"m\"");
    JsonNode put = send("PUT", path + "/n", renewed);
    JsonNode stale = send("PUT", path + "/n", made.toString());

    assertThat(made.at("/metadata/uid").asText()).isNotEmpty();
    assertThat(again.path("reason").asText()).isEqualTo("AlreadyExists");
    assertThat(put.at("/spec/holderIdentity").asText()).isEqualTo("m");
    assertThat(stale.path("reason").asText()).isEqualTo("Conflict");
  }

  @Test
  void whatIsNotServedIsNotFound() throws Exception {
    assertThat(get("/apis/batch/v1/jobs").path("code").asInt()).isEqualTo(404);
    assertThat(get("/api/v1/secrets").path("code").asInt()).isEqualTo(404);
    assertThat(get("/nonsense").path("code").asInt()).isEqualTo(404);
  }

  @Test
  void aDelayHoldsAnswersBack() throws Exception {
    api.delay(Duration.ofMillis(200));
    long start = System.nanoTime();

    get("/version");

    assertThat(Duration.ofNanos(System.nanoTime() - start)).isGreaterThan(Duration.ofMillis(190));
  }

  private static List<String> names(JsonNode list) {
    return list.path("items").findValues("metadata").stream()
        .map(m -> m.path("name").asText())
        .toList();
  }

  private JsonNode get(String path) throws Exception {
    return MAPPER.readTree(text(path));
  }

  private String text(String path) throws Exception {
    return http.send(request(path).build(), HttpResponse.BodyHandlers.ofString()).body();
  }

  private JsonNode send(String method, String path, String body) throws Exception {
    HttpRequest request =
        request(path)
            .method(method, HttpRequest.BodyPublishers.ofString(body))
            .header("Content-Type", "application/json")
            .build();
    return MAPPER.readTree(http.send(request, HttpResponse.BodyHandlers.ofString()).body());
  }

  private InputStream stream(String path) throws Exception {
    return http.send(request(path).build(), HttpResponse.BodyHandlers.ofInputStream()).body();
  }

  private HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(URI.create(api.uri() + path)).timeout(Duration.ofSeconds(10));
  }

  private static String encode(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8);
  }
}
