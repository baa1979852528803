package nodeward.kube;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.logging.Level;
import java.util.logging.Logger;
import mockwebserver3.Dispatcher;
import mockwebserver3.MockResponse;
import mockwebserver3.MockResponseBody;
import mockwebserver3.MockWebServer;
import mockwebserver3.RecordedRequest;
import nodeward.component.Time;
import nodeward.kube.ObjectStore.Kind;
import nodeward.kube.ObjectStore.Part;
import okhttp3.HttpUrl;
import okhttp3.Response;
import okhttp3.WebSocket;
import okhttp3.WebSocketListener;
import okio.BufferedSink;

/**
 * An API server in memory that speaks real HTTP and WebSocket on loopback: nodes, pods, namespaces,
 * events, service accounts and their tokens, leases, daemonsets, replicasets, disruption budgets,
 * volumes and their attachments, with the answers of kube-apiserver 1.34. {@link ApiServerContract}
 * holds it to them. Its switches make it what a client fears: slow, silent, forgetful, refusing, or
 * gone and back on the same port. Safe for use by several threads.
 */
public final class FakeApiServer implements AutoCloseable {
  /** A request as it came in; {@code path} without the query. */
  public record Request(
      Instant at,
      String method,
      String path,
      Map<String, String> query,
      String userAgent,
      String contentType,
      String body,
      boolean webSocket,
      String token) {
    public boolean isWatch() {
      return query.getOrDefault("watch", "").equals("true");
    }
  }

  /** What became of an object; {@code type} is ADDED, MODIFIED or DELETED. */
  public record Change(String type, String resource, JsonNode object) {}

  private record Scripted(
      Predicate<Request> requests, int status, Map<String, String> headers, String body) {}

  // Where a request leads: to a collection (name is empty), an object or its subresource.
  private record Target(Kind kind, String namespace, String name, String subresource) {}

  private static final YAMLMapper YAML = new YAMLMapper();
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
  private static final Duration BOOKMARKS = Duration.ofMinutes(1);
  private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
  private static final int FIRST_PORT = 10_000;
  private static final int PORTS = 10_000;
  private static final String BODY_END = "";
  // Held here, since java.util.logging forgets the level of a logger that nobody holds.
  private static final Logger SERVER_LOG = Logger.getLogger(MockWebServer.class.getName());

  static {
    SERVER_LOG.setLevel(Level.SEVERE);
  }

