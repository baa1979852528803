package nodeward.http;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.concurrent.Executors;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.HttpLimits;
import nodeward.config.Address;
import nodeward.config.Config;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The status page, {@code /status}, {@code /healthz}, {@code /readyz} and {@code /metrics} over
 * HTTP; a second address, when configured, serves {@code /metrics} alone. Read-only; requests run
 * on virtual threads.
 */
public final class AdminServer implements Component {
  private static final Logger log = LoggerFactory.getLogger(AdminServer.class);
  private static final int BACKLOG = 64;

  private final Config.Admin config;
  private final Metrics metrics;
  private final StatusSource source;
  private final JsonMapper json = JsonMapper.builder().build();
  private final List<HttpServer> servers = new ArrayList<>();

  public AdminServer(Config.Admin config, Metrics metrics, StatusSource source) {
    this.config = config;
    this.metrics = metrics;
    this.source = source;
  }

  @Override
  public String name() {
    return "admin";
  }

  @Override
  public void start() throws IOException {
    HttpServer admin = listen(config.listen().socket());
    route(admin, "/", this::page);
    route(admin, "/status", this::status);
    route(admin, "/healthz", this::healthz);
    route(admin, "/readyz", this::readyz);
    route(admin, "/metrics", this::metrics);
    admin.start();
    log.info("admin: listening address={}", text(address()));
    if (config.metricsListen().isPresent()) {
      HttpServer second = listen(config.metricsListen().get().socket());
      route(second, "/metrics", this::metrics);
      second.start();
      log.info("admin: metrics listening address={}", config.metricsListen().get());
    }
  }

  /** Where it listens; the port is the real one where the configured one is 0. */
  public InetSocketAddress address() {
    return servers.getFirst().getAddress();
  }

  @Override
  public Health health() {
    return servers.isEmpty() ? Health.degraded("not listening") : Health.healthy();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    if (!servers.isEmpty()) {
      status.put("address", text(address()));
    }
    return status;
  }

  @Override
  public void close() {
    servers.forEach(server -> server.stop(0));
    servers.clear();
  }

  private static String text(InetSocketAddress address) {
    return new Address(address.getAddress(), address.getPort()).toString();
  }

  private HttpServer listen(InetSocketAddress address) throws IOException {
    HttpLimits.apply();
    HttpServer server;
    try {
      server = HttpServer.create(address, BACKLOG);
    } catch (IOException e) {
      throw new IOException(
          "admin: cannot listen on %s:%d: %s"
              .formatted(address.getHostString(), address.getPort(), e.getMessage()),
          e);
    }
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    servers.add(server);
    return server;
  }

  /** The path exactly; anything below it is 404, anything but GET and HEAD 405. */
  private static void route(HttpServer server, String path, HttpHandler handler) {
    server.createContext(
        path,
        exchange -> {
          try (exchange) {
            if (!exchange.getRequestURI().getPath().equals(path)) {
              answer(exchange, 404, "text/plain", "there is no such page\n");
            } else if (!List.of("GET", "HEAD").contains(exchange.getRequestMethod())) {
              answer(exchange, 405, "text/plain", "only GET and HEAD\n");
            } else {
              handler.handle(exchange);
            }
          } catch (RuntimeException e) {
            log.warn("admin: request failed path={}", path, e);
          }
        });
  }

  private void page(HttpExchange exchange) throws IOException {
    answer(exchange, 200, "text/html", StatusPage.html(source.status()));
  }

  private void status(HttpExchange exchange) throws IOException {
    answer(exchange, 200, "application/json", json.writeValueAsString(source.status()) + "\n");
  }

  private void healthz(HttpExchange exchange) throws IOException {
    boolean alive = source.alive();
    answer(exchange, alive ? 200 : 503, "text/plain", alive ? "ok\n" : "a part hangs\n");
  }

  private void readyz(HttpExchange exchange) throws IOException {
    List<String> troubles = source.troubles();
    if (troubles.isEmpty()) {
      answer(exchange, 200, "text/plain", "ok\n");
    } else {
      answer(exchange, 503, "text/plain", String.join("\n", troubles) + "\n");
    }
  }

  private void metrics(HttpExchange exchange) throws IOException {
    answer(exchange, 200, Metrics.CONTENT_TYPE, metrics.text());
  }

  private static void answer(HttpExchange exchange, int code, String type, String body)
      throws IOException {
    answer(exchange, code, type + "; charset=utf-8", body.getBytes(StandardCharsets.UTF_8));
  }

  private static void answer(HttpExchange exchange, int code, String type, byte[] body)
      throws IOException {
    exchange.getResponseHeaders().set("Content-Type", type);
    exchange.getResponseHeaders().set("Cache-Control", "no-store");
    exchange.getResponseHeaders().set("X-Content-Type-Options", "nosniff");
    boolean head = exchange.getRequestMethod().equals("HEAD");
    exchange.sendResponseHeaders(code, head || body.length == 0 ? -1 : body.length);
    if (!head) {
      exchange.getResponseBody().write(body);
    }
  }
}
