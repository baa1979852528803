package nodeward.simulator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.kube.FakeApiServer;

/**
 * A kubelet and a scheduler in one, as small as a story needs: registers the node, brings DaemonSet
 * pods up, binds workloads once the node takes them, and lets terminating pods go after their own
 * time. Pods have addresses of the loopback range, so that they can ask for credentials from where
 * they live.
 */
public final class SimulatedKubelet implements AutoCloseable {
  /** A workload's pod: what it is, whether it has a role, and how long it takes to stop. */
  record Workload(String namespace, String name, String role, Duration stop) {
    String fullName() {
      return namespace + "/" + name;
    }
  }

  private static final String TAINT_KEY = "readiness.k8s.io/nodeward";

  private final FakeApiServer api;
  private final String node;
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().daemon().name("kubelet").factory());
  private final AtomicInteger uids = new AtomicInteger();
  private final List<Workload> waiting = new ArrayList<>();
  private final Map<String, Duration> stops = new ConcurrentHashMap<>();
  // Written by the kubelet's thread, read by the story's.
  private volatile long readyAt = System.nanoTime();

  SimulatedKubelet(FakeApiServer api, String node) {
    this.api = api;
    this.node = node;
    api.onChange(this::changed);
  }

  /** Creates the Node with the gate taint, and another agent's taint that is none of ours. */
  public void register(String bootId, String instanceId) {
    api.put(
        """
        apiVersion: v1
        kind: Node
        metadata:
          name: %1$s
          labels: {kubernetes.io/hostname: %1$s, kubernetes.io/os: linux}
          annotations: {volumes.kubernetes.io/controller-managed-attach-detach: "true"}
        spec:
          providerID: aws:///eu-west-1a/%3$s
          taints:
          - {key: %4$s, value: pending, effect: NoSchedule}
          - {key: ebs.csi.aws.com/agent-not-ready, effect: NoExecute}
        status:
          nodeInfo: {bootID: %2$s}
          conditions:
          - {type: Ready, status: "True", reason: KubeletReady, message: kubelet is posting ready status}
        """
            .formatted(node, bootId, instanceId, TAINT_KEY));
  }

  /**
   * The kubelet of the next boot: the Node is there already, so its taints are left as they are.
   */
  void registerAgain(String bootId) {
    api.edit(
        "nodes",
        "",
        node,
        object -> ((ObjectNode) object.path("status").path("nodeInfo")).put("bootID", bootId));
  }

  /** A DaemonSet of kube-system that runs on every node, the gate's taint or not. */
  void daemonSet(String name) {
    api.put(
        """
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: %1$s, namespace: kube-system}
        spec:
          selector: {matchLabels: {app: %1$s}}
          template:
            metadata: {labels: {app: %1$s}}
            spec:
              hostNetwork: true
              tolerations: [{operator: Exists}]
              containers: [{name: main, image: %1$s}]
        """
            .formatted(name));
  }

  /** A pod of a DaemonSet in kube-system that becomes Ready after this time. */
  public void daemonPod(String daemonSet, Duration untilReady) {
    String owner =
        api.get("daemonsets", "kube-system", daemonSet)
            .map(set -> set.path("metadata").path("uid").asText())
            .orElseThrow();
    api.put(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: %1$s-%2$s
          namespace: kube-system
          uid: %3$s
          ownerReferences:
          - {apiVersion: apps/v1, kind: DaemonSet, name: %1$s, uid: %5$s, controller: true}
        spec: {nodeName: %4$s, hostNetwork: true, containers: [{name: main}]}
        status: {phase: Pending}
        """
            .formatted(daemonSet, suffix(), uid(), node, owner));
    clock.schedule(() -> ready(daemonSet), untilReady.toMillis(), TimeUnit.MILLISECONDS);
  }

  /**
   * The containers of a DaemonSet's pod come up anew after a reboot: not Ready, then Ready again.
   */
  void restartDaemonPod(String daemonSet, Duration untilReady) {
    setReady(daemonSet, "False");
    clock.schedule(() -> ready(daemonSet), untilReady.toMillis(), TimeUnit.MILLISECONDS);
  }

  /** Wants these to run as soon as the node takes them. */
  void schedule(List<Workload> workloads) {
    clock.execute(
        () -> {
          waiting.addAll(workloads);
          bind();
        });
  }

  /** The address of a pod, empty while it has none. */
  String address(String namespace, String name) {
    return api.get("pods", namespace, name)
        .map(pod -> pod.path("status").path("podIP").asText())
        .orElse("");
  }

  /** How long ago the last DaemonSet pod became Ready. */
  Duration sinceReady() {
    return Duration.ofNanos(System.nanoTime() - readyAt);
  }

  List<String> workloadsHere() {
    return api.list("pods").stream()
        .filter(pod -> !pod.path("metadata").path("namespace").asText().equals("kube-system"))
        .map(SimulatedKubelet::fullName)
        .toList();
  }

  @Override
  public void close() {
    clock.shutdownNow();
  }

  private void changed(FakeApiServer.Change change) {
    switch (change.resource()) {
      case "nodes" -> clock.execute(this::bind);
      case "pods" -> stop(change);
      default -> {}
    }
  }

  /** The scheduler: nothing is bound while a NoSchedule taint or a cordon stands. */
  private void bind() {
    var object = api.get("nodes", "", node);
    if (object.isEmpty() || !takesPods(object.get())) {
      return;
    }
    for (Workload workload : List.copyOf(waiting)) {
      waiting.remove(workload);
      stops.put(workload.fullName(), workload.stop());
      run(workload);
    }
  }

  private static boolean takesPods(JsonNode node) {
    if (node.path("spec").path("unschedulable").asBoolean()) {
      return false;
    }
    for (JsonNode taint : node.path("spec").path("taints")) {
      if (taint.path("effect").asText().equals("NoSchedule")) {
        return false;
      }
    }
    return true;
  }

  private void run(Workload workload) {
    int number = uids.incrementAndGet();
    String annotations =
        workload.role().isEmpty() ? "{}" : "{iam.amazonaws.com/role: " + workload.role() + "}";
    api.put(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: %2$s
          namespace: %1$s
          uid: %3$s
          labels: {app: %2$s}
          annotations: %4$s
          ownerReferences:
          - {apiVersion: apps/v1, kind: ReplicaSet, name: %2$s, uid: rs-%2$s, controller: true}
        spec: {nodeName: %5$s, terminationGracePeriodSeconds: 30, containers: [{name: main}]}
        status:
          phase: Running
          podIP: 127.77.0.%6$d
          podIPs: [{ip: 127.77.0.%6$d}]
          conditions: [{type: Ready, status: "True", lastTransitionTime: "%7$s"}]
        """
            .formatted(
                workload.namespace(), workload.name(), uid(), annotations, node, number, now()));
  }

  /** A terminating pod is gone after the time that its containers take. */
  private void stop(FakeApiServer.Change change) {
    JsonNode metadata = change.object().path("metadata");
    if (change.type().equals("MODIFIED") && metadata.has("deletionTimestamp")) {
      String namespace = metadata.path("namespace").asText();
      String name = metadata.path("name").asText();
      Duration stop = stops.getOrDefault(namespace + "/" + name, Duration.ofMillis(500));
      clock.schedule(
          () -> api.delete("pods", namespace, name), stop.toMillis(), TimeUnit.MILLISECONDS);
    }
  }

  private void ready(String daemonSet) {
    readyAt = System.nanoTime();
    setReady(daemonSet, "True");
  }

  private void setReady(String daemonSet, String status) {
    for (JsonNode pod : api.list("pods")) {
      if (pod.path("metadata").path("name").asText().startsWith(daemonSet + "-")) {
        api.edit(
            "pods",
            "kube-system",
            pod.path("metadata").path("name").asText(),
            object -> {
              ObjectNode podStatus = (ObjectNode) object.path("status");
              podStatus.put("phase", "Running");
              podStatus
                  .putArray("conditions")
                  .addObject()
                  .put("type", "Ready")
                  .put("status", status)
                  .put("lastTransitionTime", now());
            });
      }
    }
  }

  private static String fullName(JsonNode pod) {
    JsonNode metadata = pod.path("metadata");
    return metadata.path("namespace").asText() + "/" + metadata.path("name").asText();
  }

  private String suffix() {
    return Integer.toString(0x2b000 + uids.incrementAndGet() * 7919, 36);
  }

  private String uid() {
    return "00000000-0000-4000-8000-%012d".formatted(uids.incrementAndGet());
  }

  private static String now() {
    return Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
  }
}