  private final Time time;
  private final ObjectStore store;
  private final BoundTokens tokens;
  private final Set<Watcher> watchers = ConcurrentHashMap.newKeySet();
  private final List<Request> requests = new CopyOnWriteArrayList<>();
  private final List<Scripted> scripted = new CopyOnWriteArrayList<>();
  private final List<Consumer<Change>> listeners = new CopyOnWriteArrayList<>();
  private final ExecutorService notifier =
      Executors.newSingleThreadExecutor(Thread.ofVirtual().name("fake-api-changes").factory());
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().daemon().name("fake-api-clock").factory());
  // Set by any thread, read by each request.
  private volatile Duration delay = Duration.ZERO;
  // Guarded by this: started, stopped and started again.
  private SwitchableSockets sockets = new SwitchableSockets();
  private MockWebServer server = new MockWebServer();
  private boolean running;
  private final InetAddress address;
  private final int port;

  private FakeApiServer(Time time, InetAddress address, int port) throws IOException {
    this.time = time;
    this.address = address;
    this.store = new ObjectStore(time);
    this.tokens = new BoundTokens(store, time);
    store.subscribeAll(this::changed);
    this.port = port == 0 ? listenSomewhere() : listen(port);
    clock.scheduleAtFixedRate(this::tick, 1, 1, TimeUnit.SECONDS);
  }

  /** On a free port of 127.0.0.1. */
  public static FakeApiServer start() throws IOException {
    return start(0);
  }

  public static FakeApiServer start(int port) throws IOException {
    return new FakeApiServer(Time.SYSTEM, LOOPBACK, port);
  }

  /** On a free port of all addresses, for those who do not see this machine's loopback. */
  public static FakeApiServer startForOthers() throws IOException {
    return new FakeApiServer(Time.SYSTEM, InetAddress.ofLiteral("0.0.0.0"), 0);
  }

  public URI uri() {
    return URI.create("http://127.0.0.1:" + port);
  }

  /** A kubeconfig, complete in itself. */
  public String kubeconfig() {
    return kubeconfig("127.0.0.1");
  }

  /** For those who reach this machine under another address. */
  public String kubeconfig(String host) {
    return """
    apiVersion: v1
    kind: Config
    clusters:
    - name: fake
      cluster: {server: "http://%s:%d"}
    users:
    - name: nodeward
      user: {token: fake-token}
    contexts:
    - name: fake
      context: {cluster: fake, user: nodeward}
    current-context: fake
    """
        .formatted(host, port);
  }

  @Override
  public void close() throws IOException {
    stop();
    clock.shutdownNow();
    notifier.shutdownNow();
  }

  // --- objects, past the API

  /**
   * Adds or replaces the objects of a YAML or JSON text, status included; a namespace that is not
   * given is "default". Returns the last.
   */
  public JsonNode put(String yaml) {
    JsonNode last = JSON.objectNode();
    try (MappingIterator<JsonNode> documents = YAML.readerFor(JsonNode.class).readValues(yaml)) {
      while (documents.hasNext()) {
        last = put(documents.next());
      }
    } catch (IOException e) {
      throw new IllegalArgumentException(e);
    }
    return last;
  }

  public JsonNode put(JsonNode object) {
    String kind = object.path("kind").asText();
    return store.put(
        ObjectStore.KINDS.stream()
            .filter(k -> k.kind().equals(kind))
            .findFirst()
            .orElseThrow(() -> new IllegalArgumentException("kind \"" + kind + "\" is not served")),
        (ObjectNode) object);
  }

  /** {@code namespace} is empty for nodes and namespaces. */
  public Optional<JsonNode> get(String resource, String namespace, String name) {
    return store.get(kind(resource), namespace, name).map(JsonNode.class::cast);
  }

  public List<JsonNode> list(String resource) {
    return List.copyOf(store.list(kind(resource), "", o -> true));
  }

  /** Changes an object in place, status included. */
  public void edit(String resource, String namespace, String name, Consumer<ObjectNode> edit) {
    ObjectNode object =
        store
            .get(kind(resource), namespace, name)
            .orElseThrow(() -> new IllegalArgumentException("no " + resource + " " + name));
    edit.accept(object);
    put(object);
  }

  /** Removes an object at once, as kubelet does when a pod has ended; false when there was none. */
  public boolean delete(String resource, String namespace, String name) {
    return store.delete(kind(resource), namespace, name);
  }

  /** Removes the pods whose grace is over at the time. */
  public void endTerminating(Instant now) {
    store.endTerminating(now);
  }

  /** Refuses from now on every token that it has issued, as after a change of its signing key. */
  public void refuseTokens() {
    tokens.refuseAll();
  }

  /** Called after each change, in order, on one thread of the server's own; it may write. */
  public void onChange(Consumer<Change> listener) {
    listeners.add(listener);
  }

  // --- switches

  /** Ends listening and cuts all connections; objects stay. */
  public synchronized void stop() throws IOException {
    if (!running) {
      return;
    }
    running = false;
    endWatches();
    sockets.resume();
    sockets.drop();
    server.close();
  }

  /** Listens again on the same port, with a history that begins now. */
  public synchronized void restart() throws IOException {
    stop();
    store.forgetHistory();
    listen(port);
  }

  public synchronized void dropConnections() throws IOException {
    sockets.drop();
  }

  /** Connections are accepted and kept, and nothing is read from them or sent. */
  public synchronized void stall() {
    sockets.stall();
  }

  /** Ends {@link #stall}: what was held back goes on. */
  public synchronized void resume() {
    sockets.resume();
  }

  /** Every answer waits so long. */
  public void delay(Duration delay) {
    this.delay = delay;
  }

  /** Answers these requests with a Status of that code and message. */
  public void answer(Predicate<Request> requests, int status, String reason, String message) {
    answer(requests, status, Map.of(), Refusal.of(status, reason, message).status.toString());
  }

  /** Answers these requests with a text that is no object of the API, as a proxy would. */
  public void answerText(Predicate<Request> requests, int status, String text) {
    answer(requests, status, Map.of(), text);
  }

  public void answer(
      Predicate<Request> requests, int status, Map<String, String> headers, String body) {
    scripted.add(new Scripted(requests, status, Map.copyOf(headers), body));
  }

  /** Ends {@link #answer}. */
  public void answerNormally() {
    scripted.clear();
  }

  /** Every resourceVersion before now is too old; open watches are told so and end. */
  public void forgetHistory() {
    store.forgetHistory();
    for (Watcher watcher : watchers) {
      watcher.sendError(Refusal.expired("The resourceVersion for the provided watch is too old."));
      watcher.end();
    }
  }

  /** Ends every watch that is open in good order, as the API server does after a while. */
  public void endWatches() {
    watchers.forEach(Watcher::end);
  }

  /** Sends a bookmark to every watch that allows them; without this they come each minute. */
  public void sendBookmarks() {
    watchers.forEach(Watcher::bookmark);
  }

  // --- what came in

  public List<Request> requests() {
    return List.copyOf(requests);
  }

  public void clearRequests() {
    requests.clear();
  }

  /** How many connections are open. */
  public synchronized int connections() {
    return sockets.open();
  }

  /** How many watches are open. */
  public int watches() {
    return watchers.size();
  }

  // --- serving

  private synchronized int listen(int onPort) throws IOException {
    sockets = new SwitchableSockets();
    server = new MockWebServer();
    server.setServerSocketFactory(sockets);
    MockWebServer serving = server;
    server.setDispatcher(
        new Dispatcher() {
          @Override
          public MockResponse dispatch(RecordedRequest request) throws InterruptedException {
            // The server queues every request for tests that ask it; this one has its own list.
            serving.takeRequest(0, TimeUnit.SECONDS);
            return FakeApiServer.this.dispatch(request);
          }
        });
    server.start(address, onPort);
    running = true;
    return server.getPort();
  }

  /**
   * Below the kernel's ephemeral ports: while the server is stopped a client that tries again could
   * get one of those for its own end, and keep the server from coming back.
   */
  private int listenSomewhere() throws IOException {
    while (true) {
      try {
        return listen(FIRST_PORT + ThreadLocalRandom.current().nextInt(PORTS));
      } catch (BindException e) {
        // Taken: the next draw.
      }
    }
  }

  private MockResponse dispatch(RecordedRequest recorded) throws InterruptedException {
    HttpUrl url = recorded.getUrl();
    Request request = request(recorded, url);
    requests.add(request);
    if (!delay.isZero()) {
      Thread.sleep(delay);
    }
    for (Scripted each : scripted) {
      if (each.requests.test(request)) {
        MockResponse.Builder response = builder(each.status, each.body);
        each.headers.forEach(response::addHeader);
        return response.build();
      }
    }
    try {
      tokens.authenticate(request.token);
      return answer(request, url.pathSegments());
    } catch (Refusal e) {
      MockResponse.Builder response = builder(e.code, e.status.toString());
      JsonNode retryAfter = e.status.at("/details/retryAfterSeconds");
      if (retryAfter.isNumber()) {
        response.addHeader("Retry-After", retryAfter.asText());
      }
      return response.build();
    }
  }

  private Request request(RecordedRequest recorded, HttpUrl url) {
    var query = new ConcurrentHashMap<String, String>();
    for (String name : url.queryParameterNames()) {
      String value = url.queryParameter(name);
      query.put(name, value == null ? "" : value);
    }
    String agent = recorded.getHeaders().get("User-Agent");
    String type = recorded.getHeaders().get("Content-Type");
    String bearer = recorded.getHeaders().get("Authorization");
    return new Request(
        time.now(),
        recorded.getMethod(),
        url.encodedPath(),
        Map.copyOf(query),
        agent == null ? "" : agent,
        type == null ? "" : type,
        recorded.getBody() == null ? "" : recorded.getBody().utf8(),
        "websocket".equalsIgnoreCase(recorded.getHeaders().get("Upgrade")),
        bearer == null ? "" : bearer.replaceFirst("^Bearer ", ""));
  }

  private MockResponse answer(Request request, List<String> path) {
    switch (path.getFirst()) {
      case "version" -> {
        return response(
            200,
            "{\"major\":\"1\",\"minor\":\"34\",\"gitVersion\":\"v1.34.4\",\"platform\":\"linux/amd64\"}");
      }
      case "readyz", "livez", "healthz" -> {
        return response(200, "ok");
      }
      default -> {
        Target target = target(path);
        return target.name.isEmpty()
            ? answerCollection(request, target)
            : answerObject(request, target);
      }
    }
  }

  private static Target target(List<String> path) {
    var rest = new ArrayList<>(path);
    String group;
    if (rest.getFirst().equals("api") && rest.size() > 2) {
      group = "";
      rest.removeFirst();
    } else if (rest.getFirst().equals("apis") && rest.size() > 3) {
      rest.removeFirst();
      group = rest.removeFirst();
    } else {
      throw Refusal.noSuchResource();
    }
    String version = rest.removeFirst();
    String namespace = "";
    if (rest.size() > 2 && rest.getFirst().equals("namespaces") && !rest.get(2).equals("status")) {
      rest.removeFirst();
      namespace = rest.removeFirst();
    }
    String resource = rest.removeFirst();
    Kind kind =
        ObjectStore.KINDS.stream()
            .filter(k -> k.group().equals(group) && k.version().equals(version))
            .filter(k -> k.resource().equals(resource))
            .findFirst()
            .orElseThrow(Refusal::noSuchResource);
    return new Target(
        kind, namespace, rest.isEmpty() ? "" : rest.getFirst(), rest.size() > 1 ? rest.get(1) : "");
  }

  private MockResponse answerCollection(Request request, Target target) {
    return switch (request.method) {
      case "GET" -> request.isWatch() ? watch(request, target) : list(request, target);
      case "POST" -> {
        ObjectNode object = object(request.body);
        if (target.kind == ObjectStore.NODES) {
          ObjectStore.taintNew(object);
        }
        yield response(
            201, store.create(target.kind, target.namespace, object, manager(request)).toString());
      }
      default -> throw Refusal.methodNotAllowed();
    };
  }

  private MockResponse answerObject(Request request, Target target) {
    Kind kind = target.kind;
    if (target.subresource.equals("eviction") && kind == ObjectStore.PODS) {
      if (!request.method.equals("POST")) {
        throw Refusal.methodNotAllowed();
      }
      store.evict(target.namespace, target.name, object(request.body));
      return response(
          201,
          "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\",\"code\":201}");
    }
    if (target.subresource.equals("token") && kind == ObjectStore.SERVICE_ACCOUNTS) {
      if (!request.method.equals("POST")) {
        throw Refusal.methodNotAllowed();
      }
      return response(
          201, tokens.issue(target.namespace, target.name, object(request.body)).toString());
    }
    Part part =
        switch (target.subresource) {
          case "" -> Part.MAIN;
          case "status" -> Part.STATUS;
          default -> throw Refusal.noSuchResource();
        };
    ObjectNode answer =
        switch (request.method) {
          case "GET" ->
              store
                  .get(kind, target.namespace, target.name)
                  .orElseThrow(() -> Refusal.notFound(kind, target.name));
          case "PUT" ->
              store.update(
                  kind,
                  target.namespace,
                  target.name,
                  part,
                  object(request.body),
                  manager(request));
          case "PATCH" ->
              store.patch(
                  kind,
                  target.namespace,
                  target.name,
                  part,
                  request.contentType,
                  request.body,
                  manager(request));
          case "DELETE" -> store.delete(kind, target.namespace, target.name, options(request));
          default -> throw Refusal.methodNotAllowed();
        };
    return response(200, answer.toString());
  }

  /** As whom the API server records the writer. */
  private static String manager(Request request) {
    String given = request.query.getOrDefault("fieldManager", "");
    return given.isEmpty() ? request.userAgent.replaceFirst("/.*", "") : given;
  }

  private static JsonNode options(Request request) {
    ObjectNode options = request.body.isEmpty() ? JSON.objectNode() : object(request.body);
    String grace = request.query.getOrDefault("gracePeriodSeconds", "");
    return grace.isEmpty() ? options : options.put("gracePeriodSeconds", Long.parseLong(grace));
  }

  private MockResponse list(Request request, Target target) {
    ObjectStore.Page page =
        store.page(
            target.kind,
            target.namespace,
            selector(request, target.kind),
            number(request, "limit"),
            request.query.getOrDefault("continue", ""));
    ObjectNode list = JSON.objectNode();
    list.put("kind", target.kind.kind() + "List").put("apiVersion", target.kind.apiVersion());
    ObjectNode meta =
        list.putObject("metadata").put("resourceVersion", Long.toString(page.version()));
    if (!page.next().isEmpty()) {
      meta.put("continue", page.next());
      if (!request.query.containsKey("fieldSelector")
          && !request.query.containsKey("labelSelector")) {
        meta.put("remainingItemCount", page.remaining());
      }
    }
    ArrayNode items = list.putArray("items");
    page.items().forEach(o -> items.add(o.without(List.of("kind", "apiVersion"))));
    return response(200, list.toString());
  }

  private static Predicate<JsonNode> selector(Request request, Kind kind) {
    return Selectors.fields(kind, request.query.getOrDefault("fieldSelector", ""))
        .and(Selectors.labels(request.query.getOrDefault("labelSelector", "")));
  }

  private static int number(Request request, String parameter) {
    String text = request.query.getOrDefault(parameter, "");
    try {
      return text.isEmpty() ? 0 : Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw Refusal.badRequest(parameter + " is not a number: " + text);
    }
  }

  private MockResponse watch(Request request, Target target) {
    var watcher =
        new Watcher(
            target,
            selector(request, target.kind),
            number(request, "resourceVersion"),
            request.query.getOrDefault("allowWatchBookmarks", "").equals("true"),
            number(request, "timeoutSeconds"));
    return !request.webSocket
        ? new MockResponse.Builder()
            .code(200)
            .body(watcher.asHttp())
            .removeHeader("Content-Length")
            .addHeader("Content-Type", "application/json")
            .addHeader("Transfer-Encoding", "chunked")
            .build()
        : new MockResponse.Builder().webSocketUpgrade(watcher.asWebSocket()).build();
  }

  private static MockResponse response(int code, String body) {
    return builder(code, body).build();
  }

  private static MockResponse.Builder builder(int code, String body) {
    return new MockResponse.Builder()
        .code(code)
        .body(body)
        .addHeader("Content-Type", body.startsWith("{") ? "application/json" : "text/plain");
  }

  private static ObjectNode object(String body) {
    try {
      // A superset of JSON, so that both are read.
      if (YAML.readTree(body) instanceof ObjectNode object) {
        return object;
      }
      throw Refusal.badRequest("the body of the request is not an object");
    } catch (JsonProcessingException e) {
      throw Refusal.badRequest("the body of the request is not JSON: " + e.getOriginalMessage());
    }
  }

  private static Kind kind(String resource) {
    return ObjectStore.KINDS.stream()
        .filter(k -> k.resource().equals(resource))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("\"" + resource + "\" is not served"));
  }

  private void changed(ObjectStore.Event event) {
    if (!listeners.isEmpty() && !notifier.isShutdown()) {
      var change =
          new Change(event.type().name(), event.kind().resource(), event.object().deepCopy());
      notifier.execute(() -> listeners.forEach(l -> l.accept(change)));
    }
  }

  private void tick() {
    watchers.forEach(Watcher::tick);
  }

  /** One open watch, whatever carries it. Events come under the store's lock and only queue. */
  private final class Watcher implements ObjectStore.Subscriber {
    private final Target target;
    private final Predicate<JsonNode> selector;
    private final long after;
    private final boolean bookmarks;
    private final long opened = System.nanoTime();
    private final long timeout;
    // The last bookmark, of the clock's thread alone.
    private long bookmarked = opened;
    // Where frames go; set when the connection is up, before the first event.
    private volatile Consumer<String> frames = frame -> {};
    private volatile Runnable ending = () -> {};

    Watcher(
        Target target, Predicate<JsonNode> selector, long after, boolean bookmarks, int timeout) {
      this.target = target;
      this.selector = selector;
      this.after = after;
      this.bookmarks = bookmarks;
      this.timeout = timeout == 0 ? Long.MAX_VALUE : TimeUnit.SECONDS.toNanos(timeout);
    }

    WebSocketListener asWebSocket() {
      return new WebSocketListener() {
        @Override
        public void onOpen(WebSocket socket, Response response) {
          begin(socket::send, () -> socket.close(1000, null));
        }

        @Override
        public void onClosing(WebSocket socket, int code, String reason) {
          leave();
          socket.close(1000, null);
        }

        @Override
        public void onFailure(
            WebSocket socket, Throwable failure, @org.jspecify.annotations.Nullable Response r) {
          leave();
        }
      };
    }

    MockResponseBody asHttp() {
      return new MockResponseBody() {
        @Override
        public long getContentLength() {
          return -1;
        }

        @Override
        public void writeTo(BufferedSink sink) throws IOException {
          var queue = new LinkedBlockingQueue<String>();
          begin(queue::add, () -> queue.add(BODY_END));
          try {
            for (String frame = queue.take(); !frame.isEmpty(); frame = queue.take()) {
              byte[] line = (frame + "\n").getBytes(java.nio.charset.StandardCharsets.UTF_8);
              sink.writeUtf8(Integer.toHexString(line.length) + "\r\n").write(line);
              sink.writeUtf8("\r\n").flush();
            }
            sink.writeUtf8("0\r\n");
          } catch (InterruptedException e) {
            throw new IOException("interrupted", e);
          } finally {
            leave();
          }
        }
      };
    }

    private void begin(Consumer<String> frames, Runnable ending) {
      this.frames = frames;
      this.ending = ending;
      watchers.add(this);
      try {
        store.subscribe(target.kind, after, this);
      } catch (Refusal e) {
        sendError(e);
        end();
      }
    }

    private void leave() {
      store.unsubscribe(this);
      watchers.remove(this);
    }

    @Override
    public void changed(ObjectStore.Event event) {
      boolean is = selects(event.object());
      boolean was = event.before() != null && selects(event.before());
      switch (event.type()) {
        case ADDED, MODIFIED -> {
          if (is) {
            send(was ? "MODIFIED" : "ADDED", event.object());
          } else if (was) {
            send("DELETED", event.object());
          }
        }
        case DELETED -> {
          if (was) {
            send("DELETED", event.object());
          }
        }
      }
    }

    private boolean selects(JsonNode object) {
      return (target.namespace.isEmpty()
              || target.namespace.equals(object.at("/metadata/namespace").asText()))
          && selector.test(object);
    }

    void bookmark() {
      if (bookmarks) {
        ObjectNode object = JSON.objectNode();
        object.put("kind", target.kind.kind()).put("apiVersion", target.kind.apiVersion());
        // Under the store's lock, so that no event slips between the version and the bookmark.
        synchronized (store) {
          object.putObject("metadata").put("resourceVersion", Long.toString(store.version()));
          send("BOOKMARK", object);
        }
      }
    }

    void tick() {
      long now = System.nanoTime();
      if (now - opened > timeout) {
        end();
      } else if (now - bookmarked > BOOKMARKS.toNanos()) {
        bookmarked = now;
        bookmark();
      }
    }

    void sendError(Refusal refusal) {
      send("ERROR", refusal.status);
    }

    private void send(String type, JsonNode object) {
      ObjectNode frame = JSON.objectNode().put("type", type);
      frame.set("object", object);
      frames.accept(frame.toString());
    }

    void end() {
      leave();
      ending.run();
    }
  }
}
