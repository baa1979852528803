package nodeward.e2e;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.aws.FakeAutoScaling;
import nodeward.aws.FakeImds;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.component.Time;

/**
 * One node that goes away: a Node of its own on a shared control plane, with pods that kwok runs
 * and ends, instance metadata and Auto Scaling as fakes, and the packaged agent with the shipped
 * rights and nothing but its termination switched on.
 */
final class TerminationScene implements AutoCloseable {
  static final Duration SOON = Duration.ofSeconds(60);
  static final String GROUP = "workers";
  static final String HOOK = "drain";
  static final String EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers";

  private static final AtomicInteger NUMBER = new AtomicInteger();

  final String node = "going-" + NUMBER.incrementAndGet();
  final FakeImds imds;
  final FakeAutoScaling autoScaling;
  final Path directory;
  final PackagedAgent agent;
  private final ControlPlane plane;
  private final String runtime;

  /** {@code termination} is YAML of that section; {@code there} the clock of AWS. */
  TerminationScene(ControlPlane plane, Path parent, Time there, String termination)
      throws IOException {
    this(plane, parent, there, termination, "enabled: false");
  }

  /** The same, with what is configured of the container runtimes. */
  TerminationScene(ControlPlane plane, Path parent, Time there, String termination, String runtime)
      throws IOException {
    this.plane = plane;
    this.runtime = runtime;
    this.directory = Files.createDirectories(parent.resolve(node));
    var loopback = new InetSocketAddress("127.0.0.1", 0);
    imds = FakeImds.start(loopback, there).targetState("InService");
    autoScaling =
        FakeAutoScaling.start(loopback)
            .hook(GROUP, HOOK, FakeAutoScaling.Transition.TERMINATING, Duration.ofMinutes(10))
            .instance(GROUP, FakeImds.INSTANCE_ID);
    boot("11111111-2222-4333-8444-000000000001");
    int adminPort;
    try (var socket = new ServerSocket(0)) {
      adminPort = socket.getLocalPort();
    }
    agent = PackagedAgent.here(configure(adminPort, "", termination), adminPort);
    plane.addFakeNode(node);
    plane.patch(
        path(),
        "{\"spec\":{\"providerID\":\"aws:///eu-west-1a/%s\"}}".formatted(FakeImds.INSTANCE_ID));
  }

  TerminationScene(ControlPlane plane, Path parent, String termination) throws IOException {
    this(plane, parent, Time.SYSTEM, termination);
  }

  /** A clock beside the real one. */
  static Time ahead(Duration by) {
    return new Time() {
      @Override
      public Instant now() {
        return Time.SYSTEM.now().plus(by);
      }

      @Override
      public long nanos() {
        return System.nanoTime();
      }
    };
  }

