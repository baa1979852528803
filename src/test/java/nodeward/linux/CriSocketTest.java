package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import nodeward.linux.FakeUnixServer.Behaviour;
import nodeward.runtime.CriApi.Version;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CriSocketTest {
  private static final Duration LONG = Duration.ofSeconds(20);
  private static final Duration SHORT = Duration.ofMillis(300);

  @TempDir private Path directory;
  private Path path;
  private FakeUnixServer server;
  private CriSocket containerd;

  @BeforeEach
  void listen() throws IOException {
    path = directory.resolve("containerd.sock");
    server = FakeUnixServer.containerd(path);
    containerd = new CriSocket(path);
  }

  @AfterEach
  void close() {
    server.close();
  }

  @Test
  void aDaemonThatIsWellTellsItsVersion() throws IOException {
    assertThat(containerd.version(LONG)).isEqualTo(new Version("containerd", "v1.7.24"));
  }

  @Test
  void anOldDaemonIsAskedByItsOldApiAndThatIsRemembered() throws IOException {
    server.behave(Behaviour.OLD);

    assertThat(containerd.version(LONG).version()).isEqualTo("v1.7.24");
    assertThat(server.connections()).isEqualTo(2);
    assertThat(containerd.version(LONG).version()).isEqualTo("v1.7.24");
    assertThat(server.connections()).isEqualTo(3);
  }

  @Test
  void aDaemonThatWasReplacedByANewOneIsStillUnderstood() throws IOException {
    server.behave(Behaviour.OLD);
    containerd.version(LONG);

    server.behave(Behaviour.WELL);

    assertThat(containerd.version(LONG).version()).isEqualTo("v1.7.24");
  }

  @ParameterizedTest
  @EnumSource(names = {"SILENT", "HALF", "DRIP"})
  void whoDoesNotFinishAnAnswerInTimeIsTimedOut(Behaviour behaviour) throws IOException {
    server.behave(behaviour);
    long start = System.nanoTime();

    assertThatThrownBy(() -> containerd.version(SHORT))
        .isInstanceOf(SocketTimeoutException.class)
        .hasMessage(
            "POST /runtime.v1.RuntimeService/Version at %s was not answered within 300 ms", path);

    assertThat(Duration.ofNanos(System.nanoTime() - start)).isBetween(SHORT, LONG);
  }

  @Test
  void theConnectionToAFrozenDaemonIsClosed() throws Exception {
    server.behave(Behaviour.SILENT);

    assertThatThrownBy(() -> containerd.version(SHORT)).isInstanceOf(SocketTimeoutException.class);

    assertThat(server.awaitHangUp(10, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void aDaemonThatThawsIsWellAgain() throws IOException {
    server.behave(Behaviour.SILENT);
    assertThatThrownBy(() -> containerd.version(SHORT)).isInstanceOf(SocketTimeoutException.class);

    server.behave(Behaviour.WELL);

    assertThat(containerd.version(LONG).name()).isEqualTo("containerd");
  }

  @Test
  void anErrorIsToldWithItsMessage() throws IOException {
    server.behave(Behaviour.ERROR);

    assertThatThrownBy(() -> containerd.version(LONG))
        .isNotInstanceOf(SocketTimeoutException.class)
        .hasMessageContaining("gRPC status 2: the snapshotter is not there");
  }

  @Test
  void aFloodIsCutOff() throws IOException {
    server.behave(Behaviour.FLOOD);

    assertThatThrownBy(() -> containerd.version(LONG))
        .hasMessageContaining("answered with more than 65536 bytes");
  }

  @Test
  void aKilledDaemonRefusesAndOneThatComesBackIsWell() throws IOException {
    server.kill();
    assertThatThrownBy(() -> containerd.version(LONG)).hasMessageContaining("Connection refused");

    server.restart();

    assertThat(containerd.version(LONG).name()).isEqualTo("containerd");
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void noProbeLeavesADescriptorBehind() throws IOException {
    containerd.version(LONG);
    long before = descriptors();

    for (int i = 0; i < 200; i++) {
      containerd.version(LONG);
    }

    assertThat(descriptors() - before).isLessThan(100); // other tests may open some meanwhile
  }

  private static long descriptors() throws IOException {
    try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
      return open.count();
    }
  }
}
