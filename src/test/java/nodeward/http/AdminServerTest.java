package nodeward.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.Counter;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import nodeward.config.Address;
import nodeward.config.Config;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AdminServerTest {
  private final Source source = new Source();
  private final Metrics metrics = new Metrics("1.2.3", Instant.parse("2026-11-21T08:00:00Z"));
  private final AdminServer server =
      new AdminServer(
          new Config.Admin(Address.parse("127.0.0.1:0"), Optional.empty()), metrics, source);

  @BeforeEach
  void start() throws IOException {
    server.start();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void readyzTellsWhyNot() throws IOException {
    assertThat(get("/readyz")).isEqualTo("200 ok\n");

    source.troubles.add("gate: the API server is away");

    assertThat(get("/readyz")).isEqualTo("503 gate: the API server is away\n");
    assertThat(get("/healthz")).isEqualTo("200 ok\n");
  }

  @Test
  void healthzFailsWhenAPartHangs() throws IOException {
    source.alive = false;

    assertThat(get("/healthz")).startsWith("503 ");
  }

  @Test
  void metricsAreInPrometheusTextFormat() throws IOException {
    Counter.build("nodeward_test_total", "A test.").register(metrics.registry()).inc(3);

    assertThat(get("/metrics"))
        .startsWith("200 ")
        .contains("# TYPE nodeward_test_total counter\nnodeward_test_total 3.0\n")
        .contains("nodeward_build_info{version=\"1.2.3\",} 1.0\n")
        .contains("process_start_time_seconds 1.795248E9\n")
        .doesNotContain("_created");
  }

  @Test
  void thePageEscapesWhatItShows() throws IOException {
    source.gate.put("missing", Map.of("<script>alert(1)</script>", "a & \"b\""));

    assertThat(get("/"))
        .contains("Nodeward on node-1")
        .contains("&lt;script&gt;alert(1)&lt;/script&gt;: a &amp; &quot;b&quot;")
        .doesNotContain("<script>");
  }

  @Test
  void theStatusIsJson() throws IOException {
    assertThat(get("/status")).isEqualTo("200 " + Source.JSON + "\n");
  }

  @ParameterizedTest
  @CsvSource({"GET,/nothing,404", "GET,/metrics/x,404", "POST,/metrics,405", "DELETE,/,405"})
  void whatIsNotThereIsRefused(String method, String path, int code) throws IOException {
    var connection = open(path);
    connection.setRequestMethod(method);
    assertThat(connection.getResponseCode()).isEqualTo(code);
  }

  @Test
  void aBusyPortIsNamed() {
    var second =
        new AdminServer(
            new Config.Admin(
                Address.parse("127.0.0.1:" + server.address().getPort()), Optional.empty()),
            metrics,
            source);

    assertThatThrownBy(second::start)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("admin: cannot listen on 127.0.0.1:" + server.address().getPort());
    second.close();
  }

  private String get(String path) throws IOException {
    var connection = open(path);
    int code = connection.getResponseCode();
    try (var in = code < 400 ? connection.getInputStream() : connection.getErrorStream()) {
      return code + " " + new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private HttpURLConnection open(String path) throws IOException {
    var uri = URI.create("http://127.0.0.1:" + server.address().getPort() + path);
    return (HttpURLConnection) uri.toURL().openConnection();
  }

  /** A status that a test can change. */
  static final class Source implements StatusSource {
    static final String JSON =
        "{\"node\":\"node-1\",\"ready\":true,\"components\":{\"gate\":{\"health\":\"ok\"}}}";

    final List<String> troubles = new ArrayList<>();
    final SequencedMap<String, Object> gate = new LinkedHashMap<>();
    boolean alive = true;

    Source() {
      gate.put("health", "ok");
    }

    @Override
    public SequencedMap<String, Object> explain(String namespace, String pod) {
      var steps = new LinkedHashMap<String, Object>();
      steps.put("pod", namespace + "/" + pod);
      return steps;
    }

    @Override
    public SequencedMap<String, Object> status() {
      var status = new LinkedHashMap<String, Object>();
      status.put("node", "node-1");
      status.put("ready", true);
      status.put("components", Map.of("gate", gate));
      return status;
    }

    @Override
    public List<String> troubles() {
      return troubles;
    }

    @Override
    public boolean alive() {
      return alive;
    }
  }
}
