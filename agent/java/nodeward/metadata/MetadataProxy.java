package nodeward.metadata;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Histogram;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.HttpLimits;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.metadata.PodDirectory.Asker;
import nodeward.node.Pod;
import nodeward.node.Pods;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The instance metadata service that pods see: session tokens, the name of their role, credentials
 * of it, and nothing else. Each request runs on a virtual thread; one loop fetches and renews
 * credentials before they are asked for. A request that cannot be answered is refused with the
 * status that makes the SDKs do the right thing ({@link Refusal}), and harms no other.
 */
public final class MetadataProxy implements Component {
  private static final Logger log = LoggerFactory.getLogger(MetadataProxy.class);
  private static final Duration UNDETERMINED_RETRY = Duration.ofSeconds(5);
  private static final JsonFactory JSON = new JsonFactory();

  static {
    HttpLimits.apply();
  }

  /** How long a request may wait. Most SDKs give up after one second and do not try again. */
  record Patience(Duration unknownPod, Duration sts) {
    static final Patience OF_SDKS = new Patience(Duration.ofMillis(900), Duration.ofSeconds(5));
  }

  private record Reply(
      int status, String outcome, String type, String body, SequencedMap<String, String> headers) {}

  private final Config.Metadata config;
  private final Firewall firewall;
  private final Patience patience;
  private final PodDirectory directory;
  private final RolePolicy policy;
  private final CredentialCache cache;
  private final Tokens tokens;
  private final Refusals refusals;
  private final Audit audit = new Audit();
  private final Routing routing;
  private final Loop loop;
  private final Counter requests;
  private final Histogram hold;
  // Set by start(), read by close(), status() and health() on other threads.
  private volatile Optional<HttpServer> server = Optional.empty();
  private volatile Optional<ExecutorService> executor = Optional.empty();
  private volatile Optional<Interception> interception = Optional.empty();

  /** {@code base} is asked for the account only when the configuration does not give it. */
  public MetadataProxy(
      Config.Metadata config,
      Pods pods,
      Sandboxes sandboxes,
      RoleCredentials credentials,
      BaseRole base,
      Firewall firewall,
      CollectorRegistry registry,
      Time time) {
    this(config, pods, sandboxes, credentials, base, firewall, registry, time, Patience.OF_SDKS);
  }

