package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Things end and begin again on a machine that stays up: no pod may be touched. */
@Tag("e2e")
final class RestartE2eTest {
  @TempDir private Path directory;
  private GuardedMachine node;

  @BeforeEach
  void furnish() throws IOException {
    node = new GuardedMachine(directory);
    node.pod("web-1", Duration.ZERO);
  }

  @AfterEach
  void end() throws IOException {
    node.close();
  }

  @Test
  void s3NoRestartOfAnythingDrainsOrOpensTheWayToTheNodesRole() throws Exception {
    node.stub("docker", "");
    node.boot();
    String rules = node.rules();

    for (String unit : List.of("nodeward", "kubelet", "containerd", "docker", "dbus")) {
      node.machine.run("systemctl", "restart", unit + ".service");
      assertThat(node.rules()).as(unit).isEqualTo(rules);
    }
    node.machine.run("systemctl", "daemon-reload");
    node.machine.run("systemctl", "daemon-reexec");
    node.machine.awaitSystemd();
    node.machine.run("systemctl", "stop", "kubelet.service");
    node.machine.run("systemctl", "start", "kubelet.service");
    node.awaitActive("nodeward.service");

    assertThat(node.rules()).isEqualTo(rules).contains("-A NODEWARD -j DROP");
    assertThat(node.lines("agent: ready")).hasSize(2);
    assertThat(node.lines("drain: ")).isEmpty();
    untouched();
  }

  @Test
  void s4TheDrainUnitStoppedByHandSaysThatThisIsNoShutdown() throws Exception {
    node.boot();

    node.machine.run("systemctl", "stop", "nodeward-drain.service");

    assertThat(node.lines("drain: no shutdown, nothing is drained: systemd is running")).hasSize(1);
    assertThat(node.machine.property("nodeward-drain.service", "Result")).isEqualTo("success");
    node.machine.run("systemctl", "restart", "nodeward-drain.service");
    node.machine.run("systemctl", "restart", "nodeward-drain.service");
    assertThat(node.lines("drain: no shutdown")).hasSize(2);
    untouched();
  }

  @Test
  void s7AShutdownThatIsOnlyPlannedDrainsNothing() throws Exception {
    node.boot();

    node.machine.run("shutdown", "-r", "+10");
    node.machine.await(
        "it is planned",
        () -> node.machine.path("/run/systemd/shutdown/scheduled").toFile().exists());
    node.machine.run("systemctl", "restart", "nodeward.service", "nodeward-drain.service");

    assertThat(node.lines("drain: no shutdown")).hasSize(1);
    untouched();
  }

  @Test
  void s12AKilledAgentAndOneWithoutMemoryComeBack() throws Exception {
    node.boot();
    String rules = node.rules();

    node.machine.run("systemctl", "kill", "-s", "KILL", "nodeward.service");
    node.machine.await("back after SIGKILL", () -> node.lines("agent: ready").size() == 2);

    node.machine.unit(
        "nodeward.service.d/small.conf",
        """
        [Service]
        Environment="_JAVA_OPTIONS=-Xms5m -Xmx5m -XX:NewSize=1m -XX:MaxNewSize=2m"
        """);
    node.machine.run("systemctl", "daemon-reload");
    node.machine.run("systemctl", "kill", "-s", "KILL", "nodeward.service");
    node.machine.await(
        "out of memory, and tried again",
        () -> node.lines("java.lang.OutOfMemoryError").size() >= 2);
    node.machine.path("/etc/systemd/system/nodeward.service.d/small.conf").toFile().delete();
    node.machine.run("systemctl", "daemon-reload");
    node.machine.await("back with memory", () -> node.lines("agent: ready").size() == 3);

    assertThat(node.rules()).isEqualTo(rules);
    untouched();
  }

  @Test
  void s11AFrozenAgentIsReplaced() throws Exception {
    impatient("");
    node.boot();
    String rules = node.rules();

    node.machine.run("systemctl", "kill", "-s", "STOP", "nodeward.service");
    node.machine.await("back", () -> node.lines("agent: ready").size() == 2);

    assertThat(node.restarts("nodeward.service")).isEqualTo(1);
    assertThat(node.lines("Watchdog timeout")).hasSize(1);
    assertThat(node.rules()).isEqualTo(rules);
    untouched();
  }

  @Test
  void s11AnAgentThatHangsLeavesItsThreadsInTheJournal() throws Exception {
    // It does not know how soon systemd wants to hear of it, and says so less often than that.
    impatient(
        """
        ExecStart=
        ExecStart=env -u WATCHDOG_USEC /opt/nodeward/current/bin/agent run
        """);
    node.boot();

    node.machine.await("back", () -> node.lines("agent: ready").size() >= 2);

    assertThat(node.lines("Full thread dump")).isNotEmpty();
    assertThat(node.lines("\"shutdown-lock\"")).isNotEmpty();
    untouched();
  }

  private void impatient(String more) throws IOException {
    node.machine.unit(
        "nodeward.service.d/impatient.conf",
        """
        [Service]
        WatchdogSec=2
        TimeoutAbortSec=2
        %s
        """
            .formatted(more));
  }

  private void untouched() {
    assertThat(node.evictions()).isEmpty();
    assertThat(node.cordoned()).isFalse();
    assertThat(node.api.list("pods")).hasSize(1);
  }
}
