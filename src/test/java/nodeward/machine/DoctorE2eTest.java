package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import nodeward.aws.FakeAutoScaling;
import nodeward.aws.FakeImds;
import nodeward.aws.FakeSts;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Machine;
import nodeward.cluster.MachineAgent;
import nodeward.cluster.MachineKubelet;
import nodeward.cluster.Manifests;
import nodeward.e2e.AgentIdentity;
import nodeward.packaging.Run;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * {@code agent doctor} on a machine with a real systemd, a real kubelet with a pod, and a real
 * control plane: well at first, then with one thing after another amiss. At last the agent is
 * uninstalled there.
 */
@Tag("e2e")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
final class DoctorE2eTest {
  private static final String NAME = "doctor";
  private static final String GATE = "readiness.k8s.io/nodeward";
  private static final String UNITS = "/etc/systemd/system/";
  private static final String KUBELET = "/etc/kubernetes/kubelet.yaml";
  private static final Duration LIMIT = Duration.ofSeconds(90);
  // Its watches are connected a moment after it is ready.
  private static final String WELL = "until agent doctor; do sleep 0.2; done >/dev/null";
  private static final String START = "systemctl start nodeward.socket nodeward.service; " + WELL;
  private static final JsonMapper JSON = new JsonMapper();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;
  private static FakeImds imds;
  private static FakeAutoScaling autoScaling;
  private static FakeSts sts;
  private static Machine machine;

  @BeforeAll
  static void boot() throws Exception {
    plane = ControlPlane.start(directory.resolve("plane"), ControlPlane.Part.CONTROLLERS);
    AgentIdentity.grant(plane);
    var everywhere = new InetSocketAddress("0.0.0.0", 0);
    imds = FakeImds.start(everywhere).targetState("InService");
    autoScaling =
        FakeAutoScaling.start(everywhere)
            .hook("g", "h", FakeAutoScaling.Transition.TERMINATING, Duration.ofMinutes(10))
            .instance("g", FakeImds.INSTANCE_ID);
    sts = FakeSts.start(everywhere);
    machine = Machine.create(directory, NAME);
    MachineKubelet.install(machine, plane, List.of(GATE + "=pending:NoSchedule"), "");
    install();
    machine.boot();
    machine.awaitSystemd();
    machine.await("Ready", LIMIT, () -> MachineKubelet.isReady(machine, plane));
    for (String unit : List.of("nodeward.service", "nodeward-drain.service")) {
      machine.await(unit, LIMIT, () -> machine.property(unit, "ActiveState").equals("active"));
    }
    // As where the instance's hop limit is 1.
    shell(hopLimit("-A"));
    pod("web");
  }

