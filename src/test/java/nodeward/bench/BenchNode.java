package nodeward.bench;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import nodeward.aws.FakeImds;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.config.ConfigReader;
import nodeward.kube.FakeApiServer.Request;
import nodeward.kube.TlsFront;
import nodeward.linux.FakeCri;
import nodeward.linux.NotifySocket;
import nodeward.simulator.SimulatedNode;

/**
 * The simulated node as a production node looks to the agent: TLS before the API server, thirty
 * pods with the text that real ones have, the default intervals instead of a story's short ones,
 * and systemd listening. The pods of the required DaemonSets are Ready before the agent starts.
 */
final class BenchNode implements AutoCloseable {
  static final int PODS = 30;

  private static final Duration LIMIT = Duration.ofSeconds(30);
  private static final Duration WATCHDOG = Duration.ofSeconds(30);
  private static final String GATE = "readiness.k8s.io/nodeward";

  /** From exec: systemd has its READY=1, and the gate's taint is gone from the Node. */
  record Started(long pid, Duration ready, Duration gateOpen) {}

  final SimulatedNode node;
  final TlsFront tls;
  private final Path directory;

  BenchNode(Path directory, Path agent) throws IOException, InterruptedException {
    this(directory, List.of(agent.toString()));
  }

  /** With words before the daemon's own. */
  BenchNode(Path directory, List<String> agent) throws IOException, InterruptedException {
    this.directory = Files.createDirectories(directory);
    this.node = new SimulatedNode(directory, agent);
    var uri = node.api.uri();
    this.tls = new TlsFront(directory, new InetSocketAddress(uri.getHost(), uri.getPort()));
    Files.writeString(kubeconfig(), tls.kubeconfig());
    Files.writeString(kubeconfigOfUser(directory), tls.kubeconfigOfUser());
    String boot = node.powerOn();
    node.kubelet.register(boot, FakeImds.INSTANCE_ID);
    node.kubelet.daemonPod("kube-proxy", Duration.ZERO);
    node.kubelet.daemonPod("kube2iam", Duration.ZERO);
    for (int i = 1; i <= PODS; i++) {
      node.api.put(pod(i));
      node.sandboxes().put(sandbox(i));
    }
    await("the DaemonSet pods are Ready", this::daemonsAreReady);
  }

  /** The role of a pod, numbered from 1. */
  static String role(int pod) {
    return "shop-" + pod % 10;
  }

  static String address(int pod) {
    return "127.77.1." + pod;
  }

  Path kubeconfig() {
    return directory.resolve("kubeconfig-tls");
  }

  /** What a person has. */
  static Path kubeconfigOfUser(Path directory) {
    return directory.resolve("kubeconfig-user");
  }

  /** Starts the agent with more in its environment and waits until the gate is open. */
  Started start(Map<String, String> more) throws IOException, InterruptedException {
    String socket = "@nodeward-bench-" + UUID.randomUUID();
    var systemd = new NotifySocket(socket);
    var ready = new CompletableFuture<Long>();
    var environment = new HashMap<>(defaults());
    environment.putAll(more);
    environment.put("NODEWARD_KUBERNETES_KUBECONFIG", kubeconfig().toString());
    environment.put("NOTIFY_SOCKET", socket);
    environment.put("WATCHDOG_USEC", Long.toString(WATCHDOG.toNanos() / 1000));
    Thread.ofPlatform().daemon().name("systemd").start(() -> listen(systemd, ready));
    long exec = System.nanoTime();
    long pid = node.startAgent(environment);
    try {
      Duration untilReady = Duration.ofNanos(ready.get(LIMIT.toSeconds(), TimeUnit.SECONDS) - exec);
      await("the gate is open", () -> node.taints().stream().noneMatch(t -> t.startsWith(GATE)));
      return new Started(pid, untilReady, Duration.ofNanos(System.nanoTime() - exec));
    } catch (ExecutionException | TimeoutException e) {
      throw new IOException("the agent did not become ready, see " + node.log(), e);
    }
  }

  /** Looks every 5 ms until it is so. */
  static void await(String what, Condition condition) throws IOException, InterruptedException {
    long end = System.nanoTime() + LIMIT.toNanos();
    while (!condition.holds()) {
      if (System.nanoTime() > end) {
        throw new IOException("not within " + LIMIT.toSeconds() + " s: " + what);
      }
      Thread.sleep(5);
    }
  }

  /** Something that becomes true. */
  @FunctionalInterface
  interface Condition {
    boolean holds() throws IOException;
  }

  @Override
  public void close() throws IOException {
    node.close();
    tls.close();
  }

  /** The defaults where the simulated node's configuration is faster, for its stories' sake. */
  private static Map<String, String> defaults() throws IOException {
    Config config;
    try {
      config = ConfigReader.defaults();
    } catch (ConfigException e) {
      throw new IOException("the agent's own defaults: " + e.getMessage(), e);
    }
    return Map.of(
        "NODEWARD_CONNTRACK_INTERVAL", seconds(config.conntrack().interval()),
        "NODEWARD_RUNTIME_INTERVAL", seconds(config.runtime().interval()),
        "NODEWARD_RUNTIME_TIMEOUT", seconds(config.runtime().timeout()),
        "NODEWARD_TERMINATION_POLL_INTERVAL", seconds(config.termination().pollInterval()));
  }

