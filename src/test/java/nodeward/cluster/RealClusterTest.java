package nodeward.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** That the cluster of the end-to-end tests is a real one, and that nothing of it stays. */
@Tag("e2e")
final class RealClusterTest {
  private static final Duration SOON = Duration.ofSeconds(30);
  private static final String GATE = "readiness.k8s.io/nodeward";
  private static final String PODS = "/api/v1/namespaces/default/pods/";

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  static Path directory;

  private static ControlPlane plane;
  private static RealNode node;

  @BeforeAll
  static void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("shared"), ControlPlane.Part.values());
    plane.apply(Manifests.KUBE_PROXY);
    node = RealNode.start(plane, "real", List.of());
  }

  @AfterAll
  static void stop() {
    if (node != null) {
      node.close();
    }
    if (plane != null) {
      plane.close();
    }
  }

  @Test
  void apiServerThatIsKilledComesBackOnItsPortWithItsData() throws IOException {
    try (var own = ControlPlane.start(directory.resolve("killed"))) {
      own.kubectl("create", "configmap", "kept", "--from-literal=a=b");

      own.killApiServer();
      assertThrows(IOException.class, () -> own.get("/api"));
      own.startApiServer();

      assertEquals(
          "b", own.get("/api/v1/namespaces/default/configmaps/kept").at("/data/a").asText());

      own.stopApiServer();
      own.startApiServer();

      assertEquals(
          "b", own.get("/api/v1/namespaces/default/configmaps/kept").at("/data/a").asText());
    }
  }

  @Test
  void auditTellsEachRequestOfAClientOnce() throws IOException {
    Path kubeconfig = plane.kubeconfig("somebody", List.of("some-group"));

    assertThrows(
        IOException.class, () -> plane.kubectl("--kubeconfig=" + kubeconfig, "get", "pods"));

    // The log is written after the response.
    Poll.until("the request is in the audit log", SOON, () -> !podRequests("somebody").isEmpty());
    List<AuditEntry> pods = podRequests("somebody");
    assertEquals(1, pods.size(), pods::toString);
    assertEquals("list", pods.getFirst().verb());
    assertEquals("default", pods.getFirst().namespace());
    assertEquals(403, pods.getFirst().code());
    assertTrue(
        plane.audit("kubelet").stream()
            .anyMatch(
                entry ->
                    entry.verb().equals("watch")
                        && entry.stage() == AuditEntry.Stage.ResponseStarted));
  }

  @Test
  void podsOfAFakeNodeRunAndEnd() throws IOException {
    plane.addFakeNode("fake");
    plane.apply(podtool("on-fake", "fake", "sleep"));
    awaitPhase("on-fake", "Running");

    plane.delete(PODS + "on-fake");

    Poll.until("on-fake is gone", SOON, () -> pods("on-fake") == 0);
  }

  @Test
  void gateTaintHoldsWorkloadsBackButNotKubeProxy() throws IOException {
    try (var gated = RealNode.start(plane, "gated", List.of(GATE + "=pending:NoSchedule"))) {
      JsonNode taints = plane.get("/api/v1/nodes/gated").at("/spec/taints");
      assertEquals(GATE, taints.at("/0/key").asText());
      plane.apply(podtool("held-back", "gated", "sleep"));
      awaitKubeProxy(gated);
      assertEquals("Pending", phase("held-back"));

      plane.kubectl("taint", "node", "gated", GATE + "-");

      awaitPhase("held-back", "Running");
    }
  }

  @Test
  void podsRequestForMetadataReachesThisMachineWithThePodsAddress() throws IOException {
    Queue<String> callers = new ConcurrentLinkedQueue<>();
    HttpServer metadata = HttpServer.create(new InetSocketAddress(0), 0);
    metadata.createContext(
        "/",
        exchange -> {
          callers.add(exchange.getRemoteAddress().getAddress().getHostAddress());
          byte[] body = exchange.getRequestMethod().getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(200, body.length);
          exchange.getResponseBody().write(body);
          exchange.close();
        });
    metadata.start();
    try {
      node.run(
          ("iptables -t nat -A PREROUTING -i %s -d 169.254.169.254 -p tcp --dport 80"
                  + " -j DNAT --to-destination %s:%d")
              .formatted(node.podBridge(), node.hostAddress(), metadata.getAddress().getPort())
              .split(" "));
      plane.apply(podtool("asking", "real", "imds"));
      Poll.until("asking has logged", SOON, () -> !plane.kubectl("logs", "asking").isEmpty());

      JsonNode log = new ObjectMapper().readTree(plane.kubectl("logs", "asking"));
      assertEquals("PUT", log.at("/token/body").asText(), log::toString);
      assertEquals("GET", log.at("/credentials/body").asText(), log::toString);
      String address = plane.get(PODS + "asking").at("/status/podIP").asText();
      assertEquals(List.of(address, address, address), List.copyOf(callers));
    } finally {
      metadata.stop(0);
    }
  }

  @Test
  void processOnTheNodeIsSignalledByItsHandle() throws Exception {
    Process process =
        node.exec("sh", "-c", "trap 'exit 7' TERM; hostname; while :; do sleep 1; done");
    assertEquals("real", process.inputReader().readLine());

    process.destroy();

    assertTrue(process.waitFor(10, TimeUnit.SECONDS));
    assertEquals(7, process.exitValue());
    assertFalse(ProcessHandle.of(process.pid()).isPresent());
  }

  @Test
  void rebootChangesTheBootIdAndStartsThePodsAgain() throws IOException {
    try (var rebooted = RealNode.start(plane, "rebooted", List.of(GATE + ":NoSchedule"))) {
      plane.kubectl("taint", "node", "rebooted", GATE + "-");
      plane.apply(
          podtool("survivor", "rebooted", "sleep")
              .replace("restartPolicy: Never", "restartPolicy: Always"));
      awaitPhase("survivor", "Running");
      String bootId = rebooted.bootId();
      String uid = plane.get(PODS + "survivor").at("/metadata/uid").asText();

      rebooted.reboot();

      assertNotEquals(bootId, rebooted.bootId());
      String taints = plane.get("/api/v1/nodes/rebooted").at("/spec/taints").toString();
      assertFalse(taints.contains(GATE), taints);
      Poll.until(
          "survivor runs again",
          SOON,
          () -> {
            JsonNode status = plane.get(PODS + "survivor").path("status");
            return status.at("/containerStatuses/0/restartCount").asInt() > 0
                && RealNode.isTrue(status, "Ready");
          });
      assertEquals(uid, plane.get(PODS + "survivor").at("/metadata/uid").asText());
    }
  }

  @Test
  void killedKubeletAndContainerdComeBackToTheSamePods() throws IOException {
    plane.apply(podtool("undisturbed", "real", "sleep"));
    awaitPhase("undisturbed", "Running");
    String container = containerId("undisturbed");

    node.killKubelet();
    node.killContainerd();
    node.startContainerd();
    node.startKubelet();

    plane.apply(podtool("afterwards", "real", "sleep"));
    awaitPhase("afterwards", "Running");
    assertEquals(container, containerId("undisturbed"));
  }

  @Test
  void closeLeavesNothingBehind() throws IOException {
    Path namespace;
    String link;
    List<Path> cgroups;
    try (var own =
            ControlPlane.start(
                directory.resolve("closed"),
                ControlPlane.Part.CONTROLLERS,
                ControlPlane.Part.SCHEDULER);
        var closed = RealNode.start(own, "closed", List.of())) {
      own.apply(Manifests.podtool("left-running", "sleep"));
      Poll.until(
          "left-running runs",
          SOON,
          () -> own.get(PODS + "left-running").at("/status/phase").asText().equals("Running"));
      namespace = pidNamespace(closed.kubelet());
      link = closed.link();
      cgroups = closed.cgroup().directories();
      assertTrue(cgroups.stream().allMatch(Files::exists));
    }

    assertEquals(
        List.of(),
        ProcessHandle.allProcesses()
            .filter(
                process ->
                    pidNamespace(process).equals(namespace)
                        || commandLine(process).contains(directory + "/closed"))
            .map(RealClusterTest::commandLine)
            .toList());
    assertTrue(NetworkInterface.networkInterfaces().noneMatch(i -> i.getName().equals(link)));
    assertTrue(cgroups.stream().noneMatch(Files::exists));
    try (Stream<String> mounts = Files.lines(Path.of("/proc/self/mountinfo"))) {
      assertTrue(mounts.noneMatch(mount -> mount.contains(directory.toString())));
    }
  }

  private static List<AuditEntry> podRequests(String user) throws IOException {
    return plane.audit("kubectl").stream()
        .filter(entry -> entry.user().equals(user) && entry.resource().equals("pods"))
        .toList();
  }

  private static String podtool(String name, String onNode, String argument) {
    return Manifests.podtool(name, argument)
        + "  nodeSelector: {kubernetes.io/hostname: "
        + onNode
        + "}\n";
  }

  private static String commandLine(ProcessHandle process) {
    return process.info().commandLine().orElse("");
  }

  private static Path pidNamespace(ProcessHandle process) {
    try {
      return Files.readSymbolicLink(Path.of("/proc/" + process.pid() + "/ns/pid"));
    } catch (IOException e) {
      return Path.of("ended");
    }
  }

  private static void awaitKubeProxy(RealNode on) {
    Poll.until(
        "kube-proxy is Ready on " + on.name(),
        SOON,
        () -> {
          JsonNode pods =
              plane.get(
                  "/api/v1/namespaces/kube-system/pods?fieldSelector=spec.nodeName=" + on.name());
          return RealNode.isTrue(pods.at("/items/0/status"), "Ready");
        });
  }

  private static void awaitPhase(String pod, String phase) {
    Poll.until(pod + " is " + phase, SOON, () -> phase(pod).equals(phase));
  }

  private static String phase(String pod) throws IOException {
    return plane.get(PODS + pod).at("/status/phase").asText();
  }

  private static String containerId(String pod) throws IOException {
    return plane.get(PODS + pod).at("/status/containerStatuses/0/containerID").asText();
  }

  private static int pods(String name) throws IOException {
    return plane
        .get("/api/v1/namespaces/default/pods?fieldSelector=metadata.name=" + name)
        .path("items")
        .size();
  }
}
