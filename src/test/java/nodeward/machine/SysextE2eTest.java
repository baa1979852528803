package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import nodeward.cluster.Machine;
import nodeward.cluster.MachineAgent;
import nodeward.packaging.Run;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A machine that says it is Flatcar, with the system extension as its Butane in docs/install.md
 * lays it out. The image is mounted by a loop device, merged and matched by systemd itself; what
 * reloads systemd after that is Flatcar's and stands here as a unit.
 */
@Tag("e2e")
final class SysextE2eTest {
  /** More than systemd waits for whatever keeps a file of the extension open. */
  private static final Duration UNMOUNTED = Duration.ofMinutes(3);

  private static final List<String> UNITS =
      List.of("nodeward.socket", "nodeward.service", "nodeward-drain.service");

  @TempDir private Path directory;
  private GuardedMachine node;

  @BeforeEach
  void furnish() throws Exception {
    Path image = extension();
    node = new GuardedMachine(directory, machine -> deliver(machine, image));
    node.pod("web-1", Duration.ZERO);
  }

  @AfterEach
  void end() throws IOException {
    if (node != null) {
      node.close();
    }
  }

  @Test
  void s16AnExtensionIsUpheldLeavesUsrReadOnlyAndDrainsBeforeItIsTakenAway() throws Exception {
    node.machine.write("/etc/os-release", "ID=flatcar\nSYSEXT_LEVEL=1.0\n");
    node.bootUnguarded();
    for (String unit : UNITS) {
      node.awaitActive(unit);
      assertThat(node.machine.property(unit, "FragmentPath"))
          .endsWith("/lib/systemd/system/" + unit);
    }

    assertThatThrownBy(() -> node.machine.run("touch", "/usr/lib/nodeward/x"))
        .hasMessageContaining("Read-only file system");
    assertThat(node.machine.mainProcess("nodeward.service").info().command())
        .contains("/usr/lib/nodeward/runtime/bin/java");
    assertThat(node.rules()).contains("-A NODEWARD -j DROP");
    node.scope("cri-containerd-1.scope", "pod");
    assertThat(node.machine.property("cri-containerd-1.scope", "Before"))
        .contains("nodeward-drain.service");
    assertThat(node.machine.run("sh", "-c", "/usr/lib/nodeward/bin/agent doctor || true").lines())
        .contains(
            "ok      nodeward.service is enabled and active",
            "ok      nodeward-drain.service is enabled and active",
            "ok      scopes of containers wait for the drain");
    node.machine.run("systemctl", "stop", "cri-containerd-1.scope");
    upheld();
    refreshed();

    node.machine.run("systemctl", "poweroff");
    assertThat(node.machine.awaitEnd(UNMOUNTED)).isEqualTo(Machine.POWERED_OFF);
    assertThat(node.evictions()).hasSize(1);
    assertThat(node.lastPodGone()).isBefore(node.said("kubelet: SIGTERM"));
  }

  @Test
  void s16AnExtensionOfAnotherSystemIsNotTaken() throws Exception {
    node.bootUnguarded();

    for (String unit : UNITS) {
      assertThat(node.machine.property(unit, "LoadState")).isEqualTo("not-found");
    }
    assertThat(node.lines("incompatible")).isNotEmpty();
  }

  /** It comes back after a stop by hand, and stays away when it is masked. */
  private void upheld() throws IOException {
    int starts = node.lines("agent: ready").size();
    node.machine.run("systemctl", "stop", "nodeward.service");
    node.machine.await("back", () -> node.lines("agent: ready").size() > starts);
    node.awaitActive("nodeward.service");

    node.machine.run("systemctl", "mask", "--now", "nodeward.service", "nodeward.socket");
    assertThat(node.machine.property("nodeward.service", "ActiveState")).isEqualTo("inactive");
    node.machine.run("systemctl", "unmask", "nodeward.service", "nodeward.socket");
    node.awaitActive("nodeward.service");
    node.awaitActive("nodeward.socket");
  }

  /** As an upgrade does it. */
  private void refreshed() throws IOException {
    String rules = node.rules();
    node.machine.run("systemd-sysext", "refresh");
    node.machine.run("systemctl", "restart", "nodeward.service");

    node.awaitActive("nodeward.service");
    assertThat(node.rules()).isEqualTo(rules);
    assertThat(node.machine.property("nodeward-drain.service", "ActiveState")).isEqualTo("active");
    assertThat(node.evictions()).isEmpty();
  }

  private static Path extension() throws Exception {
    String version = Files.readString(MachineAgent.packed().resolve("VERSION")).strip();
    Path to = Run.BASE.resolve("target/packaging/machine");
    Run.ok(Run.BASE.resolve("agent/packaging/sysext").toString(), version, to.toString());
    try (var files = Files.list(to)) {
      return files.filter(file -> file.toString().endsWith(".raw")).findFirst().orElseThrow();
    }
  }

  private static void deliver(Machine machine, Path image) throws IOException {
    String there = "/opt/extensions/nodeward/" + image.getFileName();
    machine.bind(image, there);
    Path link = machine.path("/etc/extensions/nodeward.raw");
    Files.createDirectories(link.getParent());
    Files.createSymbolicLink(link, Path.of(there));
    // The kernel tells a number; a node for it appears outside only, where the devices live.
    machine.unit(
        "machine-loops.service",
        """
        [Unit]
        DefaultDependencies=no
        Before=systemd-sysext.service
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=mknod /dev/loop-control c 10 237
        ExecStart=sh -c 'for n in $(seq 0 63); do mknod /dev/loop$n b 7 $n; done'
        [Install]
        WantedBy=sysinit.target
        """);
    machine.unit(
        "extensions-reload.service",
        """
        [Unit]
        BindsTo=systemd-sysext.service
        After=systemd-sysext.service
        DefaultDependencies=no
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=systemctl daemon-reload
        ExecStart=systemctl restart --no-block sockets.target timers.target multi-user.target
        [Install]
        WantedBy=sysinit.target
        """);
    machine.enable("machine-loops.service");
    machine.enable("systemd-sysext.service");
    machine.enable("extensions-reload.service");
  }
}
