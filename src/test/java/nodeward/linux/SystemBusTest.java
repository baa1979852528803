package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import nodeward.linux.BusMessage.Target;
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
  private FakeSystemBus bus;
  private SystemBus units;

  @BeforeEach
  void start() throws IOException {
    bus = new FakeSystemBus(directory.resolve("bus"));
    units = new SystemBus(directory.resolve("bus"));
  }

  @AfterEach
  void stop() throws IOException {
    bus.close();
  }

  @Test
  void theCallsAreThoseThatARealBusUnderstood() throws IOException {
    assertThat(
            BusMessage.call(
                1,
                new Target("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"),
                "Hello",
                List.of()))
        .isEqualTo(recorded("dbus_hello"));
    assertThat(
            BusMessage.call(
                3,
                new Target(
                    "org.freedesktop.systemd1",
                    "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager"),
                "RestartUnit",
                List.of(UNIT, "replace")))
        .isEqualTo(recorded("dbus_restartunit"));
    assertThat(
            BusMessage.call(
                4,
                new Target(
                    "org.freedesktop.systemd1",
                    "/org/freedesktop/systemd1/unit/docker_2eservice",
                    "org.freedesktop.DBus.Properties"),
                "Get",
                List.of("org.freedesktop.systemd1.Unit", "ActiveState")))
        .isEqualTo(recorded("dbus_get_activestate"));
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

    assertThat(bus.calls()).containsExactly("Hello", "RestartUnit", "Hello", "KillUnit 9");
  }

  @Test
  void whatSystemdRefusesIsSaid() {
    assertThatThrownBy(() -> units.restart("podman.service", LONG))
        .hasMessage(
            "systemd: restart of podman.service: org.freedesktop.DBus.Error.AccessDenied not you");
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

    assertThatThrownBy(() -> units.unit(UNIT, LONG)).hasMessageContaining("the bus sent a message");
  }

  @Test
  void noBytesWhateverMakeTheReaderLoopOrThrowAnythingButItsOwn() {
    var random = new Random(7);
    byte[] good = BusMessage.call(1, new Target("a.b", "/c", "d.e"), "F", List.of("x", 5));
    for (int round = 0; round < 20_000; round++) {
      byte[] bytes = Arrays.copyOf(good, random.nextInt(good.length + 1));
      for (int change = random.nextInt(6); change > 0 && bytes.length > 0; change--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      try {
        BusMessage.rest(ByteBuffer.wrap(bytes));
        BusMessage.read(ByteBuffer.wrap(bytes));
      } catch (IOException e) {
        assertThat(e).hasMessageStartingWith("the bus sent");
      }
    }
  }

  private static byte[] recorded(String name) throws IOException {
    try (InputStream in = SystemBusTest.class.getResourceAsStream("/dbus/" + name + ".hex")) {
      return HexFormat.of()
          .parseHex(new String(in.readAllBytes(), StandardCharsets.US_ASCII).strip());
    }
  }
}
