package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import nodeward.linux.FakeBus.Body;
import nodeward.runtime.Units.Unit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class SystemBusTest {
  private static final Duration LONG = Duration.ofSeconds(20);
  private static final Duration SHORT = Duration.ofMillis(500);
  private static final String UNIT = "docker.service";

  @TempDir private Path directory;
  private FakeBus bus;
  private SystemBus units;

  @BeforeEach
  void start() throws IOException {
    bus = new FakeBus(directory.resolve("bus"));
    bus.unit(UNIT);
    bus.property("ActiveState", Body.ofText("active"));
    bus.property("MainPID", Body.ofNumber(4711));
    bus.property("InactiveExitTimestamp", Body.ofBig(1_795_248_000_000_001L));
    units = new SystemBus(directory.resolve("bus"));
  }

  @AfterEach
  void stop() throws InterruptedException {
    bus.close();
  }

  @Test
  void aUnitTellsItsStateAndItsProcess() throws IOException {
    assertThat(units.unit(UNIT, LONG))
        .contains(
            new Unit("active", 4711, Optional.of(Instant.parse("2026-11-21T08:00:00.000001Z"))));
  }

  @Test
  void aUnitThatIsNotLoadedIsNone() throws IOException {
    assertThat(units.unit("podman.service", LONG)).isEmpty();
  }

  @Test
  void aUnitIsRestartedAndItsMainProcessKilled() throws IOException {
    units.restart(UNIT, LONG);
    units.kill(UNIT, 9, LONG);

    assertThat(bus.calls)
        .containsExactly(
            "Hello[]",
            "RestartUnit[docker.service, replace]",
            "Hello[]",
            "KillUnit[docker.service, main, 9]");
  }

  @Test
  void whatSystemdRefusesIsSaid() {
    assertThatThrownBy(() -> units.restart("podman.service", LONG))
        .hasMessage(
            "systemd: restart of podman.service: dbus: RestartUnit:"
                + " org.freedesktop.DBus.Error.AccessDenied not you");
  }

  @Test
  void aBusThatDoesNotLetTheUserInIsAnError() {
    bus.refuse();

    assertThatThrownBy(() -> units.unit(UNIT, LONG)).hasMessageContaining("REJECTED");
  }

  @Test
  void aBusThatIsSilentIsGivenUp() {
    bus.beSilent();

    assertThatThrownBy(() -> units.unit(UNIT, SHORT))
        .isInstanceOf(SocketTimeoutException.class)
        .hasMessage("systemd: unit docker.service was not answered within 500 ms");
  }

  @Test
  void withoutABusThereIsAnError() {
    assertThatThrownBy(() -> new SystemBus(directory.resolve("none")).unit(UNIT, LONG))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith("systemd: unit docker.service: ");
  }

  @Test
  void aMessageWithoutBoundIsRefused() {
    bus.mangle(
        bytes -> {
          bytes[7] = 0x7f; // the length of its body
          return bytes;
        });

    assertThatThrownBy(() -> units.unit(UNIT, LONG)).hasMessageContaining("a message of");
  }
}