  MetadataProxy(
      Config.Metadata config,
      Pods pods,
      Sandboxes sandboxes,
      RoleCredentials credentials,
      BaseRole base,
      Firewall firewall,
      CollectorRegistry registry,
      Time time,
      Patience patience) {
    this.config = config;
    this.firewall = firewall;
    this.patience = patience;
    this.policy = new RolePolicy(config, base);
    this.tokens = new Tokens(time);
    this.refusals = new Refusals(time);
    this.routing = new Routing(hosts(config.listen()));
    this.loop =
        new Loop(
            "credentials",
            this::pass,
            new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30)),
            time);
    this.cache =
        new CredentialCache(credentials, config.refreshBefore(), time, registry, loop::wake);
    this.directory = new PodDirectory(pods, sandboxes, time, registry, loop::wake);
    this.requests =
        Counter.build("nodeward_metadata_requests_total", "Requests of pods, by what came of them.")
            .labelNames("outcome")
            .register(registry);
    this.hold =
        Histogram.build(
                "nodeward_metadata_hold_seconds",
                "Time that requests waited for their pod to become known.")
            .buckets(0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
            .register(registry);
  }

  @Override
  public String name() {
    return "metadata";
  }

  /** Puts the interception in place before it listens, so that no request slips past it. */
  @Override
  public void start() throws IOException {
    if (!config.interceptInterfaces().isEmpty()) {
      var rules = Interception.of(config.interceptInterfaces(), config.listen());
      firewall.install(rules);
      interception = Optional.of(rules);
      log.info("metadata: interception in place {}", rules);
    }
    directory.start();
    HttpServer http;
    try {
      http = HttpServer.create(config.listen().socket(), 512);
    } catch (IOException e) {
      throw new IOException(
          "metadata proxy cannot listen on " + config.listen() + ": " + e.getMessage(), e);
    }
    ExecutorService threads =
        Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("metadata-", 0).factory());
    http.createContext("/", this::handle);
    http.setExecutor(threads);
    executor = Optional.of(threads);
    server = Optional.of(http);
    http.start();
    loop.start();
    log.info("metadata: proxy listens address={}", text(address()));
  }

  /** Where it listens, once started. */
  public InetSocketAddress address() {
    return server
        .map(HttpServer::getAddress)
        .orElseThrow(() -> new IllegalStateException("the metadata proxy has not been started"));
  }

  @Override
  public Health health() {
    if (server.isEmpty()) {
      return Health.degraded("not listening");
    }
    if (!directory.watching()) {
      return Health.degraded("the watch of the node's pods is not connected");
    }
    return cache.trouble().map(Health::degraded).orElseGet(Health::healthy);
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("listen", server.map(s -> text(s.getAddress())).orElse("not yet"));
    status.put("interception", interception.map(Interception::toString).orElse("off"));
    status.put("pods", directory.pods().size());
    status.put("runtime", directory.runtime());
    status.put("sessions", cache.size());
    return status;
  }

  /** The interception stays: a stopped proxy must be a closed door. */
  @Override
  public void close() {
    loop.close();
    directory.close();
    Optional<HttpServer> http = server;
    server = Optional.empty();
    http.ifPresent(s -> s.stop(0));
    executor.ifPresent(ExecutorService::shutdownNow);
    http.ifPresent(s -> log.info("metadata: proxy stopped"));
  }

  /** Fetches and renews credentials of the pods that are here, also before they have an address. */
  private Duration pass(Instant now) {
    var wanted = new HashSet<RoleSession>();
    boolean undetermined = false;
    for (Pod pod : directory.pods()) {
      switch (policy.of(pod)) {
        case PodRole.Assigned assigned -> wanted.add(assigned.session());
        case PodRole.Undetermined u -> undetermined = true;
        case PodRole.None none -> {}
        case PodRole.Malformed malformed ->
            refusals.tell(Refusal.BAD_ROLE, pod.fullName(), "none yet", malformed.why());
      }
    }
    audit.keep(directory.pods());
    Duration wait = cache.renew(wanted);
    return undetermined && wait.compareTo(UNDETERMINED_RETRY) > 0 ? UNDETERMINED_RETRY : wait;
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      Reply reply;
      try {
        reply = reply(exchange);
      } catch (InterruptedException e) {
        return; // the proxy stops
      } catch (RuntimeException e) {
        log.error("metadata: request broke", e);
        reply = refused(exchange, text(exchange.getRemoteAddress()), Refusal.INTERNAL, "a fault");
      }
      requests.labels(reply.outcome).inc();
      send(exchange, reply);
    }
  }

  private Reply reply(HttpExchange exchange) throws InterruptedException {
    // The target as it was sent: for //a/b the URI's own parts would name another path.
    Route route =
        routing.route(
            exchange.getRequestMethod(),
            exchange.getRequestURI().toString(),
            exchange.getRequestHeaders());
    return switch (route) {
      case Route.Refused r ->
          refused(exchange, text(exchange.getRemoteAddress()), r.refusal(), r.why());
      case Route.WrongMethod r -> {
        String from = text(exchange.getRemoteAddress());
        Reply reply = refused(exchange, from, Refusal.METHOD, "allowed: " + r.allowed());
        reply.headers.put("Allow", r.allowed());
        yield reply;
      }
      case Route.NewToken r -> token(exchange, r);
      case Route.RoleName r -> forRole(exchange, r.token(), Optional.empty());
      case Route.RoleKeys r -> forRole(exchange, r.token(), Optional.of(r.role()));
    };
  }

  private Reply token(HttpExchange exchange, Route.NewToken asked) throws InterruptedException {
    return switch (asker(exchange)) {
      case Asker.Known(Pod pod) -> {
        var headers = new LinkedHashMap<String, String>();
        headers.put(Routing.TOKEN_TTL, Long.toString(asked.ttl().toSeconds()));
        yield new Reply(200, "token", "text/plain", tokens.issue(pod.uid(), asked.ttl()), headers);
      }
      case Asker other -> refusedAsker(exchange, other);
    };
  }

  /** Answers with the role's name, or with its credentials when one is asked for. */
  private Reply forRole(HttpExchange exchange, Optional<String> token, Optional<String> role)
      throws InterruptedException {
    Asker asker = asker(exchange);
    if (!(asker instanceof Asker.Known(Pod pod))) {
      return refusedAsker(exchange, asker);
    }
    String from = pod.fullName();
    if (token.isPresent() && !tokens.valid(token.get(), pod.uid())) {
      return refused(exchange, from, Refusal.TOKEN, "the token is not this pod's or has ended");
    }
    return switch (policy.of(pod)) {
      case PodRole.None none -> refused(exchange, from, Refusal.NO_ROLE, "the pod has no role");
      case PodRole.Malformed(String why) -> refused(exchange, from, Refusal.BAD_ROLE, why);
      case PodRole.Undetermined(String why) -> refused(exchange, from, Refusal.NOT_READY, why);
      case PodRole.Assigned assigned when role.isEmpty() ->
          new Reply(200, "role_name", "text/plain", assigned.name(), new LinkedHashMap<>());
      case PodRole.Assigned(String name, RoleSession session)
          when !role.get().equals(name) && !role.get().equals(session.roleArn()) ->
          refused(exchange, from, Refusal.OTHER_ROLE, "the pod's role is another one");
      case PodRole.Assigned assigned -> credentials(exchange, pod, assigned);
    };
  }

  /** STS' own words stay in the log: they name the node's role. */
  private Reply credentials(HttpExchange exchange, Pod pod, PodRole.Assigned assigned)
      throws InterruptedException {
    RoleSession session = assigned.session();
    return switch (cache.get(session, patience.sts)) {
      case CredentialCache.Answer.Held(Credentials credentials, Instant issued) -> {
        audit.given(pod, session, credentials);
        yield new Reply(
            200,
            "credentials",
            "application/json",
            json(credentials, issued),
            new LinkedHashMap<>());
      }
      case CredentialCache.Answer.Denied denied -> {
        refusals.tell(Refusal.STS_DENIED, pod.fullName(), request(exchange), denied.why());
        yield new Reply(
            Refusal.STS_DENIED.status(),
            Refusal.STS_DENIED.text(),
            "application/json",
            error(
                "AssumeRoleUnauthorizedAccess",
                assigned.name() + " does not exist or does not trust this node"),
            new LinkedHashMap<>());
      }
      case CredentialCache.Answer.Unavailable unavailable -> {
        refusals.tell(
            Refusal.STS_UNAVAILABLE, pod.fullName(), request(exchange), unavailable.why());
        yield reply(Refusal.STS_UNAVAILABLE, "no credentials at present: try again");
      }
    };
  }

  /** Who asks; an address that is no pod's yet is waited for, the host's own is not. */
  private Asker asker(HttpExchange exchange) throws InterruptedException {
    InetAddress address = exchange.getRemoteAddress().getAddress();
    Asker asker = directory.find(address);
    if (asker instanceof Asker.Unknown && isOfThisHost(address)) {
      return new Asker.Host();
    }
    if (asker instanceof Asker.Known || asker instanceof Asker.Host) {
      return asker;
    }
    long began = System.nanoTime();
    try {
      return directory.await(address, patience.unknownPod);
    } finally {
      hold.observe((System.nanoTime() - began) / 1e9);
    }
  }

  private Reply refusedAsker(HttpExchange exchange, Asker asker) {
    String from = text(exchange.getRemoteAddress());
    return switch (asker) {
      case Asker.Host host ->
          refused(exchange, from, Refusal.OUTSIDER, "only pods are served, not the host");
      case Asker.Stranger stranger ->
          refused(exchange, from, Refusal.OUTSIDER, "only pods of this node are served");
      case Asker.Contested(String pods) -> {
        refusals.tell(
            Refusal.UNKNOWN_POD, from, request(exchange), "several pods have it: " + pods);
        yield reply(Refusal.UNKNOWN_POD, "the pod of this address is not known: try again");
      }
      case Asker other ->
          refused(
              exchange,
              from,
              Refusal.UNKNOWN_POD,
              directory.watching()
                  ? "the pod of this address is not known: try again"
                  : "the node's pods are not known: try again");
    };
  }

  private Reply refused(HttpExchange exchange, String from, Refusal refusal, String why) {
    refusals.tell(refusal, from, request(exchange), why);
    return reply(refusal, why);
  }

  private static Reply reply(Refusal refusal, String why) {
    var headers = new LinkedHashMap<String, String>();
    if (refusal.status() == 503) {
      headers.put("Retry-After", "1");
    }
    return new Reply(refusal.status(), refusal.text(), "text/plain", why + "\n", headers);
  }

  private static void send(HttpExchange exchange, Reply reply) throws IOException {
    var headers = exchange.getResponseHeaders();
    headers.set("Server", "EC2ws");
    headers.set("Content-Type", reply.type);
    headers.set("Cache-Control", "no-store");
    reply.headers.forEach(headers::set);
    byte[] body = reply.body.getBytes(StandardCharsets.UTF_8);
    if (exchange.getRequestMethod().equals("HEAD")) {
      headers.set("Content-Length", Integer.toString(body.length));
      exchange.sendResponseHeaders(reply.status, -1);
    } else {
      exchange.sendResponseHeaders(reply.status, body.length);
      exchange.getResponseBody().write(body);
    }
  }

  /** The seven fields of instance metadata; times in UTC and whole seconds, as botocore needs. */
  private static String json(Credentials credentials, Instant issued) {
    var fields = new LinkedHashMap<String, String>();
    fields.put("Code", "Success");
    fields.put("LastUpdated", issued.truncatedTo(ChronoUnit.SECONDS).toString());
    fields.put("Type", "AWS-HMAC");
    fields.put("AccessKeyId", credentials.accessKeyId());
    fields.put("SecretAccessKey", credentials.secretAccessKey());
    fields.put("Token", credentials.token());
    fields.put("Expiration", credentials.expiration().truncatedTo(ChronoUnit.SECONDS).toString());
    return json(fields);
  }

  /** In the lower-case form that the SDKs of Java and Go show. */
  private static String error(String code, String message) {
    var fields = new LinkedHashMap<String, String>();
    fields.put("code", code);
    fields.put("message", message);
    return json(fields);
  }

  private static String json(SequencedMap<String, String> fields) {
    var text = new StringWriter(2048);
    try (JsonGenerator json = JSON.createGenerator(text)) {
      json.writeStartObject();
      for (var field : fields.entrySet()) {
        json.writeStringField(field.getKey(), field.getValue());
      }
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }

  /**
   * The hosts that a request may name: a page that a browser in a pod loads from a foreign name
   * must not become one of ours by pointing that name here.
   */
  private static Set<String> hosts(Address listen) {
    var hosts = new HashSet<>(Set.of("169.254.169.254", "[fd00:ec2::254]"));
    hosts.addAll(Set.of("localhost", "127.0.0.1", "[::1]"));
    if (!listen.host().isAnyLocalAddress()) {
      String text = listen.toString();
      hosts.add(text.substring(0, text.lastIndexOf(':')));
    }
    return hosts;
  }

  private static boolean isOfThisHost(InetAddress address) {
    try {
      return NetworkInterface.getByInetAddress(address) != null;
    } catch (SocketException e) {
      return false;
    }
  }

  private static String request(HttpExchange exchange) {
    return exchange.getRequestMethod() + " " + exchange.getRequestURI();
  }

  private static String text(InetSocketAddress address) {
    return new Address(address.getAddress(), address.getPort()).toString();
  }
}
