package nodeward.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import nodeward.component.FakeTime;
import nodeward.component.Loop;
import nodeward.config.Config;
import nodeward.config.Secret;
import nodeward.termination.Notice;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Notifier.Message;
import nodeward.termination.Notifier.Moment;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class WebhookTest {
  private static final Instant NOW = Instant.parse("2026-11-21T08:00:00Z");
  private static final Message MESSAGE =
      new Message(
          Moment.FAILED,
          "node-1",
          new Notice(Kind.SPOT, "spot:1", "terminate", NOW.plusSeconds(120), "a \"note\""),
          NOW.plusSeconds(110),
          "pods left: 1",
          NOW);

  private final List<String> heard = new CopyOnWriteArrayList<>();
  private volatile int code = 200;
  private HttpServer server;

  @BeforeEach
  void start() throws IOException {
    server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext(
        "/",
        exchange -> {
          String body =
              new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
          heard.add(
              "%s %s %s %s"
                  .formatted(
                      exchange.getRequestMethod(),
                      exchange.getRequestURI(),
                      exchange.getRequestHeaders().getFirst("Authorization"),
                      body));
          exchange.sendResponseHeaders(code, -1);
          exchange.close();
        });
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  @Test
  void postsWhatSlackTakes() throws Exception {
    Webhook webhook = webhook("", Optional.empty());
    webhook.tell(MESSAGE);

    assertThat(webhook.pass(NOW)).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(heard).hasSize(1);
    assertThat(heard.getFirst()).startsWith("POST /T0/secret Bearer secret {");
    String body = heard.getFirst().substring(heard.getFirst().indexOf('{'));
    assertThat(JsonMapper.builder().build().readTree(body).path("text").asText())
        .isEqualTo(
            "[nodeward] failed: node node-1, spot terminate at 2026-11-21T08:02:00Z, deadline"
                + " 2026-11-21T08:01:50Z (pods left: 1)");
  }

  @Test
  void aTemplateOfOnesOwnIsFilledInAsJson() {
    Webhook webhook =
        webhook(
            "{\"a\":\"{{.Kind}} {{ .EventID }}\",\"b\":\"{{.Description}}\",\"c\":\"{{.No}}\"}",
            Optional.empty());

    assertThat(webhook.body(MESSAGE))
        .isEqualTo("{\"a\":\"spot spot:1\",\"b\":\"a \\\"note\\\"\",\"c\":\"{{.No}}\"}");
  }

  @Test
  void triesFiveTimesThenGivesUpThatMessageAndGoesOn() throws Exception {
    Webhook webhook = webhook("", Optional.empty());
    code = 503;
    webhook.tell(MESSAGE);
    for (int i = 0; i < 4; i++) {
      assertThatThrownBy(() -> webhook.pass(NOW)).hasMessage("the webhook answered 503");
    }
    webhook.pass(NOW);
    assertThat(heard).hasSize(5);

    code = 200;
    webhook.tell(MESSAGE);
    webhook.pass(NOW);

    assertThat(heard).hasSize(6);
  }

  @Test
  void aFailureDoesNotShowTheUrl() {
    server.stop(0);
    Webhook webhook = webhook("", Optional.empty());
    webhook.tell(MESSAGE);

    assertThatThrownBy(() -> webhook.pass(NOW))
        .isInstanceOf(IOException.class)
        .hasMessageNotContaining("secret")
        .hasMessageContaining("ConnectException");
  }

  @Test
  void goesThroughTheProxyThatIsConfigured() throws Exception {
    URI proxy = URI.create("http://127.0.0.1:" + server.getAddress().getPort());
    var config =
        new Config.Termination.Webhook(
            Optional.of(new Secret("http://far.example/hook")), Optional.of(proxy), List.of(), "");
    var webhook = new Webhook(config, config.url().get(), Duration.ofSeconds(1), new FakeTime());
    webhook.tell(MESSAGE);

    webhook.pass(NOW);

    assertThat(heard).singleElement().asString().startsWith("POST http://far.example/hook");
  }

  private Webhook webhook(String template, Optional<URI> proxy) {
    var url = new Secret("http://127.0.0.1:" + server.getAddress().getPort() + "/T0/secret");
    var config =
        new Config.Termination.Webhook(
            Optional.of(url), proxy, List.of(new Secret("Authorization: Bearer secret")), template);
    return new Webhook(config, url, Duration.ofSeconds(1), new FakeTime());
  }
}
