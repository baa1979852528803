package nodeward.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Holds what the tests on a machine rely on. */
@Tag("e2e")
class MachineTest {
  private static final Duration LIMIT = Duration.ofSeconds(30);

  @TempDir private Path directory;

  @Test
  void bootsWithoutAFaultKeepsItsDiskAndTellsHowItEnded() throws Exception {
    try (Machine machine = Machine.create(directory, "machine")) {
      machine.write("/etc/given", "before the boot");
      machine.unit(
          "counts.service",
          """
          [Service]
          Type=oneshot
          RemainAfterExit=yes
          ExecStart=sh -c 'echo booted >>/var/lib/count'
          [Install]
          WantedBy=multi-user.target
          """);
      machine.enable("counts.service");

      machine.boot();
      assertThat(machine.awaitBooted()).as(machine.tail()).isEqualTo("running");
      assertThat(machine.run("cat", "/etc/given", "/etc/hostname"))
          .isEqualTo("before the bootmachine\n");
      machine.run("ping", "-c", "1", Machine.HOST_ADDRESS);
      machine.run("systemctl", "reboot");
      assertThat(machine.awaitEnd(LIMIT)).isEqualTo(Machine.REBOOTS);

      machine.boot();
      machine.awaitBooted();
      assertThat(machine.path("/var/lib/count")).hasContent("booted\nbooted\n");
      machine.run("systemctl", "poweroff");
      assertThat(machine.awaitEnd(LIMIT)).isEqualTo(Machine.POWERED_OFF);
      assertThat(machine.journal("-u", "counts.service", "-g", "Stopped")).hasSize(2);
    }
    assertThat(directory).isEmptyDirectory();
  }
}
