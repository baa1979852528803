package nodeward.http;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.URLDecoder;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.concurrent.Semaphore;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nodeward.component.Component;
import nodeward.component.Health;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The control socket: HTTP/1.1 over a Unix socket that only its owner may open, one request a
 * connection, each on its own virtual thread. A client that is slow, silent or wrong is cut off and
 * disturbs nobody.
 */
public final class ControlServer implements Component {
  private static final Logger log = LoggerFactory.getLogger(ControlServer.class);
  private static final Pattern EXPLAIN =
      Pattern.compile("/explain/([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})");
  private static final int HEAD_LIMIT = 8192;
  private static final int CONNECTIONS = 16;
  private static final Duration REQUEST_LIMIT = Duration.ofSeconds(5);

  private final Path socket;
  private final StatusSource source;
  private final Map<String, Order> orders;
  private final Map<String, ControlPage> pages;
  private final JsonMapper json = JsonMapper.builder().build();
  private final Semaphore places = new Semaphore(CONNECTIONS);
  // Set by start and close, read by the accepting thread and health().
  private volatile @Nullable ServerSocketChannel server;

  /** What somebody who may open the socket wants done. */
  @FunctionalInterface
  public interface Order {
    /**
     * Returns a line for people at once. An {@link IllegalArgumentException} is a wrong parameter,
     * an {@link IllegalStateException} an order that cannot be taken now.
     */
    String take(Map<String, String> parameters);
  }

  public ControlServer(Path socket, StatusSource source) {
    this(socket, source, Map.of(), Map.of());
  }

  /** Takes orders by POST and serves more pages than the status, both by their paths. */
  public ControlServer(
      Path socket, StatusSource source, Map<String, Order> orders, Map<String, ControlPage> pages) {
    this.socket = socket;
    this.source = source;
    this.orders = Map.copyOf(orders);
    this.pages = Map.copyOf(pages);
  }

  @Override
  public String name() {
    return "control";
  }

