package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import nodeward.linux.FakeBus.Body;
import nodeward.linux.SystemdState.Way;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
final class SystemdStateTest {
  @TempDir private Path directory;

  @ParameterizedTest
  @CsvSource({
    "stopping, /, DOWN",
    "maintenance, /, DOWN",
    "running, /, UP",
    "degraded, /, UP",
    "starting, /, UP",
    "initializing, /, UP",
    "offline, /, UNKNOWN",
    "unheard-of, /job/7, DOWN"
  })
  void aShutdownIsWhatSystemdSays(String state, String job, Way way) throws Exception {
    Path socket = directory.resolve("private");
    try (var systemd = new FakeBus(socket)) {
      systemd.property("SystemState", Body.ofText(state));
      systemd.property("Job", new Body().signature("v").variant("(uo)").align(8).word(7).text(job));

      assertThat(new SystemdState(socket).ask().way()).isEqualTo(way);
      assertThat(systemd.calls).noneMatch(c -> c.startsWith("Hello"));
    }
  }

  @Test
  void nobodyThereIsNoShutdown() {
    assertThat(new SystemdState(directory.resolve("none")).ask().way()).isEqualTo(Way.UNKNOWN);
  }

  @Test
  void anAnswerThatIsAnErrorIsNoShutdown() throws Exception {
    Path socket = directory.resolve("private");
    try (var systemd = new FakeBus(socket)) {
      systemd.property("SystemState", Body.ofText("unheard-of"));

      SystemdState.Answer answer = new SystemdState(socket).ask();

      assertThat(answer.way()).isEqualTo(Way.UNKNOWN);
      assertThat(answer.why()).contains("UnknownProperty");
    }
  }

  @Test
  void callsAreWrittenAsOthersWriteThem() throws Exception {
    assertThat(
            DbusMessage.call(
                    1,
                    "org.freedesktop.DBus",
                    "/org/freedesktop/DBus",
                    "org.freedesktop.DBus",
                    "Hello")
                .bytes())
        .isEqualTo(recorded("hello"));
    assertThat(
            DbusMessage.call(
                    3,
                    "org.freedesktop.systemd1",
                    "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager",
                    "RestartUnit",
                    "docker.service",
                    "replace")
                .bytes())
        .isEqualTo(recorded("restartunit"));
    assertThat(
            DbusMessage.call(
                    4,
                    "org.freedesktop.systemd1",
                    "/org/freedesktop/systemd1/unit/docker_2eservice",
                    "org.freedesktop.DBus.Properties",
                    "Get",
                    "org.freedesktop.systemd1.Unit",
                    "ActiveState")
                .bytes())
        .isEqualTo(recorded("get_activestate"));
  }

  @Test
  void whatIsWrittenIsReadAsItWas() throws Exception {
    DbusMessage call = DbusMessage.call(7, "a.b", "/c", "d.e", "F", "text", true, 5, "ü");

    assertThat(DbusMessage.read(call.bytes())).isEqualTo(call);
  }

  @Test
  void brokenMessagesAreIoExceptionsWhateverIsBroken() throws Exception {
    byte[] good = recorded("get_activestate");
    var random = new Random(1);
    for (int i = 0; i < 20_000; i++) {
      byte[] bad = Arrays.copyOf(good, 1 + random.nextInt(good.length));
      for (int j = 0; j < 1 + random.nextInt(4); j++) {
        bad[random.nextInt(bad.length)] = (byte) random.nextInt(256);
      }
      try {
        DbusMessage.read(bad);
      } catch (IOException e) {
        assertThat(e).hasMessage("dbus: a broken message");
      }
    }
    byte[] huge = Arrays.copyOf(good, 16);
    Arrays.fill(huge, 4, 8, (byte) 0x7f);
    assertThatThrownBy(() -> DbusMessage.length(huge)).hasMessageContaining("bytes");
  }

  private static byte[] recorded(String name) throws IOException {
    try (InputStream in =
        SystemdStateTest.class.getResourceAsStream("/dbus/dbus_" + name + ".hex")) {
      return HexFormat.of()
          .parseHex(new String(in.readAllBytes(), StandardCharsets.US_ASCII).strip());
    }
  }
}
