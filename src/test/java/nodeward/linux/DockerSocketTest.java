package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import nodeward.linux.FakeUnixServer.Behaviour;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class DockerSocketTest {
  private static final Duration LONG = Duration.ofSeconds(20);
  private static final Duration SHORT = Duration.ofMillis(300);

  @TempDir private Path directory;
  private Path path;
  private FakeUnixServer server;
  private DockerSocket docker;

  @BeforeEach
  void listen() throws IOException {
    path = directory.resolve("docker.sock");
    server = FakeUnixServer.docker(path);
    docker = new DockerSocket(path);
  }

  @AfterEach
  void close() {
    server.close();
  }

  @Test
  void aDaemonThatIsWellTellsItsApiVersion() throws IOException {
    assertThat(docker.ping(LONG)).isEqualTo("1.41");
  }

  @Test
  void eachPingIsAConnectionOfItsOwn() throws IOException {
    docker.ping(LONG);
    docker.ping(LONG);

    assertThat(server.connections()).isEqualTo(2);
  }

  @ParameterizedTest
  @EnumSource(names = {"SILENT", "HALF", "DRIP"})
  void whoDoesNotFinishAnAnswerInTimeIsTimedOut(Behaviour behaviour) throws IOException {
    server.behave(behaviour);
    long start = System.nanoTime();

    assertThatThrownBy(() -> docker.ping(SHORT))
        .isInstanceOf(SocketTimeoutException.class)
        .hasMessage("GET /_ping at %s was not answered within 300 ms", path);

    assertThat(Duration.ofNanos(System.nanoTime() - start)).isBetween(SHORT, LONG);
  }

  @Test
  void theConnectionToAFrozenDaemonIsClosed() throws Exception {
    server.behave(Behaviour.SILENT);

    assertThatThrownBy(() -> docker.ping(SHORT)).isInstanceOf(SocketTimeoutException.class);

    assertThat(server.awaitHangUp(10, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void aDaemonThatThawsIsWellAgain() throws IOException {
    server.behave(Behaviour.SILENT);
    assertThatThrownBy(() -> docker.ping(SHORT)).isInstanceOf(SocketTimeoutException.class);

    server.behave(Behaviour.WELL);

    assertThat(docker.ping(LONG)).isEqualTo("1.41");
  }

  @Test
  void anErrorIsToldWithItsCode() throws IOException {
    server.behave(Behaviour.ERROR);

    assertThatThrownBy(() -> docker.ping(LONG))
        .isNotInstanceOf(SocketTimeoutException.class)
        .hasMessage("GET /_ping at %s failed: docker answered 500", path);
  }

  @Test
  void aFloodIsCutOff() throws IOException {
    server.behave(Behaviour.FLOOD);

    assertThatThrownBy(() -> docker.ping(LONG)).hasMessageContaining("did not answer OK");
  }

  @Test
  void aConnectionThatIsClosedAtOnceIsAFailure() throws IOException {
    server.behave(Behaviour.CLOSE);

    assertThatThrownBy(() -> docker.ping(LONG))
        .isInstanceOf(IOException.class)
        .isNotInstanceOf(SocketTimeoutException.class);
  }

  @Test
  void aKilledDaemonRefuses() {
    server.kill();

    assertThatThrownBy(() -> docker.ping(LONG))
        .isNotInstanceOf(SocketTimeoutException.class)
        .hasMessageContaining("Connection refused");
  }

  @Test
  void aSocketThatIsNotThereIsToldSo() {
    var nowhere = new DockerSocket(directory.resolve("nowhere.sock"));

    assertThatThrownBy(() -> nowhere.ping(LONG))
        .hasMessageContaining("nowhere.sock failed: No such file or directory");
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aFullBacklogIsTimedOut(boolean virtual) throws Exception {
    Path full = directory.resolve("full.sock");
    var waiting = new ArrayList<SocketChannel>();
    try (var listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      listener.bind(UnixDomainSocketAddress.of(full), 1);
      assertThatThrownBy(
              () -> {
                while (waiting.size() < 100) {
                  SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
                  waiting.add(channel);
                  channel.configureBlocking(false);
                  channel.connect(UnixDomainSocketAddress.of(full));
                }
              })
          .hasMessageContaining("temporarily unavailable");
      var call = new FutureTask<>(() -> new DockerSocket(full).ping(SHORT));

      (virtual ? Thread.ofVirtual() : Thread.ofPlatform()).start(call);

      assertThatThrownBy(() -> call.get(10, TimeUnit.SECONDS))
          .hasCauseInstanceOf(SocketTimeoutException.class);
    } finally {
      for (SocketChannel channel : waiting) {
        channel.close();
      }
    }
  }
}