  @Override
  public void start() throws IOException {
    Path directory = socket.toAbsolutePath().getParent();
    if (directory != null && !Files.isDirectory(directory)) {
      Files.createDirectories(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
    refuseSecondAgent();
    Files.deleteIfExists(socket);
    var channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      channel.bind(UnixDomainSocketAddress.of(socket));
      Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
    } catch (IOException e) {
      channel.close();
      throw new IOException(
          "control: cannot listen on %s: %s".formatted(socket, e.getMessage()), e);
    }
    server = channel;
    Thread.ofVirtual().name("control").start(() -> accept(channel));
    log.info("control: listening socket={}", socket);
  }

  @Override
  public Health health() {
    return server == null ? Health.degraded("not listening") : Health.healthy();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("socket", socket.toString());
    return status;
  }

  @Override
  public void close() {
    ServerSocketChannel channel = server;
    server = null;
    if (channel == null) {
      return;
    }
    try {
      channel.close();
      Files.deleteIfExists(socket);
    } catch (IOException e) {
      log.warn("control: socket={} could not be closed why=\"{}\"", socket, e.getMessage());
    }
  }

  private void refuseSecondAgent() throws IOException {
    if (!Files.exists(socket)) {
      return;
    }
    try (var other = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      throw new IOException("control: another agent answers on " + other.getRemoteAddress());
    } catch (java.net.ConnectException e) {
      log.debug("control: socket={} was left behind by an agent that is gone", socket);
    }
  }

  private void accept(ServerSocketChannel channel) {
    while (channel.isOpen()) {
      try {
        SocketChannel client = channel.accept();
        if (!places.tryAcquire()) {
          client.close();
          continue;
        }
        Thread.ofVirtual().name("control-request").start(() -> serve(client));
      } catch (ClosedChannelException e) {
        return;
      } catch (IOException e) {
        log.warn("control: accept failed why=\"{}\"", e.getMessage());
      }
    }
  }

  private void serve(SocketChannel client) {
    Thread limit =
        Thread.ofVirtual()
            .name("control-limit")
            .start(
                () -> {
                  try {
                    Thread.sleep(REQUEST_LIMIT);
                    client.close();
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                  } catch (IOException e) {
                    log.debug("control: close failed why=\"{}\"", e.getMessage());
                  }
                });
    try (client) {
      InputStream in = new BufferedInputStream(Channels.newInputStream(client));
      OutputStream out = Channels.newOutputStream(client);
      String head = head(in);
      String[] request = head.lines().findFirst().orElse("").split(" ", -1);
      if (request.length != 3 || !request[2].startsWith("HTTP/1.")) {
        answer(out, "400 Bad Request", "text/plain", "not an HTTP request\n");
        return;
      }
      String[] target = request[1].split("\\?", 2);
      Matcher explain = EXPLAIN.matcher(request[1]);
      boolean known = target[0].equals("/status") || pages.containsKey(target[0]);
      if (orders.containsKey(target[0])) {
        take(out, request[0], target);
      } else if (!known && !explain.matches()) {
        answer(out, "404 Not Found", "text/plain", "there is no " + request[1] + "\n");
      } else if (!request[0].equals("GET")) {
        answer(out, "405 Method Not Allowed", "text/plain", "only GET\n");
      } else if (explain.matches()) {
        String body = json.writeValueAsString(source.explain(explain.group(1), explain.group(2)));
        answer(out, "200 OK", "application/json", body + "\n");
      } else {
        page(out, target[0], query(target));
      }
    } catch (IOException e) {
      log.debug("control: request failed why=\"{}\"", e.getMessage());
    } finally {
      limit.interrupt();
      places.release();
    }
  }

  private void take(OutputStream out, String method, String[] target) throws IOException {
    if (!method.equals("POST")) {
      answer(out, "405 Method Not Allowed", "text/plain", "only POST\n");
      return;
    }
    try {
      String said = Objects.requireNonNull(orders.get(target[0])).take(parameters(query(target)));
      answer(out, "200 OK", "text/plain", said + "\n");
    } catch (IllegalArgumentException e) {
      answer(out, "400 Bad Request", "text/plain", e.getMessage() + "\n");
    } catch (IllegalStateException e) {
      answer(out, "409 Conflict", "text/plain", e.getMessage() + "\n");
    }
  }

  private void page(OutputStream out, String path, String query) throws IOException {
    Object shown;
    try {
      ControlPage page = pages.get(path);
      shown = page == null ? source.status() : page.shown(parameters(query));
    } catch (IllegalArgumentException e) {
      answer(out, "400 Bad Request", "text/plain", e.getMessage() + "\n");
      return;
    } catch (IOException e) {
      answer(out, "503 Service Unavailable", "text/plain", e.getMessage() + "\n");
      return;
    }
    answer(out, "200 OK", "application/json", json.writeValueAsString(shown) + "\n");
  }

  private static String query(String[] target) {
    return target.length < 2 ? "" : target[1];
  }

  private static Map<String, String> parameters(String query) {
    var parameters = new LinkedHashMap<String, String>();
    for (String pair : query.split("&", -1)) {
      if (!pair.isEmpty()) {
        String[] sides = pair.split("=", 2);
        String value = sides.length < 2 ? "" : sides[1];
        parameters.put(sides[0], URLDecoder.decode(value, StandardCharsets.UTF_8));
      }
    }
    return parameters;
  }

  /** The request line and the headers, up to the empty line. */
  private static String head(InputStream in) throws IOException {
    var head = new java.io.ByteArrayOutputStream();
    int newlines = 0;
    while (newlines < 2) {
      int b = in.read();
      if (b < 0) {
        break;
      }
      if (head.size() == HEAD_LIMIT) {
        throw new IOException("request head over " + HEAD_LIMIT + " bytes");
      }
      head.write(b);
      if (b == '\n') {
        newlines++;
      } else if (b != '\r') {
        newlines = 0;
      }
    }
    return head.toString(StandardCharsets.ISO_8859_1);
  }

  private static void answer(OutputStream out, String status, String type, String body)
      throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    String head =
        "HTTP/1.1 %s\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            .formatted(status, type, bytes.length);
    out.write(head.getBytes(StandardCharsets.ISO_8859_1));
    out.write(bytes);
    out.flush();
  }
}
