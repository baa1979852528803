package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import nodeward.aws.FakeImds;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Machine;
import nodeward.cluster.MachineAgent;
import nodeward.cluster.MachineKubelet;
import nodeward.cluster.Manifests;
import nodeward.e2e.AgentIdentity;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A machine with a real kubelet and real pods, which need 3 s to stop, goes down: every pod is
 * evicted, and so replaced, before it is stopped. The control plane is real and outside.
 */
@Tag("e2e")
final class KubeletShutdownE2eTest {
  private static final Duration LIMIT = Duration.ofSeconds(90);
  private static final int PODS = 3;
  private static final String SAID = "/var/lib/said";
  private static final String PATH = "/api/v1/namespaces/default/pods";

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;
  private static FakeImds imds;
  private static int machines;

  @BeforeAll
  static void start() throws IOException {
    plane =
        ControlPlane.start(
            directory.resolve("plane"), ControlPlane.Part.CONTROLLERS, ControlPlane.Part.SCHEDULER);
    AgentIdentity.grant(plane);
    imds = FakeImds.start(new InetSocketAddress("0.0.0.0", 0));
  }

  @AfterAll
  static void stop() {
    if (imds != null) {
      imds.close();
    }
    if (plane != null) {
      plane.close();
    }
  }

  /** The kubelet's own graceful shutdown is off: systemd stops units in order, and pods last. */
  @ParameterizedTest
  @CsvSource({"0s, poweroff", "0s, RTMIN+4", "20s, RTMIN+4"})
  void s5s8PodsAreEvictedBeforeAnybodyStopsThem(String kubeletGrace, String how) throws Exception {
    try (Machine machine = machine(kubeletGrace)) {
      Map<String, String> before = run(machine);
      down(machine, how);

      Map<String, Instant> evicted = evictions(before);
      Map<String, Instant> told = said(machine, "SIGTERM");
      assertThat(told.keySet()).isEqualTo(before.keySet());
      told.forEach((pod, at) -> assertThat(evicted.get(pod)).as(pod).isBefore(at));
      everyPodHasEndedByItselfAndIsReplaced(machine, before);
    }
  }

  /**
   * It is on: the kubelet tells pods to stop as soon as logind prepares a shutdown, and the agent
   * evicts at the same moment.
   */
  @ParameterizedTest
  @CsvSource({"20s, poweroff"})
  void s10PodsThatTheKubeletStopsAreEvictedBeforeTheyHaveEnded(String kubeletGrace, String how)
      throws Exception {
    try (Machine machine = machine(kubeletGrace)) {
      Map<String, String> before = run(machine);
      machine.await(
          "the agent holds a lock beside the kubelet's",
          () -> machine.run("systemd-inhibit", "--list", "--no-legend").contains("nodeward"));
      down(machine, how);

      Map<String, Instant> evicted = evictions(before);
      Map<String, Instant> ended = said(machine, "ended");
      assertThat(ended.keySet()).isEqualTo(before.keySet());
      ended.forEach((pod, at) -> assertThat(evicted.get(pod)).as(pod).isBefore(at));
      everyPodHasEndedByItselfAndIsReplaced(machine, before);
    }
  }

  private static Machine machine(String kubeletGrace) throws IOException {
    Machine machine = Machine.create(directory, "machine-" + ++machines);
    MachineKubelet.install(machine, plane, List.of(), "shutdownGracePeriod: " + kubeletGrace);
    MachineAgent.install(machine);
    Path kubeconfig = MachineKubelet.kubeconfig(plane, AgentIdentity.USER, AgentIdentity.GROUPS);
    machine.write("/etc/nodeward/kubeconfig", Files.readString(kubeconfig));
    machine.write(
        "/etc/nodeward/config.yaml",
        """
        node: {name: %s}
        kubernetes: {kubeconfig: /etc/nodeward/kubeconfig}
        aws: {metadataEndpoint: "http://%s:%d"}
        gate: {enabled: false}
        metadata: {enabled: false}
        """
            .formatted(machine.name(), Machine.HOST_ADDRESS, imds.endpoint().getPort()));
    return machine;
  }

