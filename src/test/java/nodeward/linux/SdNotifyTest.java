package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@EnabledOnOs(OS.LINUX)
class SdNotifyTest {
  private static final long OWN = 4711;

  @TempDir private Path directory;

  @Test
  void systemdHearsEveryStateOnItsSocket() throws IOException {
    hearsEveryStateOn(directory.resolve("notify").toString());
  }

  @Test
  void systemdHearsEveryStateOnAnAbstractSocket() throws IOException {
    hearsEveryStateOn("@nodeward-test-" + UUID.randomUUID());
  }

  private static void hearsEveryStateOn(String name) throws IOException {
    try (var systemd = new NotifySocket(name)) {
      SdNotify notify = SdNotify.from(Map.of("NOTIFY_SOCKET", name), OWN);

      notify.ready("gate closed\nmissing kube-proxy");
      notify.alive("all is well");
      notify.stopping();

      assertThat(systemd.heard()).isEqualTo("READY=1\nSTATUS=gate closed missing kube-proxy");
      assertThat(systemd.heard()).isEqualTo("WATCHDOG=1\nSTATUS=all is well");
      assertThat(systemd.heard()).isEqualTo("STOPPING=1");
    }
  }

  @Test
  void withoutSystemdNothingHappens() {
    SdNotify notify = SdNotify.from(Map.of(), OWN);

    notify.ready("all is well");

    assertThat(notify.watchdog()).isEmpty();
  }

  @Test
  void aSocketThatIsGoneDoesNotStopTheAgent() {
    SdNotify notify =
        SdNotify.from(Map.of("NOTIFY_SOCKET", directory.resolve("gone").toString()), OWN);

    notify.ready("all is well");
  }

  @ParameterizedTest
  @CsvSource({
    "30000000, ,      PT30S",
    "30000000, 4711,  PT30S",
    "500000,   4711,  PT0.5S",
    "30000000, 4712,  ",
    "0,        ,      ",
    "soon,     ,      ",
    ",         ,      ",
  })
  void theWatchdogIsForTheProcessThatItNames(String micros, String pid, Duration expected) {
    var environment = new HashMap<String, String>();
    if (micros != null) {
      environment.put("WATCHDOG_USEC", micros);
    }
    if (pid != null) {
      environment.put("WATCHDOG_PID", pid);
    }

    assertThat(SdNotify.from(environment, OWN).watchdog().orElse(null)).isEqualTo(expected);
  }

  @Test
  void anAddressIsAsLongAsItsName() throws IOException {
    assertThat(SdNotify.address("/run/x")).containsExactly(1, 0, '/', 'r', 'u', 'n', '/', 'x', 0);
    assertThat(SdNotify.address("@x")).containsExactly(1, 0, 0, 'x');
    assertThatThrownBy(() -> SdNotify.address("/" + "x".repeat(107)))
        .hasMessageContaining("longer than a Unix socket's");
  }
}
