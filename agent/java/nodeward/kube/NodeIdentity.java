package nodeward.kube;

import static java.util.Comparator.comparing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fabric8.kubernetes.client.internal.SSLUtils;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.X509TrustManager;
import nodeward.component.Backoff;
import nodeward.component.Time;
import nodeward.node.Pod;
import okhttp3.Interceptor;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets every request speak as this node's agent, with no secret handed out: the kubelet's own
 * credential asks for a token of the agent's ServiceAccount, bound to a pod of it on this node
 * (TokenRequest of authentication.k8s.io/v1), and that token's claims hold the node's name. It is
 * asked for by the first request, anew after two thirds of its life, when the pod is replaced, and
 * when the API server refuses it, which it does some seconds after the pod's end. While there is no
 * such pod requests go out as the kubelet: cordon, status and evictions of this node's pods are
 * allowed to it, taints are not. Evictions and deletions of pods always go out as the kubelet,
 * since the API server confines those to this node for it alone. Runs on the threads of the
 * requests; what fails is tried again by the next request after a back-off.
 */
final class NodeIdentity implements Interceptor {
  private static final Logger log = LoggerFactory.getLogger(NodeIdentity.class);

  /** Marks a request that is to go out as the kubelet; it does not leave the agent. */
  static final String AS_KUBELET = "Nodeward-As-Kubelet";

  private static final String AUTHORIZATION = "Authorization";
  private static final int UNAUTHORIZED = 401;
  private static final Duration LIFE = Duration.ofHours(1);
  // Tokens of credential programs live for 15 min on EKS; a certificate is replaced long before
  // its end.
  private static final Duration KUBELET_FOR = Duration.ofMinutes(5);
  // A refusal may be of a credential that has just been replaced.
  private static final Duration KUBELET_AT_LEAST = Duration.ofSeconds(1);
  private static final double RENEW_FROM = 0.6;
  private static final double RENEW_TO = 0.7;
  private static final MediaType JSON = MediaType.get(KubeClient.JSON);

  /** As whom a request goes out; its text holds no secret. */
  private sealed interface Voice {
    String token();
  }

  private record AsKubelet(
      SSLSocketFactory sockets, X509TrustManager trust, String token, String server, Instant read)
      implements Voice {
    AsKubelet readAt(Instant now) {
      return new AsKubelet(sockets, trust, token, server, now);
    }

    @Override
    public String toString() {
      return "the kubelet";
    }
  }

  private record AsAgent(String token, String pod, String podUid, Instant renew, Instant end)
      implements Voice {
    @Override
    public String toString() {
      return "pod " + pod + " until " + end;
    }
  }

  private final String node;
  private final String namespace;
  private final String serviceAccount;
  private final KubeletCredential kubelet;
  private final String userAgent;
  private final OkHttpClient asking;
  private final Time time;
  private final RandomGenerator random;
  private final Backoff backoff = new Backoff(Duration.ofMillis(500), Duration.ofSeconds(30));
  // One thread asks, the others wait for it unless they have a token that is still good.
  private final ReentrantLock lock = new ReentrantLock();
  // Written under the lock, read without it.
  private volatile Optional<AsAgent> agent = Optional.empty();
  private volatile String why = "it has not been asked for yet";
  // The uids of the ServiceAccount's pods on this node, as the watch tells them.
  private volatile Set<String> live = Set.of();
  // All below is guarded by lock.
  private Optional<AsKubelet> asKubelet = Optional.empty();
  private Instant nextTry = Instant.MIN;
  // Written under the lock: what of live was known at the last try: only news of it is worth
  // another one.
  private volatile Set<String> considered = Set.of();

  /**
   * @param serviceAccount as namespace/name
   * @param userAgent of the requests for a token
   * @param sees every one of them on its way
   */
  NodeIdentity(
      String node,
      String serviceAccount,
      KubeletCredential kubelet,
      String userAgent,
      Interceptor sees,
      Duration requestTimeout,
      Time time,
      RandomGenerator random) {
    this.node = node;
    this.namespace = serviceAccount.substring(0, serviceAccount.indexOf('/'));
    this.serviceAccount = serviceAccount.substring(serviceAccount.indexOf('/') + 1);
    this.kubelet = kubelet;
    this.userAgent = userAgent;
    this.asking =
        new OkHttpClient.Builder()
            .addInterceptor(sees)
            .connectTimeout(requestTimeout)
            .readTimeout(requestTimeout)
            .callTimeout(requestTimeout)
            .build();
    this.time = time;
    this.random = random;
  }

  @Override
  public Response intercept(Chain chain) throws IOException {
    boolean ofKubelet = chain.request().header(AS_KUBELET) != null || isOfPods(chain.request());
    Request request = chain.request().newBuilder().removeHeader(AS_KUBELET).build();
    Voice first = ofKubelet ? kubeletVoice() : voice();
    Response response = send(chain, request, first);
    if (response.code() != UNAUTHORIZED) {
      return response;
    }
    Voice second = insteadOf(first);
    if (second.equals(first)) {
      return response;
    }
    response.close();
    return send(chain, request, second);
  }

