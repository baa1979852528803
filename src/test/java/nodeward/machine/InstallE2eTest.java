package nodeward.machine;

import static nodeward.machine.GuardedMachine.NAME;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import nodeward.kube.FakeApiServer.Request;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;

/**
 * A machine that is up and has pods gets the agent as docs/install.md says, then another version,
 * the first one again, and loses it: one life, of which each test is a part.
 */
@Tag("e2e")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
final class InstallE2eTest {
  private static final Path DIST = Path.of(System.getProperty("nodeward.target"), "dist");
  private static final String INSTALLER = "/opt/nodeward/current/bin/agent-install";
  private static final String NEXT = "99.0.0";
  private static final String GATE = "readiness.k8s.io/nodeward";
  private static final List<String> UNITS =
      List.of("nodeward.socket", "nodeward.service", "nodeward-drain.service");

  @TempDir private static Path directory;
  private static GuardedMachine node;
  private static String version;
  private static String tarball;
  private static String nextTarball;

  @BeforeAll
  static void bootWithoutTheAgent() throws IOException {
    try (var files = Files.list(DIST)) {
      tarball =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.endsWith(".tar.gz"))
              .findFirst()
              .orElseThrow(() -> new IOException(DIST + " has no tarball: make dist"));
    }
    version = tarball.replaceAll("^nodeward-(.*)-linux-.*$", "$1");
    nextTarball = tarball.replace(version, NEXT);
    node = new GuardedMachine(directory, machine -> machine.bind(DIST, "/root/published"));
    node.pod("web-1", Duration.ZERO);
    node.api.edit(
        "nodes",
        "",
        NAME,
        n -> {
          n.withArray("/spec/taints").addObject().put("key", GATE).put("effect", "NoSchedule");
          n.withArray("/spec/taints").addObject().put("key", "others").put("effect", "NoSchedule");
          n.withObject("/metadata/annotations").put("others", "1");
          n.withObject("/metadata/labels").put("others", "1");
        });
    node.bootUnguarded();
    publishNext();
  }

  @AfterAll
  static void end() throws IOException {
    if (node != null) {
      node.close();
    }
  }

  /** The next version has the same agent and a unit that differs. */
  private static void publishNext() throws IOException {
    node.machine.write("/root/next/nodeward-%s/VERSION".formatted(NEXT), NEXT + "\n");
    shell(
        """
        cd /root/next
        mkdir nodeward-%2$s/systemd
        sed 's/^Description=.*/Description=the next version/' \
          /root/published/nodeward-%1$s/systemd/nodeward.service >nodeward-%2$s/systemd/nodeward.service
        tar -C /root/published --transform='flags=r;s:^nodeward-%1$s:nodeward-%2$s:' \
          --exclude='*/VERSION' --exclude='*/systemd/nodeward.service' -cf next.tar nodeward-%1$s
        tar --owner=0 --group=0 -rf next.tar nodeward-%2$s
        gzip -1 <next.tar >%3$s
        rm -r next.tar nodeward-%2$s
        sha512sum %3$s >%3$s.sha512
        """
            .formatted(version, NEXT, nextTarball));
  }

  @Test
  @Order(1)
  void s15ATarballThatIsNotThePublishedOneIsNotInstalled() throws Exception {
    shell(
        "cd /root && tar -xzf published/%s --strip-components=2 nodeward-%s/bin/agent-install"
            .formatted(tarball, version));

    assertThatThrownBy(
            () ->
                shell(
                    "cd /root && sh agent-install --sha512 next/%s.sha512 install published/%s"
                        .formatted(nextTarball, tarball)))
        .hasMessageContaining("has the wrong SHA-512")
        .hasMessageContaining("nothing was changed");
    assertThat(traces()).containsExactly("/etc/nodeward");
  }

  @Test
  @Order(2)
  void s15ThePublishedTarballIsInstalledAndGuardsTheNodeOnceItIsConfigured() throws Exception {
    String install =
        "cd /root && sh agent-install --sha512 published/%1$s.sha512 install published/%1$s"
            .formatted(tarball);
    shell(install);
    for (String unit : UNITS) {
      assertThat(node.machine.run("systemctl", "is-enabled", unit)).isEqualTo("enabled\n");
      assertThat(node.machine.property(unit, "ActiveState")).as(unit).isEqualTo("inactive");
    }

    assertThat(shell(install)).contains("nothing to do");
    node.configure("termination: {pollInterval: 1s}\n");
    shell("/opt/nodeward/current/bin/agent check-config");
    node.machine.run("systemctl", "start", UNITS.get(0), UNITS.get(1), UNITS.get(2));

    assertThat(running()).isEqualTo(version);
    assertThat(node.rules()).contains("-A NODEWARD -j DROP");
    assertThat(shell(install)).contains("nothing to do");
    node.machine.await("conditions are told", () -> !conditions().isEmpty());
    undisturbed();
  }

  @Test
  @Order(3)
  void s15AnUpgradeRunsTheNextVersionAndNeverOpensTheWayToTheNodesRole() throws Exception {
    Map<String, String> others = invocations();

    String said =
        closedThroughout(
            () ->
                shell(
                    "cd /root/next && sh %1$s --sha512 %2$s.sha512 upgrade %2$s"
                        .formatted(INSTALLER, nextTarball)));

    assertThat(said).contains("version " + NEXT + " is current, " + version + " is kept");
    assertThat(running()).isEqualTo(NEXT);
    assertThat(node.machine.property("nodeward.service", "Description"))
        .isEqualTo("the next version");
    assertThat(invocations()).isEqualTo(others);
    undisturbed();
  }

  @Test
  @Order(4)
  void s15ARollbackRunsTheFirstVersionAndNeverOpensTheWayToTheNodesRole() throws Exception {
    Map<String, String> others = invocations();

    String said = closedThroughout(() -> shell("sh " + INSTALLER + " rollback"));

    assertThat(said).contains("version " + version + " is current again");
    assertThat(running()).isEqualTo(version);
    assertThat(node.machine.property("nodeward.service", "Description"))
        .contains("the guard of this Kubernetes node");
    assertThat(invocations()).isEqualTo(others);
    assertThat(shell("sh " + INSTALLER + " list").lines())
        .containsExactlyInAnyOrder("* " + version, "  " + NEXT);
    undisturbed();
  }

  @Test
  @Order(5)
  void s15AVersionThatDoesNotStartIsToldAndSoIsTheWayBack() throws Exception {
    node.configure("nonsense: true\n");

    closedThroughout(
        () -> {
          assertThatThrownBy(() -> shell("sh " + INSTALLER + " rollback"))
              .hasMessageContaining(NEXT + " is current, but nodeward.service does not start");
          return "";
        });
    node.configure("termination: {pollInterval: 1s}\n");
    shell("sh " + INSTALLER + " rollback");

    assertThat(node.machine.property("nodeward.service", "ActiveState")).isEqualTo("active");
    assertThat(running()).isEqualTo(version);
    undisturbed();
  }

  @Test
  @Order(6)
  void s15AnAgentThatCannotBeUninstalledGuardsOn() throws Exception {
    node.api.stop();
    try {
      assertThatThrownBy(() -> shell("sh " + INSTALLER + " uninstall --yes"))
          .hasMessageContaining("the Node cannot be cleaned, nothing was removed");
    } finally {
      node.api.restart();
    }

    assertThat(running()).isEqualTo(version);
    assertThat(node.rules()).contains("-A NODEWARD -j DROP");
    undisturbed();
  }

  @Test
  @Order(7)
  void s15AnUninstalledAgentLeavesNothingOnTheMachineAndNothingOnItsNode() throws Exception {
    node.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    node.machine.await("the node is drained", () -> node.api.list("pods").isEmpty());
    assertThat(node.cordoned()).isTrue();
    assertThat(taints()).contains(GATE, "nodeward.dev/terminating", "others");
    node.pod("web-2", Duration.ZERO);
    node.api.clearRequests();

    String said = shell("sh " + INSTALLER + " uninstall --yes");

    assertThat(said).contains("taint " + GATE, "annotation nodeward.dev/drain", "cordon");
    assertThat(traces()).containsExactly("/etc/nodeward");
    assertThat(node.machine.run("iptables-save")).doesNotContain("NODEWARD", "169.254.169.254");
    assertThat(node.machine.run("ss", "-Hltn")).doesNotContain(":8181", ":9821");
    assertThat(node.machine.run("systemctl", "list-units", "--all", "--no-legend", "*nodeward*"))
        .isEmpty();
    assertThat(node.machine.run("systemctl", "--failed", "--no-legend")).isEmpty();
    assertThat(node.machine.run("systemctl", "is-system-running")).isEqualTo("running\n");
    assertThat(taints()).containsExactly("others");
    assertThat(keys("/metadata/annotations")).containsExactly("others");
    assertThat(keys("/metadata/labels")).containsExactly("others");
    assertThat(conditions()).isEmpty();
    assertThat(node.cordoned()).isFalse();
    assertThat(node.lines("drain: no shutdown, nothing is drained")).hasSize(1);
    assertThat(node.evictions()).isEmpty();
    assertThat(node.api.list("pods")).hasSize(1);
  }

  /** Does it while the rules are looked at again and again: they are the same in each look. */
  private static String closedThroughout(Callable<String> step) throws Exception {
    String rules = node.rules();
    assertThat(rules).contains("-A NODEWARD -j DROP");
    var done = new AtomicBoolean();
    try (ExecutorService looker = Executors.newSingleThreadExecutor()) {
      Future<Integer> looks =
          looker.submit(
              () -> {
                int count = 0;
                for (; !done.get(); count++) {
                  assertThat(node.rules()).as("look %d", count).isEqualTo(rules);
                }
                return count;
              });
      String said;
      try {
        said = step.call();
      } finally {
        done.set(true);
      }
      assertThat(looks.get()).isGreaterThan(10);
      assertThat(node.rules()).isEqualTo(rules);
      return said;
    }
  }

  private static void undisturbed() throws IOException {
    for (String unit : UNITS) {
      assertThat(node.machine.property(unit, "ActiveState")).as(unit).isEqualTo("active");
    }
    assertThat(node.machine.run("systemctl", "--failed", "--no-legend")).isEmpty();
    assertThat(node.evictions()).isEmpty();
    assertThat(node.api.requests())
        .filteredOn(request -> !request.method().equals("GET"))
        .extracting(Request::body)
        .noneMatch(body -> body.contains("unschedulable"));
    assertThat(node.cordoned()).isFalse();
    assertThat(taints()).contains(GATE);
  }

  /** The version whose program the unit runs. */
  private static String running() throws IOException {
    node.awaitActive("nodeward.service");
    String program = node.machine.mainProcess("nodeward.service").info().command().orElseThrow();
    return program.replaceAll("^/opt/nodeward/([^/]+)/runtime/bin/java$", "$1");
  }

  /** What runs beside the agent and must not be started anew with it. */
  private static Map<String, String> invocations() throws IOException {
    var invocations = new HashMap<String, String>();
    for (String unit : List.of("nodeward-drain", "kubelet", "containerd")) {
      String invocation = node.machine.property(unit + ".service", "InvocationID");
      assertThat(invocation).as(unit).isNotEmpty();
      invocations.put(unit, invocation);
    }
    return invocations;
  }

  /** All files that have the agent's name; the machine comes with its configuration. */
  private static List<String> traces() throws IOException {
    return shell(
            "find / -xdev \\( -path /root -o -path /proc -o -path /sys \\) -prune -o"
                + " -name '*nodeward*' -print -prune;"
                + " find /run /tmp /dev -name '*nodeward*' -print -prune")
        .lines()
        .distinct()
        .toList();
  }

  private static JsonNode nodeObject() {
    return node.api.get("nodes", "", NAME).orElseThrow();
  }

  private static List<String> taints() {
    return nodeObject().at("/spec/taints").findValuesAsText("key");
  }

  private static List<String> conditions() {
    return nodeObject().at("/status/conditions").findValuesAsText("type");
  }

  private static List<String> keys(String pointer) {
    return nodeObject().at(pointer).properties().stream().map(Map.Entry::getKey).toList();
  }

  private static String shell(String script) throws IOException {
    return node.machine.run("sh", "-euc", script);
  }
}