  /** Boots it and returns its pods when they run, with their UIDs. */
  private static Map<String, String> run(Machine machine) throws IOException {
    machine.boot();
    machine.awaitSystemd();
    machine.await("Ready", LIMIT, () -> MachineKubelet.isReady(machine, plane));
    plane.apply(
        """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: %1$s}
        spec:
          replicas: %2$d
          selector: {matchLabels: {app: %1$s}}
          template:
            metadata: {labels: {app: %1$s}}
            spec:
              nodeSelector: {kubernetes.io/hostname: %1$s}
              automountServiceAccountToken: false
              containers:
              - name: main
                image: %3$s
                imagePullPolicy: Never
                command:
                - /bin/sh
                - -c
                - |
                  trap 'echo >/said/$HOSTNAME.SIGTERM; /bin/busybox sleep 3; echo >/said/$HOSTNAME.ended; exit 0' TERM
                  while :; do /bin/busybox sleep 600 & wait; done
                volumeMounts: [{name: said, mountPath: /said}]
              volumes: [{name: said, hostPath: {path: %4$s, type: DirectoryOrCreate}}]
        """
            .formatted(machine.name(), PODS, Manifests.BUSYBOX_IMAGE, SAID));
    machine.await("the pods run", LIMIT, () -> running(machine).size() == PODS);
    machine.await(
        "the drain is armed",
        LIMIT,
        () -> machine.property("nodeward-drain.service", "ActiveState").equals("active"));
    return running(machine);
  }

  private static void down(Machine machine, String how) throws IOException {
    if (how.equals("poweroff")) {
      machine.run("systemctl", "poweroff");
    } else {
      machine.signal(how);
    }
    assertThat(machine.awaitEnd(LIMIT)).isEqualTo(Machine.POWERED_OFF);
  }

  private static Map<String, String> running(Machine machine) throws IOException {
    var pods = new TreeMap<String, String>();
    for (JsonNode pod : podsOf(machine)) {
      if (pod.at("/status/containerStatuses/0/ready").asBoolean()) {
        pods.put(pod.at("/metadata/name").asText(), pod.at("/metadata/uid").asText());
      }
    }
    return pods;
  }

  private static List<JsonNode> podsOf(Machine machine) throws IOException {
    var pods = new ArrayList<JsonNode>();
    plane.get(PATH + "?labelSelector=app%3D" + machine.name()).path("items").forEach(pods::add);
    return pods;
  }

  /** When the eviction of each pod was asked for. */
  private static Map<String, Instant> evictions(Map<String, String> pods) throws IOException {
    var evictions = new TreeMap<String, Instant>();
    for (AuditEntry entry : plane.audit(AgentIdentity.USER_AGENT)) {
      if (entry.subresource().equals("eviction") && pods.containsKey(entry.name())) {
        evictions.put(entry.name(), entry.received());
      }
    }
    assertThat(evictions.keySet()).isEqualTo(pods.keySet());
    return evictions;
  }

  /** When the pods of a machine that is off said this, by a file of each. */
  private static Map<String, Instant> said(Machine machine, String word) throws IOException {
    var said = new TreeMap<String, Instant>();
    try (Stream<Path> files = Files.list(machine.path(SAID))) {
      for (Path file : files.filter(path -> path.toString().endsWith("." + word)).toList()) {
        String pod = file.getFileName().toString().replace("." + word, "");
        said.put(pod, Files.getLastModifiedTime(file).toInstant());
      }
    }
    return said;
  }

  private static void everyPodHasEndedByItselfAndIsReplaced(
      Machine machine, Map<String, String> before) throws IOException {
    assertThat(said(machine, "ended").keySet()).isEqualTo(before.keySet());
    List<JsonNode> now = podsOf(machine);
    assertThat(now)
        .extracting(pod -> pod.at("/metadata/uid").asText())
        .doesNotContainAnyElementsOf(before.values());
    // One that the scheduler bound before it saw the cordon is refused by the kubelet, and
    // replaced.
    assertThat(now)
        .filteredOn(pod -> !pod.at("/status/phase").asText().equals("Failed"))
        .as("%s", now)
        .hasSize(PODS)
        .allSatisfy(pod -> assertThat(pod.at("/status/phase").asText()).isEqualTo("Pending"));
  }
}
