package nodeward.kube;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.HttpResponse;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.Config.Kubernetes.Identity;
import nodeward.node.Pod;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The connection to the API server that all of this package shares: one fabric8 client with one
 * pool of connections. It is built on first use and without any request, so that neither a missing
 * kubeconfig nor an API server that is away keeps the agent from starting; both show as an {@link
 * IOException} of the call. It never retries by itself. Safe for use by several threads.
 */
public final class KubeClient implements Component {
  private static final Logger log = LoggerFactory.getLogger(KubeClient.class);
  static final String JSON = "application/json";
  private static final int FORBIDDEN = 403;

  // A watch that failed is tried again after this, doubled up to 32 times it: 0.8 to 1.6 s at most,
  // so that a closed gate opens within 2 s of the API server's return. Drawn once for each agent,
  // so that a fleet that lost its API server does not come back in step.
  private static final int RECONNECT_LEAST = 25;
  private static final int RECONNECT_MOST = 50;

  private final Config.Kubernetes config;
  private final String version;
  private final Credentials credentials;
  private final Optional<KubeletCredential> kubelet;
  private final Optional<NodeIdentity> identity;
  private final Traffic traffic;
  private final ReentrantLock lock = new ReentrantLock();
  // Guarded by lock: two first users must share one client.
  private Optional<KubernetesClient> client = Optional.empty();
  private boolean closed;
  // Why there is no client, for health(), which must not wait for the lock.
  private volatile String trouble = "";

  /**
   * Runs a program of the node, which the kubelet has its credential from, and returns its output.
   */
  @FunctionalInterface
  public interface Program {
    String run(List<String> command, Map<String, String> environment) throws IOException;
  }

  /**
   * @param node whose kubelet's credential may be used
   * @param programs runs what a kubeconfig of the kubelet names
   * @param version of the agent, for the User-Agent {@code nodeward/<version>}
   * @param environment of the process, where {@code KUBECONFIG} and the pod's API server are looked
   *     for
   */
  public KubeClient(
      Config.Kubernetes config,
      String node,
      Program programs,
      String version,
      Map<String, String> environment,
      CollectorRegistry metrics) {
    this(config, node, programs, version, environment, metrics, Time.SYSTEM);
  }

  KubeClient(
      Config.Kubernetes config,
      String node,
      Program programs,
      String version,
      Map<String, String> environment,
      CollectorRegistry metrics,
      Time time) {
    this.config = config;
    this.version = version;
    this.credentials = new Credentials(config.identity(), config.kubeconfig(), environment);
    this.traffic = new Traffic(config.requestTimeout(), metrics);
    this.kubelet =
        config.identity() == Identity.KUBELET
            ? Optional.of(new KubeletCredential(config.kubeletKubeconfigs(), programs))
            : Optional.empty();
    this.identity =
        kubelet.map(
            credential ->
                new NodeIdentity(
                    node,
                    config.serviceAccount(),
                    credential,
                    userAgent(),
                    traffic,
                    config.requestTimeout(),
                    time,
                    RandomGenerator.getDefault()));
  }

  @Override
  public String name() {
    return "kubernetes";
  }

  @Override
  public void start() {}

  @Override
  public Health health() {
    if (!trouble.isEmpty()) {
      return Health.degraded(trouble);
    }
    return identity
        .flatMap(NodeIdentity::troubled)
        .map(why -> Health.degraded("speaking as the kubelet: " + why))
        .orElseGet(Health::healthy);
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put(
        "credentials",
        identity
            .map(i -> i.status() + ", by kubelet's kubeconfig " + kubelet.orElseThrow())
            .orElseGet(credentials::toString));
    lock.lock();
    try {
      client.ifPresent(c -> status.put("server", c.getMasterUrl().toString()));
    } finally {
      lock.unlock();
    }
    return status;
  }

  /** Ends the connections and everything that waits for an answer. */
  @Override
  public void close() {
    Optional<KubernetesClient> last;
    lock.lock();
    try {
      closed = true;
      last = client;
      client = Optional.empty();
    } finally {
      lock.unlock();
    }
    last.ifPresent(KubernetesClient::close);
    identity.ifPresent(NodeIdentity::close);
  }

  /**
   * Whether the API server takes the agent for the kubelet, which may neither change taints nor
   * read DaemonSets; asks for a better identity first where that is due.
   */
  public boolean isKubelet() throws IOException {
    return identity.isPresent() && !identity.get().isAgent();
  }

  /** Tells of the pods on this node, when there is news of them; does not block. */
  void saw(Supplier<List<Pod>> pods) {
    identity.ifPresent(i -> i.saw(pods.get()));
  }

  /** Fails when there are no credentials; asks nothing of the API server. */
  public void check() throws IOException {
    client();
  }

  /** The client; fails when there are no credentials to build it from. */
  KubernetesClient client() throws IOException {
    lock.lock();
    try {
      if (closed) {
        throw new IOException("the connection to the API server is closed");
      }
      if (client.isEmpty()) {
        client = Optional.of(build());
      }
      trouble = "";
      return client.get();
    } catch (IOException e) {
      trouble = Failures.text(e);
      throw e;
    } finally {
      lock.unlock();
    }
  }

  /** Tells how attempts to open a watch of the resource go. */
  void onWatch(String resource, WatchAttempts attempts, BooleanSupplier watching) {
    traffic.onWatch(resource, attempts, watching);
  }

  /** Ends {@link #onWatch}. */
  void offWatch(String resource, WatchAttempts attempts) {
    traffic.offWatch(resource, attempts);
  }

