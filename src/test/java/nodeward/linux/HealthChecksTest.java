package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import nodeward.component.Finding;
import nodeward.component.Finding.Level;
import nodeward.config.ConfigException;
import nodeward.config.ConfigReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HealthChecksTest {
  @TempDir private Path directory;

  @Test
  void aNodeOnWhichAllIsSeenHasNothingToFix() throws Exception {
    new FakeProc(directory.resolve("proc")).conntrack(5, 100);
    Files.writeString(directory.resolve("docker.pid"), "1");
    try (var _ = FakeUnixServer.docker(directory.resolve("docker.sock"));
        var _ = FakeUnixServer.containerd(directory.resolve("containerd.sock"));
        var bus = new FakeBus(directory.resolve("bus"))) {
      bus.unit("docker.service");
      bus.property("ActiveState", FakeBus.Body.ofText("active"));
      bus.property("MainPID", FakeBus.Body.ofNumber(1));
      bus.property("InactiveExitTimestamp", FakeBus.Body.ofBig(0));
      assertThat(checks().findings())
          .containsExactly(
              Finding.ok("connection tracking: 5 of 100 by " + directory.resolve("proc")),
              Finding.ok(directory.resolve("containerd.sock") + ": containerd v1.7.24"),
              Finding.ok(directory.resolve("docker.sock") + ": docker API 1.41"),
              Finding.ok("systemd: docker.service active, containerd.service not loaded"));
    }
  }

  @Test
  void whatIsMissingComesWithWhatToDo() throws Exception {
    Files.createDirectories(directory.resolve("proc"));

    assertThat(checks().findings())
        .hasSize(3)
        .allSatisfy(finding -> assertThat(finding.level()).isEqualTo(Level.NOTE))
        .extracting(Finding::remedy)
        .anyMatch(fix -> fix.contains("modprobe nf_conntrack"))
        .anyMatch(fix -> fix.contains("mount " + directory.resolve("bus")));
  }

  @Test
  void dockersSocketIsNotTouchedWithoutItsPidFile() throws Exception {
    try (var docker = FakeUnixServer.docker(directory.resolve("docker.sock"))) {
      checks().findings();

      assertThat(docker.connections()).isZero();
    }
  }

  private HealthChecks checks() throws ConfigException, IOException {
    Path file =
        Files.writeString(
            directory.resolve("c.yaml"),
            """
            node: {name: n1, procRoot: %1$s/proc}
            runtime:
              dockerSocket: %1$s/docker.sock
              dockerPidFile: %1$s/docker.pid
              containerdSocket: %1$s/containerd.sock
              systemBus: %1$s/bus
            """
                .formatted(directory));
    return new HealthChecks(ConfigReader.read(Optional.of(file), Map.of(), Map.of()));
  }
}