  /** Whether requests go out as this node's agent and not as the kubelet; may ask for it. */
  boolean isAgent() throws IOException {
    return voice() instanceof AsAgent;
  }

  /** Whether requests go out as the kubelet now, and why; never blocks. */
  Optional<String> troubled() {
    return agent.isPresent() ? Optional.empty() : Optional.of(why);
  }

  /** For people: which pod the token is bound to and until when, or why there is none. */
  String status() {
    return agent
        .map(a -> "ServiceAccount %s/%s of %s".formatted(namespace, serviceAccount, a))
        .orElseGet(() -> "the kubelet: " + why);
  }

  /** Tells of the pods on this node; does not block. */
  void saw(List<Pod> pods) {
    live =
        pods.stream()
            .filter(p -> p.namespace().equals(namespace))
            .filter(p -> p.serviceAccount().equals(serviceAccount))
            .filter(p -> !p.terminating() && !p.finished())
            .map(Pod::uid)
            .collect(Collectors.toSet());
  }

  void close() {
    asking.dispatcher().cancelAll();
    asking.connectionPool().evictAll();
  }

  /** Evictions and deletions of pods. */
  private static boolean isOfPods(Request request) {
    List<String> path = request.url().pathSegments();
    boolean ofPod = path.size() > 5 && path.get(4).equals("pods");
    return ofPod
        && (request.method().equals("DELETE")
            || (request.method().equals("POST") && path.getLast().equals("eviction")));
  }

  private static Response send(Chain chain, Request request, Voice voice) throws IOException {
    Request spoken =
        voice.token().isEmpty()
            ? request
            : request.newBuilder().header(AUTHORIZATION, "Bearer " + voice.token()).build();
    return switch (voice) {
      case AsKubelet k -> chain.withSslSocketFactory(k.sockets, k.trust).proceed(spoken);
      case AsAgent _ -> chain.proceed(spoken);
    };
  }

  /** The voice of the moment; fails only when there is not even a kubelet's. */
  private Voice voice() throws IOException {
    Instant now = time.now();
    Optional<AsAgent> usable = usable(now);
    if (usable.isPresent() && (isFresh(usable.get(), now) || !lock.tryLock())) {
      return usable.get();
    }
    if (!lock.isHeldByCurrentThread()) {
      lock.lock();
    }
    try {
      usable = usable(now);
      boolean due = usable.isEmpty() || !isFresh(usable.get(), now);
      if (due && (!now.isBefore(nextTry) || !live.equals(considered))) {
        ask(now);
        usable = usable(now);
      }
      return usable.isPresent() ? usable.get() : kubeletVoice();
    } finally {
      lock.unlock();
    }
  }

  private Optional<AsAgent> usable(Instant now) {
    return agent.filter(a -> now.isBefore(a.end));
  }

  /** A token of a pod that is gone is refused within seconds, when there is one to follow it. */
  private boolean isFresh(AsAgent agent, Instant now) {
    Set<String> pods = live;
    boolean replaced = !pods.isEmpty() && !pods.contains(agent.podUid) && !pods.equals(considered);
    return now.isBefore(agent.renew) && !replaced;
  }

  /** After a refusal. */
  private Voice insteadOf(Voice refused) throws IOException {
    lock.lock();
    try {
      switch (refused) {
        case AsAgent a when agent.map(AsAgent::token).filter(a.token::equals).isPresent() -> {
          log.warn("identity: the API server refuses the token, asking anew pod={}", a.pod);
          agent = Optional.empty();
          why = "the token of " + a + " was refused";
          nextTry = Instant.MIN;
        }
        case AsAgent _ -> {
          // Somebody else has replaced it already.
        }
        case AsKubelet k -> {
          if (asKubelet.filter(k::equals).isPresent()
              && !time.now().isBefore(k.read.plus(KUBELET_AT_LEAST))) {
            asKubelet = Optional.empty();
          }
        }
      }
    } finally {
      lock.unlock();
    }
    return refused instanceof AsKubelet ? kubeletVoice() : voice();
  }

  private AsKubelet kubeletVoice() throws IOException {
    lock.lock();
    try {
      Instant now = time.now();
      Optional<AsKubelet> last = asKubelet;
      if (last.isEmpty() || !now.isBefore(last.get().read.plus(KUBELET_FOR))) {
        try {
          asKubelet = Optional.of(read(now));
        } catch (IOException e) {
          // One that cannot be read again now is as good as it was, until it is refused.
          asKubelet = Optional.of(last.orElseThrow(() -> e).readAt(now));
          log.warn("identity: using the kubelet's last credential on why=\"{}\"", e.getMessage());
        }
      }
      return asKubelet.get();
    } finally {
      lock.unlock();
    }
  }

  private AsKubelet read(Instant now) throws IOException {
    try {
      return voice(kubelet.read(), now);
    } catch (GeneralSecurityException | RuntimeException e) {
      // Neither its text nor its cause: both may show what they stumbled over.
      throw new IOException(
          "the kubelet's certificate or key cannot be used (kubeconfig %s): %s"
              .formatted(kubelet, e.getClass().getSimpleName()));
    }
  }

