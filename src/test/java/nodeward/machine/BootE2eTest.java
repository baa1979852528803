package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What happens from power on until pods may come. */
@Tag("e2e")
final class BootE2eTest {
  @TempDir private Path directory;

  @Test
  void s1TheAgentIsReadyAfterContainerdAndBeforeTheKubelet() throws Exception {
    try (var node = new GuardedMachine(directory)) {
      node.boot();

      assertThat(node.said("containerd: started")).isBefore(node.said("agent: starting"));
      assertThat(node.said("agent: ready")).isBefore(node.said("kubelet: started"));
      assertThat(node.machine.run("iptables-save")).contains("-A NODEWARD -j DROP");
      System.err.println(node.machine.tail());
      System.err.println(node.machine.run("systemd-analyze", "critical-chain"));
      System.err.println(node.machine.run("systemctl", "status", "--no-pager", "nodeward"));
    }
  }
}