  private static String seconds(Duration duration) {
    return duration.toSeconds() + "s";
  }

  /** Hears the agent until it stops; what it says must be taken, or the agent waits. */
  private static void listen(NotifySocket systemd, CompletableFuture<Long> ready) {
    try (systemd) {
      String said;
      do {
        said = systemd.heard();
        if (said.startsWith("READY=1")) {
          ready.complete(System.nanoTime());
        }
      } while (!said.equals("STOPPING=1"));
    } catch (IOException e) {
      ready.completeExceptionally(e);
    }
  }

  /**
   * What came to the API server so far, without the look at its own rights that each agent takes
   * once, in its first five minutes.
   */
  List<Request> requests() {
    return node.api.requests().stream()
        .filter(request -> !request.path().endsWith("/selfsubjectaccessreviews"))
        .toList();
  }

  private boolean daemonsAreReady() {
    return node.api.list("pods").stream()
            .filter(p -> p.path("metadata").path("namespace").asText().equals("kube-system"))
            .filter(p -> p.at("/status/conditions/0/status").asText().equals("True"))
            .count()
        == 2;
  }

  /** The same pod as containerd knows it. */
  private static FakeCri.Box sandbox(int number) {
    return new FakeCri.Box(
        "%064x".formatted(number),
        "shop",
        "app-" + number,
        "10000000-0000-4000-8000-%012d".formatted(number),
        FakeCri.State.READY,
        FakeCri.Network.POD,
        List.of(address(number)),
        Map.of("iam.amazonaws.com/role", role(number), "prometheus.io/scrape", "true"));
  }

  /** About 4 KB, as a pod with one container, a sidecar and its bookkeeping has. */
  private static String pod(int number) {
    String now = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    return """
    apiVersion: v1
    kind: Pod
    metadata:
      name: %1$s
      namespace: shop
      uid: 10000000-0000-4000-8000-%2$012d
      labels: {app: %1$s, pod-template-hash: 7d4b9c5f66, app.kubernetes.io/part-of: shop, team: checkout}
      annotations:
        iam.amazonaws.com/role: %3$s
        prometheus.io/scrape: "true"
        checksum/config: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      ownerReferences:
      - {apiVersion: apps/v1, kind: ReplicaSet, name: %1$s, uid: rs-%1$s, controller: true}
      managedFields:
      - manager: kube-controller-manager
        operation: Update
        apiVersion: v1
        time: "%5$s"
        fieldsType: FieldsV1
        fieldsV1: %6$s
      - manager: kubelet
        operation: Update
        apiVersion: v1
        time: "%5$s"
        fieldsType: FieldsV1
        fieldsV1: %6$s
        subresource: status
    spec:
      nodeName: %7$s
      terminationGracePeriodSeconds: 30
      serviceAccountName: shop
      containers: [%8$s, %8$s]
      tolerations:
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
      volumes:
      - name: token
        projected: {sources: [{serviceAccountToken: {path: token, expirationSeconds: 3607}}]}
    status:
      phase: Running
      podIP: %4$s
      podIPs: [{ip: %4$s}]
      conditions:
      - {type: Initialized, status: "True", lastTransitionTime: "%5$s"}
      - {type: Ready, status: "True", lastTransitionTime: "%5$s"}
      - {type: ContainersReady, status: "True", lastTransitionTime: "%5$s"}
      - {type: PodScheduled, status: "True", lastTransitionTime: "%5$s"}
      containerStatuses:
      - {name: main, ready: true, started: true, restartCount: 0, image: "shop/app:1.4.2", imageID: "sha256:1f"}
      - {name: proxy, ready: true, started: true, restartCount: 0, image: "shop/app:1.4.2", imageID: "sha256:1f"}
    """
        .formatted(
            "app-" + number,
            number,
            role(number),
            address(number),
            now,
            MANAGED_FIELDS,
            SimulatedNode.NAME,
            CONTAINER);
  }

  private static final String MANAGED_FIELDS =
      "{\"f:metadata\":{\"f:annotations\":{\".\":{},\"f:checksum/config\":{}},\"f:generateName\":{},"
          + "\"f:labels\":{\".\":{},\"f:app\":{},\"f:pod-template-hash\":{}},\"f:ownerReferences\":{}},"
          + "\"f:spec\":{\"f:containers\":{\"k:{name}\":{\".\":{},\"f:image\":{},\"f:resources\":{},"
          + "\"f:terminationMessagePath\":{},\"f:terminationMessagePolicy\":{}}},\"f:dnsPolicy\":{},"
          + "\"f:enableServiceLinks\":{},\"f:restartPolicy\":{},\"f:schedulerName\":{}}}";

  private static final String CONTAINER =
      "{name: main, image: \"shop/app:1.4.2\", ports: [{containerPort: 8080, name: http}],"
          + " env: [{name: REGION, value: eu-west-1}, {name: POOL, value: \"16\"}],"
          + " resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 256Mi}},"
          + " readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 5},"
          + " volumeMounts: [{name: token, mountPath: /var/run/secrets/eks, readOnly: true}]}";
}