  /** Writes a configuration; {@code name} makes the files of a second agent others. */
  private Path configure(int adminPort, String name, String termination) throws IOException {
    return Files.writeString(
        directory.resolve("config" + name + ".yaml"),
        """
        node: {name: %1$s, procRoot: %2$s/proc}
        kubernetes: {kubeconfig: %3$s}
        aws: {metadataEndpoint: "%4$s", autoScalingEndpoint: "%5$s"}
        gate: {enabled: false}
        metadata: {enabled: false}
        conntrack: {enabled: false}
        runtime: {%9$s}
        termination: {pollInterval: 400ms, pendingInterval: 200ms, %6$s}
        admin: {listen: "127.0.0.1:%7$d"}
        control: {socket: %2$s/control%8$s.sock}
        state: {directory: %2$s/state}
        """
            .formatted(
                node,
                directory,
                plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS),
                imds.endpoint(),
                autoScaling.endpoint(),
                termination,
                adminPort,
                name,
                runtime));
  }

  /** Another agent of the same node, as a unit beside a DaemonSet. */
  PackagedAgent another() throws IOException {
    int adminPort;
    try (var socket = new ServerSocket(0)) {
      adminPort = socket.getLocalPort();
    }
    Path own = Files.createDirectories(directory.resolve("other"));
    Path config = configure(adminPort, "-2", "");
    Path moved = own.resolve("config.yaml");
    Files.move(config, moved);
    return PackagedAgent.here(moved, adminPort);
  }

  /** The kernel says so from now on. */
  void boot(String id) throws IOException {
    // The kubelet is looked for in the agent's own network.
    Path network = Files.createDirectories(directory.resolve("proc/self/ns")).resolve("net");
    Files.deleteIfExists(network);
    Files.createSymbolicLink(network, Files.readSymbolicLink(Path.of("/proc/self/ns/net")));
    Path random = Files.createDirectories(directory.resolve("proc/sys/kernel/random"));
    Files.writeString(random.resolve("boot_id"), id + "\n");
  }

  /** Starts the agent; it has looked at instance metadata once. */
  TerminationScene start() throws IOException {
    agent.start();
    awaitState("in service");
    agent.await("it has asked for notices", SOON, () -> imds.requests(FakeImds.TARGET_STATE) > 1);
    return this;
  }

  /** So many pods that nobody brings back run on the node. */
  TerminationScene pods(int count) throws IOException {
    return pods(count, "");
  }

  /** The same, with more of their spec or metadata. */
  TerminationScene pods(int count, String finalizer) throws IOException {
    for (int i = 0; i < count; i++) {
      String more = finalizer.isEmpty() ? "" : ",\"finalizers\":[\"" + finalizer + "\"]";
      plane.post(
          "/api/v1/namespaces/default/pods",
          """
          {"apiVersion":"v1","kind":"Pod",
           "metadata":{"name":"web-%1$d-%2$s","labels":{"app":"web-%2$s"}%3$s},
           "spec":{"nodeName":"%2$s","terminationGracePeriodSeconds":1,
                   "containers":[{"name":"main","image":"main"}]}}
          """
              .formatted(i, node, more));
    }
    return this;
  }

  /** A budget that allows nothing, as no controller ever says what it allows. */
  TerminationScene blocked() throws IOException {
    plane.apply(
        """
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {name: budget-%1$s}
        spec: {maxUnavailable: 0, selector: {matchLabels: {app: web-%1$s}}}
        """
            .formatted(node));
    return this;
  }

  void unblock() throws IOException {
    plane.delete("/apis/policy/v1/namespaces/default/poddisruptionbudgets/budget-" + node);
  }

  void finish(int pod) throws IOException {
    plane.patch(
        "/api/v1/namespaces/default/pods/web-%d-%s".formatted(pod, node),
        "{\"metadata\":{\"finalizers\":null}}");
  }

  // --- what is seen from outside

  private String path() {
    return "/api/v1/nodes/" + node;
  }

  JsonNode read() throws IOException {
    return plane.get(path());
  }

  boolean cordoned() throws IOException {
    return read().at("/spec/unschedulable").asBoolean();
  }

  List<String> taints() throws IOException {
    return HandMadeNode.taints(read());
  }

  void edit(String patch) throws IOException {
    plane.patch(path(), patch);
  }

  int podsLeft() throws IOException {
    return plane
        .get("/api/v1/namespaces/default/pods?fieldSelector=spec.nodeName=" + node)
        .path("items")
        .size();
  }

  /** Each as {@code reason: message}. */
  List<String> events() throws IOException {
    var events = new ArrayList<String>();
    String selector = "?fieldSelector=involvedObject.name=" + node;
    for (JsonNode event : plane.get("/api/v1/namespaces/default/events" + selector).path("items")) {
      events.add(event.path("reason").asText() + ": " + event.path("message").asText());
    }
    return events;
  }

  void awaitEvent(String beginning) throws IOException {
    agent.await(
        "Event " + beginning, SOON, () -> events().stream().anyMatch(e -> e.startsWith(beginning)));
  }

  String state() throws IOException {
    return agent.part("termination").path("state").asText();
  }

  void awaitState(String state) throws IOException {
    agent.await("the termination is " + state, SOON, () -> state().equals(state));
  }

  void awaitCordon() throws IOException {
    agent.await("cordoned", SOON, this::cordoned);
  }

  void awaitNoPods() throws IOException {
    agent.await("no pod is left", SOON, () -> podsLeft() == 0);
  }

  /** No marks are left, and the node takes pods again. */
  void awaitAsBefore() throws IOException {
    agent.await(
        "the node is as it was",
        SOON,
        () -> {
          JsonNode now = read();
          return !now.at("/spec/unschedulable").asBoolean()
              && HandMadeNode.taints(now).stream().noneMatch(t -> t.startsWith("nodeward.dev/"))
              && now.at("/metadata/labels").path(EXCLUDE).isMissingNode()
              && now.at("/metadata/annotations").path("nodeward.dev/drain").isMissingNode();
        });
  }

  /** Lets so many more looks at instance metadata pass. */
  void awaitLooks(int count) throws IOException {
    int before = imds.requests(FakeImds.TARGET_STATE);
    agent.await(
        count + " looks", SOON, () -> imds.requests(FakeImds.TARGET_STATE) >= before + count);
  }

  long evictions() throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT).stream()
        .filter(e -> e.subresource().equals("eviction") && e.name().endsWith("-" + node))
        .filter(e -> e.code() / 100 == 2)
        .count();
  }

  /** The agent's patches of the Node itself. */
  List<AuditEntry> nodePatches() throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT).stream()
        .filter(e -> e.verb().equals("patch") && e.resource().equals("nodes"))
        .filter(e -> e.name().equals(node) && e.subresource().isEmpty())
        .toList();
  }

  /** The results of completions that Auto Scaling took. */
  List<String> completions() {
    return autoScaling.completions().stream()
        .filter(a -> a.outcome().equals("done"))
        .map(FakeAutoScaling.Action::result)
        .toList();
  }

  /** A scheduled event as EC2 lists it. */
  static String event(String code, String state, Instant notBefore) {
    var gmt =
        java.time.format.DateTimeFormatter.ofPattern(
                "d MMM uuuu HH:mm:ss 'GMT'", java.util.Locale.ENGLISH)
            .withZone(java.time.ZoneOffset.UTC);
    return """
    [{"NotBefore":"%s","Code":"%s","Description":"scheduled","EventId":"instance-event-1",
      "NotAfter":"","State":"%s"}]
    """
        .formatted(gmt.format(notBefore), code, state);
  }

  @Override
  public void close() {
    agent.close();
    imds.close();
    autoScaling.close();
  }
}
