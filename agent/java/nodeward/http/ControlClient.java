package nodeward.http;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URLEncoder;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/** Asks the agent on this node over its control socket. */
public final class ControlClient {
  private static final Duration LIMIT = Duration.ofSeconds(5);
  private static final int MOST = 1 << 20;

  private final Path socket;

  public ControlClient(Path socket) {
    this.socket = socket;
  }

  /** The body of the answer; whatever keeps it from being had is said in the exception. */
  public String get(String path) throws IOException {
    return ask("GET", path);
  }

  /** Gives an order; the answer is a line for people. */
  public String post(String path, Map<String, String> parameters) throws IOException {
    var query = new StringBuilder();
    parameters.forEach(
        (name, value) ->
            query
                .append(query.isEmpty() ? '?' : '&')
                .append(name)
                .append('=')
                .append(URLEncoder.encode(value, StandardCharsets.UTF_8)));
    return ask("POST", path + query);
  }

  private String ask(String method, String path) throws IOException {
    if (!Files.exists(socket)) {
      throw new IOException(
          "no agent runs here: there is no control socket %s (agent run makes it)"
              .formatted(socket));
    }
    try (var channel = SocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
      Thread limit = Thread.ofVirtual().start(() -> closeAfter(channel));
      try {
        channel.connect(UnixDomainSocketAddress.of(socket));
        String request =
            method + " " + path + " HTTP/1.1\r\nHost: nodeward\r\nConnection: close\r\n\r\n";
        channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
        return body(readAll(channel));
      } finally {
        limit.interrupt();
      }
    } catch (AsynchronousCloseException e) {
      throw new IOException(
          "the agent behind %s did not answer within %d s".formatted(socket, LIMIT.toSeconds()), e);
    } catch (ConnectException e) {
      throw new IOException("no agent runs here: nobody answers on " + socket, e);
    } catch (java.net.SocketException e) {
      throw new IOException("%s: %s".formatted(socket, e.getMessage()), e);
    }
  }

  private static String readAll(SocketChannel channel) throws IOException {
    var all = new java.io.ByteArrayOutputStream();
    var buffer = ByteBuffer.allocate(8192);
    while (channel.read(buffer) >= 0) {
      all.write(buffer.array(), 0, buffer.position());
      buffer.clear();
      if (all.size() > MOST) {
        throw new IOException("the answer is over " + MOST + " bytes");
      }
    }
    return all.toString(StandardCharsets.UTF_8);
  }

  private static String body(String answer) throws IOException {
    int end = answer.indexOf("\r\n\r\n");
    if (end < 0) {
      throw new IOException("the agent's answer ended early");
    }
    String body = answer.substring(end + 4);
    if (!answer.startsWith("HTTP/1.1 200 ")) {
      throw new IOException(body.strip());
    }
    return body;
  }

  private static void closeAfter(SocketChannel channel) {
    try {
      Thread.sleep(LIMIT);
      channel.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
