package nodeward.machine;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import nodeward.aws.FakeImds;
import nodeward.cluster.Machine;
import nodeward.cluster.MachineAgent;
import nodeward.kube.FakeApiServer;
import nodeward.kube.FakeApiServer.Change;
import nodeward.kube.FakeApiServer.Request;

/**
 * A machine with the packaged agent and its units; the kubelet and containerd are {@code
 * src/test/machine/stub}, the API server and instance metadata are fakes outside. Pods exist on the
 * API server, and where a test makes one of its scopes also as a process.
 */
final class GuardedMachine implements AutoCloseable {
  static final String NAME = "machine";

  /** Configuration for tests that have no use for the gate. */
  static final String UNGATED = "gate: {enabled: false}\n";

  static final Duration LIMIT = Duration.ofSeconds(60);
  private static final JsonMapper JSON = JsonMapper.builder().build();

  /** How the agent comes to a machine that has not been booted yet. */
  interface Delivery {
    void to(Machine machine) throws IOException;
  }

  /** A line of the journal. */
  record Line(Instant at, String unit, String text) {}

  final Machine machine;
  final FakeApiServer api;
  final FakeImds imds;
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().daemon().name("pods-end").factory());
  private final Map<String, Duration> stops = new ConcurrentHashMap<>();
  // Written by the API server's thread, read by the test's.
  private volatile Instant lastPodGone = Instant.MIN;

  /** The agent is there already and enabled. */
  GuardedMachine(Path directory) throws IOException {
    this(directory, MachineAgent::install);
  }

  GuardedMachine(Path directory, Delivery delivery) throws IOException {
    api = FakeApiServer.startForOthers();
    imds = FakeImds.start(new InetSocketAddress("0.0.0.0", 0));
    api.onChange(this::endTerminating);
    registerNode();
    machine = Machine.create(directory, NAME);
    delivery.to(machine);
    configure(UNGATED);
    machine.write("/etc/nodeward/kubeconfig", api.kubeconfig(Machine.HOST_ADDRESS));
    stub("containerd", "");
    stub("kubelet", "After=containerd.service");
  }

  /** The agent's configuration, with more YAML at its end. */
  void configure(String more) throws IOException {
    machine.write(
        "/etc/nodeward/config.yaml",
        """
        node: {name: %s}
        kubernetes: {kubeconfig: /etc/nodeward/kubeconfig}
        aws: {metadataEndpoint: "http://%s:%d"}
        metadata: {interceptInterfaces: [cni0]}
        %s
        """
            .formatted(NAME, Machine.HOST_ADDRESS, imds.endpoint().getPort(), more));
  }

  /** A service of that name which tells of its start and its stop; more for its [Unit]. */
  void stub(String name, String more) throws IOException {
    if (!Files.exists(machine.path("/opt/stub/stub"))) {
      Path stub = Path.of(System.getProperty("nodeward.basedir"), "src", "test", "machine", "stub");
      machine.copy(stub, "/opt/stub/stub");
    }
    machine.unit(
        name + ".service",
        """
        [Unit]
        Wants=network-online.target
        After=network-online.target
        %s
        [Service]
        Type=notify
        NotifyAccess=all
        ExecStart=/opt/stub/stub %s
        SyslogIdentifier=%2$s
        Restart=always
        [Install]
        WantedBy=multi-user.target
        """
            .formatted(more, name));
    machine.enable(name + ".service");
  }

  private void registerNode() {
    api.put(
        """
        apiVersion: v1
        kind: Node
        metadata: {name: %s}
        spec: {providerID: "aws:///eu-west-1a/%s"}
        """
            .formatted(NAME, FakeImds.INSTANCE_ID));
  }

  /** A pod of a ReplicaSet on the node, which is gone so long after it was told to end. */
  void pod(String name, Duration stop) {
    stops.put(name, stop);
    api.put(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: %s
          labels: {app: web}
          ownerReferences:
          - {apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: web-1, controller: true}
        spec: {nodeName: %s, containers: [{name: main, image: web}]}
        status: {phase: Running, podIP: 10.88.0.7, conditions: [{type: Ready, status: "True"}]}
        """
            .formatted(name, NAME));
  }

  private void endTerminating(Change change) {
    JsonNode metadata = change.object().path("metadata");
    if (change.resource().equals("pods") && change.type().equals("DELETED")) {
      lastPodGone = Instant.now();
    }
    if (change.resource().equals("pods")
        && change.type().equals("MODIFIED")
        && metadata.has("deletionTimestamp")) {
      String name = metadata.path("name").asText();
      long wait = stops.getOrDefault(name, Duration.ZERO).toMillis();
      clock.schedule(() -> api.delete("pods", "default", name), wait, TimeUnit.MILLISECONDS);
    }
  }

  Instant lastPodGone() {
    return lastPodGone;
  }

  /** A container as runc makes it for the kubelet: a scope in a slice, both of a transient unit. */
  void scope(String unit, String process) throws IOException {
    for (String slice : List.of("kubepods.slice", "kubepods-burstable.slice")) {
      machine.run(
          ("busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1"
                  + " org.freedesktop.systemd1.Manager StartTransientUnit ssa(sv)a(sa(sv))"
                  + " %s replace 1 DefaultDependencies b false 0")
              .formatted(slice)
              .split(" "));
    }
    machine.start(
        ("systemd-run --quiet --scope --unit=%s --slice=kubepods-burstable.slice"
                + " -p DefaultDependencies=no systemd-cat -t %s /opt/stub/stub %2$s")
            .formatted(unit, process)
            .split(" "));
    machine.await("runs: " + process, () -> !lines(process + ": started").isEmpty());
  }

  /** The kubelet with its graceful shutdown: it holds a delay lock until its pods have ended. */
  void gracefulKubelet() throws IOException {
    machine.unit(
        "kubelet-lock.service",
        """
        [Unit]
        After=dbus.service systemd-logind.service nodeward.service
        [Service]
        ExecStart=systemd-inhibit --what=shutdown --who=kubelet --mode=delay \\
          sh -c 'until busctl get-property org.freedesktop.login1 /org/freedesktop/login1 \\
          org.freedesktop.login1.Manager PreparingForShutdown | grep -q true; do sleep 0.1; done; sleep 2'
        [Install]
        WantedBy=multi-user.target
        """);
    machine.enable("kubelet-lock.service");
  }

  /** Boots, and returns when all is started and the agent is ready. */
  void boot() throws IOException {
    bootUnguarded();
    awaitActive("nodeward.service");
  }

  /** Boots, and returns when all is started that is there. */
  void bootUnguarded() throws IOException {
    machine.boot();
    String state = machine.awaitBooted();
    if (!state.equals("running")) {
      throw new AssertionError(state + "\n" + machine.tail());
    }
  }

  void awaitActive(String unit) throws IOException {
    machine.await(
        unit + " is active", LIMIT, () -> machine.property(unit, "ActiveState").equals("active"));
  }

  int restarts(String unit) throws IOException {
    return Integer.parseInt(machine.property(unit, "NRestarts"));
  }

  /** Our own rules as they are in the kernel, without their counters. */
  String rules() throws IOException {
    return machine.run("sh", "-c", "iptables-save | grep NODEWARD");
  }

  List<Request> evictions() {
    return api.requests().stream()
        .filter(r -> r.method().equals("POST") && r.path().endsWith("/eviction"))
        .toList();
  }

  /** When the node was first marked unschedulable by a request. */
  Instant firstWriteToTheNode() {
    return api.requests().stream()
        .filter(r -> r.method().equals("PATCH") && r.path().endsWith("/nodes/" + NAME))
        .map(Request::at)
        .findFirst()
        .orElseThrow(() -> new AssertionError("the node has not been written"));
  }

  boolean cordoned() {
    return api.get("nodes", "", NAME).orElseThrow().at("/spec/unschedulable").asBoolean();
  }

  void uncordon() {
    api.edit("nodes", "", NAME, n -> ((ObjectNode) n.path("spec")).remove("unschedulable"));
  }

  /** The lines of the journal, of all boots, with this text. */
  List<Line> lines(String text, String... arguments) throws IOException {
    var found = new ArrayList<Line>();
    var all = new ArrayList<>(List.of("-o", "json", "--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT"));
    all.addAll(List.of(arguments));
    for (String line : machine.journal(all.toArray(String[]::new))) {
      JsonNode entry = JSON.readTree(line);
      String message = entry.path("MESSAGE").asText();
      if (message.contains(text)) {
        long micros = Long.parseLong(entry.path("__REALTIME_TIMESTAMP").asText());
        Instant at = Instant.EPOCH.plusNanos(1000 * micros);
        String unit = entry.path("UNIT").asText(entry.path("_SYSTEMD_UNIT").asText());
        found.add(new Line(at, unit, message));
      }
    }
    return found;
  }

  /** When the journal first had this text. */
  Instant said(String text) throws IOException {
    List<Line> lines = lines(text);
    if (lines.isEmpty()) {
      throw new AssertionError("not in the journal: " + text + "\n" + machine.tail());
    }
    return lines.getFirst().at();
  }

  @Override
  public void close() throws IOException {
    try {
      machine.close();
    } finally {
      clock.shutdownNow();
      imds.close();
      api.close();
    }
  }
}
