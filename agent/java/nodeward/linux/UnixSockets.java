package nodeward.linux;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.InetAddress;
import java.net.Proxy;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import nodeward.component.UnconnectedSockets;
import okhttp3.Call;
import okhttp3.ConnectionPool;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.Response;

/**
 * HTTP to the daemons of the node, over their Unix sockets. Each call has a connection of its own,
 * so that it also tries whether the daemon still accepts one, and a deadline for all of it: a
 * frozen daemon's kernel accepts connections and bytes, only the clock tells that nobody answers.
 */
final class UnixSockets {
  /** The host of the URLs; the socket is chosen by its path. */
  static final String URL = "http://localhost";

  private UnixSockets() {}

  /** A client that speaks this protocol, and no other, to the daemon behind the socket. */
  static OkHttpClient client(Path socket, Protocol protocol) {
    return new OkHttpClient.Builder()
        .socketFactory(new UnconnectedSockets(() -> new UnixSocket(socket)))
        .protocols(List.of(protocol))
        .proxy(Proxy.NO_PROXY)
        .dns(host -> List.of(InetAddress.getLoopbackAddress()))
        .connectionPool(new ConnectionPool(0, 1, TimeUnit.SECONDS))
        .retryOnConnectionFailure(false)
        .followRedirects(false)
        .fastFallback(false)
        // The call's own deadline is the only one.
        .connectTimeout(Duration.ZERO)
        .readTimeout(Duration.ZERO)
        .writeTimeout(Duration.ZERO)
        .build();
  }

  /** What is made of a response. */
  @FunctionalInterface
  interface Reader<T> {
    T read(Response response) throws IOException;
  }

  /**
   * Sends the request and reads the response within the limit.
   *
   * @throws SocketTimeoutException when the daemon has not answered by then
   */
  static <T> T call(
      OkHttpClient client, Request request, Path socket, Duration limit, Reader<T> reader)
      throws IOException {
    Call call = client.newCall(request);
    call.timeout().timeout(limit.toNanos(), TimeUnit.NANOSECONDS);
    long start = System.nanoTime();
    String what = request.method() + " " + request.url().encodedPath() + " at " + socket;
    try (Response response = call.execute()) {
      return reader.read(response);
    } catch (IOException e) {
      boolean late = System.nanoTime() - start >= limit.toNanos();
      if (late
          || (e instanceof InterruptedIOException && !Thread.currentThread().isInterrupted())) {
        var timeout = new SocketTimeoutException(what + " was not answered within " + shown(limit));
        timeout.initCause(e);
        throw timeout;
      }
      throw new IOException(what + " failed: " + e.getMessage(), e);
    }
  }

  /** A limit as messages tell it. */
  static String shown(Duration limit) {
    return limit.toMillis() % 1000 == 0 ? limit.toSeconds() + " s" : limit.toMillis() + " ms";
  }
}