  @AfterAll
  static void end() {
    for (AutoCloseable part : new AutoCloseable[] {machine, sts, autoScaling, imds, plane}) {
      try {
        if (part != null) {
          part.close();
        }
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }
  }

  /** As docs/install.md puts it into an image. */
  private static void install() throws Exception {
    Path tree = MachineAgent.packed();
    Run.ok(
        "sh",
        tree.resolve("bin/agent-install").toString(),
        "--root",
        machine.path("/").toString(),
        "install",
        tree.toString());
    Path kubeconfig = MachineKubelet.kubeconfig(plane, AgentIdentity.USER, AgentIdentity.GROUPS);
    machine.write("/etc/nodeward/kubeconfig", Files.readString(kubeconfig));
    machine.write(
        "/etc/nodeward/config.yaml",
        """
        node: {name: %1$s}
        kubernetes: {kubeconfig: /etc/nodeward/kubeconfig}
        aws:
          metadataEndpoint: "http://%2$s:%3$d"
          autoScalingEndpoint: "http://%2$s:%4$d"
          stsEndpoint: "http://%2$s:%5$d"
        metadata: {interceptInterfaces: [auto]}
        termination: {pollInterval: 1s}
        """
            .formatted(NAME, Machine.HOST_ADDRESS, imds.port(), autoScaling.port(), sts.port()));
  }

  private static String hopLimit(String change) {
    return "iptables -t mangle %s PREROUTING -s %s -p tcp --sport %d -j TTL --ttl-set 1"
        .formatted(change, Machine.HOST_ADDRESS, imds.port());
  }

  private static void pod(String name) throws IOException {
    machine.await(
        "there is a ServiceAccount for pods",
        LIMIT,
        () -> plane.get("/api/v1/namespaces/default/serviceaccounts").path("items").size() == 1);
    plane.apply(
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: %s}
        spec:
          nodeName: %s
          automountServiceAccountToken: false
          terminationGracePeriodSeconds: 1
          containers:
          - {name: main, image: %s, imagePullPolicy: Never, command: [/bin/busybox, sleep, "600"]}
        """
            .formatted(name, NAME, Manifests.BUSYBOX_IMAGE));
    machine.await(
        name + " runs",
        LIMIT,
        () ->
            plane
                .get("/api/v1/namespaces/default/pods/" + name)
                .at("/status/containerStatuses/0/ready")
                .asBoolean());
  }

  /** What an operator reads. */
  private record Finding(String level, String what, String remedy) {}

  private record Diagnosis(int exitCode, List<Finding> findings) {
    List<Finding> amiss() {
      return findings.stream()
          .filter(f -> f.level().equals("WRONG") || f.level().equals("UNKNOWN"))
          .toList();
    }

    List<String> ok() {
      return findings.stream().filter(f -> f.level().equals("OK")).map(Finding::what).toList();
    }
  }

  @Test
  @Order(1)
  void aGoodNodeIsWell() throws Exception {
    Diagnosis good = doctor();

    assertThat(good.amiss()).isEmpty();
    assertThat(good.exitCode()).isZero();
    assertThat(good.ok())
        .contains(
            "the agent runs",
            "rules lead pods from 169.254.169.254 to the agent",
            "instance metadata answers no further than this node (hop limit 1)",
            "create pods/eviction",
            "autoscaling:CompleteLifecycleAction",
            "cgroup driver of the pods: systemd",
            "the kubelet registers the node with readiness.k8s.io/nodeward:NoSchedule",
            "at shutdown the drain's unit drains: the kubelet leaves pods alone",
            "nodeward.service is enabled and active",
            "nodeward.service starts before kubelet.service",
            "nodeward-drain.service is enabled and active",
            "nodeward-drain.service stops before kubelet.service, containerd.service,"
                + " nodeward.service",
            "nodeward-drain.service may take the 110 s of a drain",
            "scopes of containers wait for the drain");
  }

  /** The exit code stays 0: nothing fails for it while the rules are there. */
  @Test
  @Order(2)
  void aHopLimitOfTwoIsWorthKnowing() throws Exception {
    shell(hopLimit("-D"));
    Diagnosis further = doctor();
    shell(hopLimit("-A"));

    assertThat(further.exitCode()).isZero();
    assertThat(further.findings())
        .filteredOn(f -> f.level().equals("NOTE") && f.what().contains("hop limit 2 or more"))
        .singleElement()
        .satisfies(f -> assertThat(f.remedy()).contains("--http-put-response-hop-limit 1"));
  }

  private interface Step {
    void run() throws IOException;
  }

  /** One thing amiss: what the doctor says and advises, for each finding of its own. */
  private record Trouble(String name, Step breaks, Step mends, List<String> said) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Trouble trouble(String name, String breaks, String mends, String... said) {
    return new Trouble(name, () -> shell(breaks), () -> shell(mends), List.of(said));
  }

  private static Trouble edited(String name, String file, String sed, String... said) {
    return trouble(
        name,
        "cp -p %1$s /root/kept; sed -i '%2$s' %1$s; systemctl daemon-reload".formatted(file, sed),
        "mv /root/kept %s; systemctl daemon-reload".formatted(file),
        said);
  }

  static Stream<Trouble> troubles() {
    return Stream.of(
        trouble(
            "the drain's unit is stopped",
            "systemctl stop nodeward-drain",
            "systemctl start nodeward-drain",
            "nodeward-drain.service is inactive: nothing drains the node at shutdown"
                + " -> systemctl start nodeward-drain.service"),
        trouble(
            "the drain's unit is disabled",
            "systemctl -q disable nodeward-drain",
            "systemctl -q enable nodeward-drain",
            "nodeward-drain.service is disabled: after a reboot nothing drains the node at shutdown"
                + " -> systemctl enable nodeward-drain.service"),
        trouble(
            "the drain's unit is missing",
            "mv %snodeward-drain.service /root; systemctl daemon-reload".formatted(UNITS),
            "mv /root/nodeward-drain.service %s; systemctl daemon-reload".formatted(UNITS),
            "nodeward-drain.service is not installed (not-found): nothing drains the node at"
                + " shutdown -> install the units again: agent-install"),
        trouble(
            "the agent is stopped",
            "systemctl stop nodeward.socket nodeward.service",
            START,
            "the agent does not run",
            "nodeward.service is inactive: the agent does not start at boot"
                + " -> systemctl start nodeward.service"),
        trouble(
            "the agent is stopped and the rules are removed",
            "systemctl stop nodeward.socket nodeward.service; agent interception remove",
            START,
            "the agent does not run",
            "rules for 169.254.169.254 are not in place: pods get the node's own role",
            "nodeward.service is inactive"),
        edited(
            "the agent is not ordered before the kubelet",
            UNITS + "nodeward.service",
            "/^Before=kubelet.service/d",
            "nodeward.service is not ordered before kubelet.service: pods may start unguarded"
                + " -> Before=kubelet.service in [Unit] of a drop-in of nodeward.service"),
        edited(
            "the drain is not ordered after the kubelet",
            UNITS + "nodeward-drain.service",
            "s/ kubelet.service / /",
            "nodeward-drain.service is not ordered after kubelet.service: at shutdown they stop"
                + " while pods still run -> After=kubelet.service in [Unit]"),
        edited(
            "the drain is cut short",
            UNITS + "nodeward-drain.service",
            "s/^TimeoutStopSec=.*/TimeoutStopSec=20/",
            "nodeward-drain.service is stopped after 20 s, before the deadline of a drain (110 s)"
                + " -> TimeoutStopSec=150 in [Service]"),
        trouble(
            "the unit's file is not the one that systemd has read",
            "cp -p %1$snodeward-drain.service /root/kept; echo >>%1$snodeward-drain.service"
                .formatted(UNITS),
            "mv /root/kept %snodeward-drain.service; systemctl daemon-reload".formatted(UNITS),
            "nodeward-drain.service was changed and systemd has not read it"
                + " -> systemctl daemon-reload"),
        trouble(
            "the scopes' drop-ins are removed",
            "mv %scri-containerd-.scope.d /root; systemctl daemon-reload".formatted(UNITS),
            "mv /root/cri-containerd-.scope.d %s; systemctl daemon-reload".formatted(UNITS),
            "has no Before=nodeward-drain.service: at shutdown systemd ends containers before they"
                + " are evicted -> install the scopes' drop-ins of systemd/"),
        trouble(
            "the scopes' drop-ins are removed and systemd has not read that yet",
            "mv %scri-containerd-.scope.d /root".formatted(UNITS),
            "mv /root/cri-containerd-.scope.d %s; systemctl daemon-reload".formatted(UNITS),
            "cri-containerd-.scope.d has no Before=nodeward-drain.service"),
        edited(
            "the kubelet ends pods itself and nobody delays it",
            KUBELET,
            "$ashutdownGracePeriod: 30s",
            "at shutdown the kubelet ends pods (shutdownGracePeriod 30 s) and the agent holds no"
                + " lock of logind: nothing is evicted -> start the agent"),
        edited(
            "the node is born without the gate's taint",
            KUBELET,
            "s/^registerWithTaints:.*/registerWithTaints: []/",
            "the kubelet does not register the node with readiness.k8s.io/nodeward:NoSchedule: pods"
                + " may come before the gate -> add it to registerWithTaints, see"
                + " systemd/kubelet-gate.yaml"),
        new Trouble(
            "the agent may not evict",
            () -> plane.kubectl("delete", "clusterrolebinding", "nodeward-evictions"),
            () -> AgentIdentity.grant(plane),
            List.of(
                "create pods/eviction -> grant \"create pods/eviction\" to the agent",
                "delete pods -> grant \"delete pods\" to the agent")));
  }

  @ParameterizedTest
  @MethodSource("troubles")
  @Order(3)
  void whatIsAmissIsNamedWithItsRemedyAndNothingElseIs(Trouble trouble) throws Exception {
    trouble.breaks().run();
    Diagnosis found;
    try {
      found = doctor();
    } finally {
      trouble.mends().run();
    }

    assertThat(found.exitCode()).isEqualTo(1);
    assertThat(found.amiss().stream().map(f -> f.what() + " -> " + f.remedy()))
        .as("%s", found.amiss())
        .hasSameSizeAs(trouble.said())
        .zipSatisfy(trouble.said(), (line, said) -> assertThat(line).contains(said));
  }

  /** The agent puts them back once a minute: maybe before the first look, not before the next. */
  @Test
  @Order(4)
  void rulesThatSomebodyHasRemovedAreMissedAtOnce() throws Exception {
    List<Finding> amiss = new ArrayList<>();
    for (int look = 0; look < 2 && amiss.isEmpty(); look++) {
      shell("iptables -t mangle -F FORWARD");
      amiss.addAll(doctor().amiss());
    }
    shell("systemctl restart nodeward.service; " + WELL);

    assertThat(amiss)
        .extracting(Finding::what)
        .containsExactly(
            "rules for 169.254.169.254 are not in place: pods get the node's own role");
  }

  /** The kubelet holds a lock of its own from its start on, and the agent one beside it. */
  @Test
  @Order(5)
  void aKubeletThatEndsPodsItselfIsWellWhereTheAgentDelaysIt() throws Exception {
    shell(
        """
        cp -p %1$s /root/kept
        sed -i '$ashutdownGracePeriod: 30s' %1$s
        systemctl restart kubelet.service
        """
            .formatted(KUBELET));
    machine.await(
        "both hold a lock",
        () -> {
          String locks = shell("systemd-inhibit --list --no-legend");
          return locks.contains("kubelet") && locks.contains("nodeward");
        });
    Diagnosis delayed = doctor();
    shell("mv /root/kept %s; systemctl restart kubelet.service".formatted(KUBELET));

    assertThat(delayed.amiss()).isEmpty();
    assertThat(delayed.ok())
        .contains(
            "at shutdown the kubelet ends pods (shutdownGracePeriod 30 s), the agent delays that"
                + " for 110 s");
  }

  @Test
  @Order(6)
  void anUninstalledAgentLeavesNothingOnItsRealNode() throws Exception {
    assertThat(doctor().amiss()).isEmpty();
    imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    machine.await("marked", LIMIT, () -> taints().contains("nodeward.dev/terminating"));
    machine.await(
        "drained",
        LIMIT,
        () -> plane.get("/api/v1/namespaces/default/pods").path("items").isEmpty());
    assertThat(taints()).contains(GATE);

    shell("sh /opt/nodeward/current/bin/agent-install uninstall --yes");

    JsonNode node = node();
    assertThat(node.toString()).doesNotContain("nodeward");
    assertThat(node.at("/spec/unschedulable").asBoolean()).isFalse();
    assertThat(node.at("/status/conditions").findValuesAsText("type"))
        .contains("Ready")
        .doesNotContain("ConntrackPressure", "ContainerRuntimeUnhealthy");
    assertThat(shell("systemctl --failed --no-legend")).isEmpty();
    assertThat(shell("find /etc /opt /run -name '*nodeward*'")).isEqualTo("/etc/nodeward\n");
  }

  private static JsonNode node() throws IOException {
    return plane.get("/api/v1/nodes/" + NAME);
  }

  private static List<String> taints() throws IOException {
    return node().at("/spec/taints").findValuesAsText("key");
  }

  private static Diagnosis doctor() throws IOException {
    List<String> lines = shell("agent doctor -o json; echo $?").lines().toList();
    var findings = new ArrayList<Finding>();
    String json = String.join("\n", lines.subList(0, lines.size() - 1));
    for (JsonNode each : JSON.readTree(json)) {
      findings.add(
          new Finding(
              each.get("level").asText(), each.get("what").asText(), each.get("remedy").asText()));
    }
    return new Diagnosis(Integer.parseInt(lines.getLast()), findings);
  }

  private static String shell(String script) throws IOException {
    return machine.run("sh", "-uc", "PATH=/opt/nodeward/current/bin:$PATH; " + script);
  }
}
