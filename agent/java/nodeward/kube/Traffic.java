package nodeward.kube;

import io.fabric8.kubernetes.client.okhttp.OkHttpClientFactory;
import io.prometheus.client.Collector;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.GaugeMetricFamily;
import java.io.IOException;
import java.net.Socket;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import nodeward.component.UnconnectedSockets;
import okhttp3.HttpUrl;
import okhttp3.Interceptor;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.Response;
import okhttp3.ResponseBody;

/**
 * Sees every request on its way: counts it, tells the watches how their attempts went, and keeps
 * them on WebSockets. fabric8 turns to a plain HTTP watch for good once a WebSocket handshake is
 * answered with 200 or 503, breaks off or times out; that watch notices no dead connection and
 * breaks at the first letter that is not ASCII. So those outcomes of a handshake become a 502 here,
 * after which fabric8 lists and tries again, and a plain watch that it opens all the same is
 * answered with 410, which leads it there too.
 */
final class Traffic extends Collector implements Interceptor {
  private static final String UPGRADE = "Upgrade";
  private static final int LONGEST_REFUSAL = 4096;

  private final Duration handshakeLimit;
  private final Counter requests;
  private final Map<String, WatchAttempts> attempts = new ConcurrentHashMap<>();
  private final Map<String, BooleanSupplier> watching = new ConcurrentHashMap<>();

  Traffic(Duration handshakeLimit, CollectorRegistry metrics) {
    this.handshakeLimit = handshakeLimit;
    this.requests =
        Counter.build("nodeward_kube_requests_total", "Requests to the API server.")
            .labelNames("verb", "code")
            .register(metrics);
    metrics.register(this);
  }

  /**
   * {@code resource} is the last segment of the collection's path, {@code pods}; that of one
   * namespace has the namespace before it, {@code default/poddisruptionbudgets}, and no gauge, for
   * namespaces have no bound.
   */
  void onWatch(String resource, WatchAttempts hears, BooleanSupplier watching) {
    attempts.put(resource, hears);
    if (!resource.contains("/")) {
      this.watching.put(resource, watching);
    }
  }

  void offWatch(String resource, WatchAttempts hears) {
    if (attempts.remove(resource, hears)) {
      watching.remove(resource);
    }
  }

  /** {@code speaker} gives requests their credential, where fabric8 does not. */
  OkHttpClientFactory httpClients(Optional<? extends Interceptor> speaker) {
    return new OkHttpClientFactory() {
      @Override
      protected void additionalConfig(OkHttpClient.Builder builder) {
        builder.socketFactory(new UnconnectedSockets(Traffic::prompt));
        builder.addInterceptor(Traffic.this);
        speaker.ifPresent(builder::addInterceptor);
      }
    };
  }

  /**
   * Sends at once what is written. OkHttp leaves Nagle's algorithm on, and since an API server
   * acknowledges late what it does not answer yet, every second request would wait for 40 ms.
   */
  private static Socket prompt() throws IOException {
    var socket = new Socket();
    socket.setTcpNoDelay(true);
    return socket;
  }

  @Override
  public Response intercept(Chain chain) throws IOException {
    Request request = chain.request();
    boolean webSocket = request.header(UPGRADE) != null;
    if ("true".equals(request.url().queryParameter("watch")) && !webSocket) {
      return instead(request, 410, "a watch needs a WebSocket");
    }
    try {
      Response response = (webSocket ? limited(chain) : chain).proceed(request);
      requests.labels(verb(request), response.code() / 100 + "xx").inc();
      return isWatchStep(request) ? seen(request, response) : response;
    } catch (IOException e) {
      requests.labels(verb(request), "none").inc();
      if (chain.call().isCanceled() || !isWatchStep(request)) {
        throw e;
      }
      String why = Failures.text(e);
      tell(request, a -> a.refused(why));
      if (webSocket) {
        return instead(request, 502, why);
      }
      throw e;
    }
  }

  @Override
  public List<MetricFamilySamples> collect() {
    var gauge =
        new GaugeMetricFamily(
            "nodeward_kube_watching",
            "Whether the watch of the resource is connected.",
            List.of("resource"));
    watching.forEach(
        (resource, is) -> gauge.addMetric(List.of(resource), is.getAsBoolean() ? 1 : 0));
    return List.of(gauge);
  }

  /** A handshake has no other limit: fabric8 would leave the silent connection and its thread. */
  private Chain limited(Chain chain) {
    return chain.withReadTimeout(Math.toIntExact(handshakeLimit.toMillis()), TimeUnit.MILLISECONDS);
  }

  private Response seen(Request request, Response response) throws IOException {
    boolean webSocket = request.header(UPGRADE) != null;
    if (response.code() == 101) {
      tell(request, WatchAttempts::opened);
    }
    if (response.code() == 101 || (response.isSuccessful() && !webSocket)) {
      return response;
    }
    String why = Answer.of("", response.code(), peek(response), null).summary();
    tell(request, a -> a.refused(why));
    if (response.code() == 200 || response.code() == 503) {
      response.close();
      return instead(request, 502, why);
    }
    return response;
  }

  private static Response instead(Request request, int code, String why) {
    return new Response.Builder()
        .request(request)
        .protocol(Protocol.HTTP_1_1)
        .code(code)
        .message(why)
        .body(ResponseBody.create(why, null))
        .build();
  }

  /** The list or the watch of an informer; lists of ours have a limit. */
  private boolean isWatchStep(Request request) {
    return request.method().equals("GET")
        && request.url().queryParameter("limit") == null
        && attempts.containsKey(resource(request));
  }

  /** As {@link #onWatch} names it; a path without namespace is one only with a selector. */
  private static String resource(Request request) {
    List<String> path = request.url().pathSegments();
    String last = path.getLast();
    if (isSelection(request.url())) {
      return last;
    }
    int n = path.size();
    return n > 3 && path.get(n - 3).equals("namespaces") ? path.get(n - 2) + "/" + last : "";
  }

  private static boolean isSelection(HttpUrl url) {
    return url.queryParameter("fieldSelector") != null
        || url.queryParameter("labelSelector") != null;
  }

  private static String peek(Response response) throws IOException {
    try (var body = response.peekBody(LONGEST_REFUSAL)) {
      return body.string();
    }
  }

  private void tell(Request request, Consumer<WatchAttempts> what) {
    WatchAttempts hears = attempts.get(resource(request));
    if (hears != null) {
      what.accept(hears);
    }
  }

  private static String verb(Request request) {
    return switch (request.method()) {
      case "GET" -> {
        boolean collection =
            isSelection(request.url()) || request.url().queryParameter("limit") != null;
        yield request.header(UPGRADE) != null ? "watch" : collection ? "list" : "get";
      }
      case "POST" -> "create";
      case "PUT" -> "update";
      default -> request.method().toLowerCase(Locale.ROOT);
    };
  }
}
