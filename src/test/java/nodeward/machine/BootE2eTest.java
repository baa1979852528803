package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From power on until pods may come, and a stop of the agent; the numbers are the scenarios'. */
@Tag("e2e")
final class BootE2eTest {
  @TempDir private Path directory;

  @Test
  void s1TheAgentIsReadyAfterContainerdAndBeforeTheKubelet() throws Exception {
    try (var node = new GuardedMachine(directory)) {
      node.boot();

      node.machine.await(
          "the agent is well",
          () -> node.machine.property("nodeward.service", "StatusText").equals("all is well"));
      assertThat(node.said("containerd: started")).isBefore(node.said("agent: starting"));
      assertThat(node.said("agent: ready")).isBefore(node.said("kubelet: started"));
      assertThat(node.rules()).contains("-A NODEWARD -j DROP");
      // The port is systemd's: whoever connects while the agent restarts waits.
      assertThat(node.said("metadata: socket taken over from systemd"))
          .isBefore(node.said("kubelet: started"));
    }
  }

  @Test
  void s2AnAgentThatCannotStartDoesNotKeepTheKubeletAndIsTriedForEver() throws Exception {
    try (var node = new GuardedMachine(directory)) {
      node.machine.write("/etc/nodeward/config.yaml", "nonsense: true\n");
      node.machine.boot();
      node.awaitActive("kubelet.service");

      node.machine.await("tried again", () -> node.restarts("nodeward.service") >= 6);
      assertThat(node.lines("nonsense")).isNotEmpty();

      node.configure(GuardedMachine.UNGATED);
      node.awaitActive("nodeward.service");
    }
  }

  @Test
  void s2AnAgentThatIsNeverReadyKeepsTheKubeletForItsStartTimeOutOnly() throws Exception {
    try (var node = new GuardedMachine(directory)) {
      node.machine.unit(
          "nodeward.service.d/hangs.conf",
          """
          [Service]
          ExecStart=
          ExecStart=sleep infinity
          TimeoutStartSec=3
          """);
      node.machine.boot();
      node.awaitActive("kubelet.service");

      assertThat(node.said("nodeward.service: start operation timed out"))
          .isBefore(node.said("kubelet: started"));
      assertThat(node.lines("kubelet: started")).hasSize(1);
    }
  }

  @Test
  void s14ACleanStopIsASuccessLeavesTheRulesAndDrainsNothing() throws Exception {
    try (var node = new GuardedMachine(directory)) {
      node.pod("web-1", Duration.ZERO);
      node.boot();
      String before = node.rules();

      node.machine.run("systemctl", "stop", "nodeward.socket", "nodeward.service");

      assertThat(node.machine.property("nodeward.service", "Result")).isEqualTo("success");
      assertThat(node.machine.property("nodeward.service", "ActiveState")).isEqualTo("inactive");
      assertThat(node.rules()).isEqualTo(before).contains("-A NODEWARD -j DROP");
      assertThat(node.evictions()).isEmpty();
      assertThat(node.cordoned()).isFalse();
    }
  }
}