  /**
   * Reads what is at the path, whatever the answer; an {@link IOException} when there was none.
   *
   * @param operation what is done on what, for the error: {@code read node n1}
   * @param path from the root of the API, with its query, segments {@link #segment encoded}
   */
  Answer get(String operation, String path) throws IOException {
    return exchange(operation, path, request -> {});
  }

  /** As {@link #get}, with a body. */
  Answer send(String operation, String method, String path, String contentType, String body)
      throws IOException {
    return exchange(operation, path, request -> request.method(method, contentType, body));
  }

  /**
   * As {@link #send}, about what goes out as the kubelet where the agent has its credential: the
   * end of pods.
   */
  Answer sendAboutPods(String operation, String path, String body) throws IOException {
    return exchange(
        operation,
        path,
        request -> {
          request.method("POST", JSON, body);
          if (identity.isPresent()) {
            request.header(NodeIdentity.AS_KUBELET, "true");
          }
        });
  }

  private Answer exchange(String operation, String path, Consumer<HttpRequest.Builder> completed)
      throws IOException {
    KubernetesClient client = client();
    String server = client.getMasterUrl().toString().replaceAll("/+$", "");
    HttpRequest.Builder request =
        client
            .getHttpClient()
            .newHttpRequestBuilder()
            .uri(URI.create(server + path))
            .timeout(config.requestTimeout().toMillis(), TimeUnit.MILLISECONDS);
    request.header("Accept", JSON);
    completed.accept(request);
    HttpResponse<String> response =
        await(operation, client.getHttpClient().sendAsync(request.build(), String.class));
    Optional<String> why =
        response.code() == FORBIDDEN
            ? identity.flatMap(NodeIdentity::troubled)
            : Optional.<String>empty();
    return Answer.of(
        why.map(w -> "%s as the kubelet (%s)".formatted(operation, w)).orElse(operation),
        response.code(),
        response.bodyString(),
        response.header("Retry-After"));
  }

  /** A name as it stands in a path. */
  static String segment(String name) {
    return URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20");
  }

  private <T> T await(String operation, CompletableFuture<T> answer) throws IOException {
    // The request has a limit of its own; this one is for a client that was closed under it.
    Duration limit = config.requestTimeout().multipliedBy(2).plusSeconds(5);
    try {
      return answer.get(limit.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      answer.cancel(true);
      Thread.currentThread().interrupt();
      var interrupted = new InterruptedIOException(operation + ": interrupted");
      interrupted.initCause(e);
      throw interrupted;
    } catch (ExecutionException e) {
      throw Failures.of(operation, e.getCause() == null ? e : e.getCause());
    } catch (TimeoutException e) {
      answer.cancel(true);
      throw new IOException(operation + ": no answer within " + limit.toSeconds() + " s", e);
    }
  }

  private KubernetesClient build() throws IOException {
    io.fabric8.kubernetes.client.Config c =
        kubelet.isPresent() ? kubelet.get().server() : credentials.read();
    c.setUserAgent(userAgent());
    c.setRequestTimeout(millis(config.requestTimeout()));
    c.setConnectionTimeout(millis(config.requestTimeout()));
    c.setWebsocketPingInterval(config.pingInterval().toMillis());
    // Zero: a blocked eviction must be seen by the drain, and the features have back-offs of their
    // own.
    c.setRequestRetryBackoffLimit(0);
    c.setWatchReconnectInterval(
        RandomGenerator.getDefault().nextInt(RECONNECT_LEAST, RECONNECT_MOST));
    try (var _ = EmptyTrust.of(c)) {
      return new KubernetesClientBuilder()
          .withConfig(c)
          .withKubernetesSerialization(Types.ALL)
          .withHttpClientFactory(traffic.httpClients(identity))
          .build();
    } catch (RuntimeException e) {
      throw Failures.of(
          "cannot use " + kubelet.map(Object::toString).orElseGet(credentials::toString), e);
    }
  }

  /**
   * Begins in the background what the first request would wait for and what needs no configuration
   * yet. A command calls it first; on two processors it saves the time that reading arguments and
   * configuration takes.
   */
  public static void prepare() {
    Thread.ofPlatform()
        .daemon()
        .name("prepare")
        .start(
            () -> {
              try {
                // In the order in which the first request needs them.
                Serialization.unmarshal(
                    "kind: Config", io.fabric8.kubernetes.api.model.Config.class);
                KeyPairGenerator curve = KeyPairGenerator.getInstance("EC");
                curve.initialize(256);
                curve.generateKeyPair();
                SSLContext.getInstance("TLS").init(null, new TrustManager[0], new SecureRandom());
                KeyPairGenerator.getInstance("X25519").generateKeyPair();
                Types.ALL.unmarshal("{\"kind\":\"Status\",\"apiVersion\":\"v1\"}", Status.class);
              } catch (GeneralSecurityException | RuntimeException e) {
                // Whatever it is, the request that needs it tells it with more to say.
                log.debug("kubernetes: cannot prepare", e);
              }
            });
  }

  /**
   * Knows only the types that watches deliver: fabric8's default loads every class of every model
   * jar.
   */
  private static final class Types {
    static final KubernetesSerialization ALL =
        new KubernetesSerialization(new ObjectMapper(), false);

    static {
      Stream.of(
              Watched.NodeItem.class,
              Watched.PodItem.class,
              Watched.NamespaceItem.class,
              Watched.BudgetItem.class,
              Status.class)
          .forEach(ALL::registerKubernetesResource);
    }
  }

  private String userAgent() {
    return "nodeward/" + version;
  }

  private static int millis(Duration duration) {
    return Math.toIntExact(duration.toMillis());
  }
}
