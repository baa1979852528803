package nodeward.kube;

import io.fabric8.kubernetes.client.okhttp.OkHttpClientFactory;
import io.prometheus.client.Collector;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.GaugeMetricFamily;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import okhttp3.HttpUrl;
import okhttp3.Interceptor;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;

/**
 * Sees every request on its way: counts it, tells the watches how their attempts went, and keeps
 * them on WebSockets. fabric8 gives up WebSockets for good once a handshake is answered with 200 or
 * 503, and its plain HTTP watch neither notices a dead connection nor survives a non-ASCII letter;
 * here such an answer is a failed attempt like any other.
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

  void onWatch(String resource, WatchAttempts hears, BooleanSupplier watching) {
    attempts.put(resource, hears);
    this.watching.put(resource, watching);
  }

  OkHttpClientFactory httpClients() {
    return new OkHttpClientFactory() {
      @Override
      protected void additionalConfig(OkHttpClient.Builder builder) {
        builder.addInterceptor(Traffic.this);
      }
    };
  }

  @Override
  public Response intercept(Chain chain) throws IOException {
    Request request = chain.request();
    String verb = verb(request);
    boolean watch = request.header(UPGRADE) != null;
    try {
      Response response = (watch ? limited(chain) : chain).proceed(request);
      requests.labels(verb, response.code() / 100 + "xx").inc();
      return watch ? opened(request.url(), response) : response;
    } catch (IOException e) {
      requests.labels(verb, "none").inc();
      if (watch) {
        String why = Failures.text(e);
        tell(request.url(), a -> a.refused(why));
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

  private Response opened(HttpUrl url, Response response) throws IOException {
    if (response.code() == 101) {
      tell(url, WatchAttempts::opened);
      return response;
    }
    String why = Answer.of("", response.code(), peek(response), null).summary();
    tell(url, a -> a.refused(why));
    if (response.code() == 200 || response.code() == 503) {
      response.close();
      throw new IOException("watch refused: " + why);
    }
    return response;
  }

  private static String peek(Response response) throws IOException {
    try (var body = response.peekBody(LONGEST_REFUSAL)) {
      return body.string();
    }
  }

  /** The resource is the last segment: {@code /api/v1/pods}. */
  private void tell(HttpUrl url, Consumer<WatchAttempts> what) {
    WatchAttempts hears = attempts.get(url.pathSegments().getLast());
    if (hears != null) {
      what.accept(hears);
    }
  }

  private static String verb(Request request) {
    return switch (request.method()) {
      case "GET" -> request.header(UPGRADE) != null ? "watch" : "get";
      case "POST" -> "create";
      case "PUT" -> "update";
      default -> request.method().toLowerCase(Locale.ROOT);
    };
  }
}