  private static AsKubelet voice(io.fabric8.kubernetes.client.Config config, Instant now)
      throws IOException, GeneralSecurityException {
    try (var _ = EmptyTrust.of(config)) {
      var trust = (X509TrustManager) SSLUtils.trustManagers(config)[0];
      return new AsKubelet(
          SSLUtils.sslContext(config).getSocketFactory(),
          trust,
          config.getAutoOAuthToken() == null ? "" : config.getAutoOAuthToken(),
          config.getMasterUrl().replaceAll("/+$", ""),
          now);
    }
  }

  private void ask(Instant now) {
    considered = live;
    try {
      AsKubelet as = kubeletVoice();
      JsonNode pod = pod(as);
      AsAgent fresh = token(as, pod, now);
      if (agent.map(AsAgent::podUid).filter(fresh.podUid::equals).isEmpty()) {
        log.info(
            "identity: speaking as serviceaccount={}/{} by pod={} until={}",
            namespace,
            serviceAccount,
            fresh.pod,
            fresh.end);
      } else {
        log.debug("identity: renewed by pod={} until={}", fresh.pod, fresh.end);
      }
      agent = Optional.of(fresh);
      why = "";
      backoff.reset();
    } catch (IOException e) {
      Duration wait = backoff.next();
      nextTry = now.plus(wait);
      if (usable(now).isEmpty()) {
        agent = Optional.empty();
      }
      String reason = Failures.text(e);
      if (reason.equals(why)) {
        log.debug("identity: still no token retry_in={}ms why=\"{}\"", wait.toMillis(), reason);
      } else {
        log.warn("identity: no new token, trying again why=\"{}\"", reason);
      }
      why = reason;
    }
  }

  /** The newest pod of the ServiceAccount on this node. */
  private JsonNode pod(AsKubelet as) throws IOException {
    Answer answer =
        request(
            as,
            "list pods of namespace " + namespace,
            "/api/v1/namespaces/%s/pods?fieldSelector=%s&limit=100"
                .formatted(namespace, KubeClient.segment("spec.nodeName=" + node)),
            null);
    Stream<JsonNode> pods =
        StreamSupport.stream(answer.json().path("items").spliterator(), false)
            .filter(p -> p.at("/spec/serviceAccountName").asText().equals(serviceAccount))
            .filter(p -> p.at("/metadata/deletionTimestamp").isMissingNode())
            .filter(p -> !Set.of("Succeeded", "Failed").contains(p.at("/status/phase").asText()));
    return pods.max(comparing(p -> p.at("/metadata/creationTimestamp").asText()))
        .orElseThrow(
            () ->
                new IOException(
                    "no pod of ServiceAccount %s/%s is on node %s yet"
                        .formatted(namespace, serviceAccount, node)));
  }

  private AsAgent token(AsKubelet as, JsonNode pod, Instant now) throws IOException {
    String name = pod.at("/metadata/name").asText();
    String uid = pod.at("/metadata/uid").asText();
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("apiVersion", "authentication.k8s.io/v1").put("kind", "TokenRequest");
    ObjectNode spec = body.putObject("spec").put("expirationSeconds", LIFE.toSeconds());
    spec.putObject("boundObjectRef")
        .put("apiVersion", "v1")
        .put("kind", "Pod")
        .put("name", name)
        .put("uid", uid);
    Answer answer =
        request(
            as,
            "request a token of serviceaccount %s/%s".formatted(namespace, serviceAccount),
            "/api/v1/namespaces/%s/serviceaccounts/%s/token".formatted(namespace, serviceAccount),
            body.toString());
    String token = answer.json().at("/status/token").asText();
    // The clock of the API server may be another one: what counts is the life that it gave.
    long life = answer.json().at("/spec/expirationSeconds").asLong(LIFE.toSeconds());
    if (token.isEmpty()) {
      throw new IOException("the API server answered a token request without a token");
    }
    double share = RENEW_FROM + random.nextDouble() * (RENEW_TO - RENEW_FROM);
    return new AsAgent(
        token,
        namespace + "/" + name,
        uid,
        now.plusSeconds(Math.round(life * share)),
        now.plusSeconds(life));
  }

  private Answer request(AsKubelet as, String operation, String path, @Nullable String body)
      throws IOException {
    var request =
        new Request.Builder()
            .url(as.server + path)
            .header("Accept", KubeClient.JSON)
            .header("User-Agent", userAgent);
    if (!as.token.isEmpty()) {
      request.header(AUTHORIZATION, "Bearer " + as.token);
    }
    if (body != null) {
      request.post(RequestBody.create(body, JSON));
    }
    OkHttpClient client = asking.newBuilder().sslSocketFactory(as.sockets, as.trust).build();
    Answer answer;
    try (Response response = client.newCall(request.build()).execute()) {
      answer = Answer.of(operation, response.code(), response.body().string(), null);
    }
    if (answer.code() == UNAUTHORIZED) {
      asKubelet = Optional.empty();
    }
    if (!answer.accepted()) {
      throw answer.failure();
    }
    return answer;
  }
}
