package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nodeward.cluster.Machine;
import nodeward.cluster.MachineAgent;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What systemd says of the shipped units, and what their sandbox allows. */
@Tag("e2e")
final class UnitsE2eTest {
  private static final String UNITS = "/etc/systemd/system/";
  private static final int MOST_EXPOSED = 25;

  @TempDir private static Path directory;
  private static Machine machine;

  @BeforeAll
  static void boot() throws IOException {
    machine = Machine.create(directory, "units");
    MachineAgent.install(machine);
    machine.boot();
    machine.awaitBooted();
  }

  @AfterAll
  static void end() {
    machine.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"nodeward.service", "nodeward-drain.service"})
  void s13AUnitIsUnderstoodWhollyAndLittleExposed(String unit) throws Exception {
    assertThat(machine.run("sh", "-c", "systemd-analyze verify " + UNITS + unit + " 2>&1"))
        .isEmpty();
    // Fails above the threshold.
    machine.run(
        ("systemd-analyze security --no-pager --offline=yes --threshold=%d %s%s")
            .formatted(MOST_EXPOSED, UNITS, unit)
            .split(" "));
  }

  @Test
  void s13TheSandboxAllowsWhatTheAgentDoesAndNoMore() throws Exception {
    assertThat(inTheSandboxOf("nodeward.service", "iptables-nft -w -t nat -S"))
        .contains("-P PREROUTING ACCEPT");
    assertThat(inTheSandboxOf("nodeward.service", "iptables-legacy -w -t nat -S"))
        .contains("-P PREROUTING ACCEPT");
    assertThat(inTheSandboxOf("nodeward.service", "cat /proc/sys/net/netfilter/nf_conntrack_max"))
        .containsPattern("\\d+");
    assertThat(inTheSandboxOf("nodeward.service", "conntrack -C")).containsPattern("\\d+");
    inTheSandboxOf("nodeward.service", "touch /etc/systemd/logind.conf.d/99-nodeward.conf");
    inTheSandboxOf("nodeward.service", "touch /var/lib/nodeward/plan.json");

    for (String forbidden :
        List.of(
            "touch /etc/nodeward/config.yaml",
            "touch /usr/bin/agent",
            "touch /opt/nodeward/agent",
            "sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'",
            "chown nobody /var/lib/nodeward",
            "mount -t tmpfs tmpfs /mnt",
            "unshare -n true",
            "ls /root",
            "dmesg")) {
      assertThat(refused("nodeward.service", forbidden)).as(forbidden).isTrue();
    }
  }

  @Test
  void s13TheDrainMayNotEvenChangeRules() throws Exception {
    inTheSandboxOf("nodeward-drain.service", "touch /var/lib/nodeward/plan.json");
    for (String forbidden :
        List.of("iptables-nft -w -t nat -S", "iptables-legacy -w -t nat -S", "touch /etc/x")) {
      assertThat(refused("nodeward-drain.service", forbidden)).as(forbidden).isTrue();
    }
  }

  private static boolean refused(String unit, String command) throws IOException {
    try {
      inTheSandboxOf(unit, command);
      return false;
    } catch (IOException e) {
      assertThat(e).hasMessageContaining("probe.service");
      return true;
    }
  }

  /** Runs a command as the unit would, with every line of its own but what it executes. */
  private static String inTheSandboxOf(String unit, String command) throws IOException {
    List<String> lines =
        Files.readAllLines(machine.path(UNITS + unit)).stream()
            .filter(l -> !l.matches("(Type|Exec\\w+|Restart|Watchdog\\w+|NotifyAccess|Wants)=.*"))
            // The state is the real unit's.
            .map(l -> l.equals("RuntimeDirectory=nodeward") ? "RuntimeDirectory=probe" : l)
            .map(
                l ->
                    l.equals("[Service]")
                        ? "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=" + command
                        : l)
            .toList();
    machine.write(UNITS + "probe.service", String.join("\n", lines) + "\n");
    machine.run("systemctl", "daemon-reload");
    machine.run("systemctl", "restart", "probe.service");
    String invocation = machine.property("probe.service", "InvocationID");
    return String.join("\n", machine.journal("_SYSTEMD_INVOCATION_ID=" + invocation, "-o", "cat"));
  }
}
