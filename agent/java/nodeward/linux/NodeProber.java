package nodeward.linux;

import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.Proxy;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import nodeward.config.Address;
import nodeward.config.Probe;
import nodeward.readiness.Prober;
import okhttp3.Call;
import okhttp3.ConnectionPool;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.Response;

/**
 * Probes this node's own ports, sockets and files. A probe of an address that is not this node's
 * fails without a packet sent. Any thread may ask; nothing is kept between probes, except that a
 * look into a directory whose file system hangs is not begun twice.
 */
public final class NodeProber implements Prober {
  private final Supplier<Optional<String>> metadataProxy;
  private final OkHttpClient http;
  // Of each glob the look that is under way.
  private final Map<String, FutureTask<Optional<String>>> looks = new ConcurrentHashMap<>();

  /**
   * {@code metadataProxy} says why the metadata proxy is not up, empty when it is; it must not
   * block.
   */
  public NodeProber(Supplier<Optional<String>> metadataProxy) {
    this.metadataProxy = metadataProxy;
    this.http =
        new OkHttpClient.Builder()
            .protocols(List.of(Protocol.HTTP_1_1))
            .proxy(Proxy.NO_PROXY)
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

  @Override
  public Optional<String> failure(Probe probe, Duration limit) {
    Duration most = limit.compareTo(Duration.ofMillis(1)) < 0 ? Duration.ofMillis(1) : limit;
    long start = System.nanoTime();
    try {
      return switch (probe) {
        case Probe.Tcp(Address address) -> tcp(address, most);
        case Probe.Http h -> http(h, most);
        case Probe.Unix(Path socket) -> unix(socket, most);
        case Probe.File(String glob) -> file(glob, most);
        case Probe.MetadataProxy() -> metadataProxy.get();
      };
    } catch (IOException e) {
      boolean late = System.nanoTime() - start >= most.toNanos();
      return Optional.of(
          late || e instanceof SocketTimeoutException ? unanswered(most) : reason(e));
    }
  }

  private static Optional<String> tcp(Address address, Duration limit) throws IOException {
    Optional<String> elsewhere = elsewhere(address.host());
    if (elsewhere.isPresent()) {
      return elsewhere;
    }
    try (var socket = new Socket(Proxy.NO_PROXY)) {
      socket.connect(address.socket(), millis(limit));
    }
    return Optional.empty();
  }

  private Optional<String> http(Probe.Http probe, Duration limit) throws IOException {
    Optional<String> elsewhere = elsewhere(probe.address());
    if (elsewhere.isPresent()) {
      return elsewhere;
    }
    Call call =
        http.newCall(
            new Request.Builder()
                .url(probe.url().toString())
                .header("User-Agent", "nodeward")
                .header("Connection", "close")
                .build());
    call.timeout().timeout(limit.toNanos(), TimeUnit.NANOSECONDS);
    try (Response response = call.execute()) {
      // The status says it all: the body is not waited for.
      call.cancel();
      return response.isSuccessful()
          ? Optional.empty()
          : Optional.of("answered " + response.code());
    }
  }

  private static Optional<String> unix(Path path, Duration limit) throws IOException {
    try (var socket = new UnixSocket(path)) {
      socket.connect(UnixDomainSocketAddress.of(path), millis(limit));
    }
    return Optional.empty();
  }

  /**
   * A file system that hangs cannot be interrupted: a thread of the platform looks, and is left
   * behind when it is late, until it comes back.
   */
  private Optional<String> file(String glob, Duration limit) throws IOException {
    FutureTask<Optional<String>> look =
        looks.computeIfAbsent(
            glob,
            g -> {
              var task = new FutureTask<>(() -> new FileGlob(g).failure());
              Thread.ofPlatform().daemon().name("look for " + g).start(task);
              return task;
            });
    try {
      Optional<String> answer = look.get(limit.toNanos(), TimeUnit.NANOSECONDS);
      looks.remove(glob, look);
      return answer;
    } catch (TimeoutException e) {
      return Optional.of(unanswered(limit));
    } catch (ExecutionException e) {
      looks.remove(glob, look);
      throw new IOException(Objects.requireNonNullElse(e.getCause(), e));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.of("interrupted");
    }
  }

  /** Why the address is not one of this node's; empty when it is. */
  private static Optional<String> elsewhere(InetAddress address) throws IOException {
    return address.isLoopbackAddress() || NetworkInterface.getByInetAddress(address) != null
        ? Optional.empty()
        : Optional.of(address.getHostAddress() + " is no address of this node");
  }

  /** The system's words for a failed connection, without Java's around them. */
  private static String reason(IOException e) {
    String message = Objects.requireNonNullElseGet(e.getMessage(), e::toString);
    if (message.startsWith("Failed to connect to ") && e.getCause() != null) {
      message = Objects.requireNonNullElse(e.getCause().getMessage(), message);
    }
    String line = message.lines().findFirst().orElse("failed");
    boolean sentence = line.length() > 1 && Character.isLowerCase(line.charAt(1));
    return sentence ? line.substring(0, 1).toLowerCase(Locale.ROOT) + line.substring(1) : line;
  }

  private static String unanswered(Duration limit) {
    return "no answer within " + UnixSockets.shown(limit);
  }

  private static int millis(Duration limit) {
    return (int) Math.min(limit.toMillis(), Integer.MAX_VALUE);
  }
}
