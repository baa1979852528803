package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.SocketTimeoutException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Random;
import nodeward.linux.FakeCri.Box;
import nodeward.linux.FakeCri.Network;
import nodeward.linux.FakeCri.State;
import nodeward.linux.FakeUnixServer.Behaviour;
import nodeward.metadata.Sandbox;
import okio.Buffer;
import okio.ByteString;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CriSandboxesTest {
  private static final Duration LONG = Duration.ofSeconds(20);

  @TempDir private Path directory;
  private FakeUnixServer server;
  private FakeCri cri;
  private CriSandboxes sandboxes;

  @BeforeEach
  void listen() throws IOException {
    Path path = directory.resolve("containerd.sock");
    server = FakeUnixServer.containerd(path);
    cri = server.sandboxes();
    sandboxes = new CriSandboxes(path);
  }

  @AfterEach
  void close() {
    server.close();
  }

  @Test
  void aSandboxIsReadWithItsPodAddressesAndWhatCountsOfItsAnnotations() throws IOException {
    cri.put(
        Box.ready("box-1", "shop", "web", "10.0.0.5", "fd00::5")
            .with(
                Map.of(
                    "iam.amazonaws.com/role", "reader",
                    "kubernetes.io/config.source", "api",
                    "prometheus.io/scrape", "true")));

    assertThat(sandboxes.running(LONG))
        .singleElement()
        .satisfies(
            s -> {
              assertThat(s.id()).isEqualTo("box-1");
              assertThat(s.namespace()).isEqualTo("shop");
              assertThat(s.name()).isEqualTo("web");
              assertThat(s.uid()).isEqualTo("uid-web");
              assertThat(s.created()).isEqualTo(1_700_000_000_000_000_000L);
              assertThat(s.hostNetwork()).isFalse();
              assertThat(s.addresses())
                  .containsExactly(
                      InetAddress.ofLiteral("10.0.0.5"), InetAddress.ofLiteral("fd00::5"));
              assertThat(s.annotations())
                  .isEqualTo(
                      Map.of(
                          "iam.amazonaws.com/role",
                          "reader",
                          "kubernetes.io/config.source",
                          "api"));
            });
  }

  @Test
  void oneOfTheHostNetworkHasNoAddress() throws IOException {
    cri.put(Box.ready("box-1", "kube-system", "kube-proxy", "10.0.0.1").with(Network.NODE));

    assertThat(sandboxes.running(LONG))
        .singleElement()
        .satisfies(
            s -> {
              assertThat(s.hostNetwork()).isTrue();
              assertThat(s.addresses()).isEmpty();
            });
  }

  @Test
  void endedOnesAreLeftOut() throws IOException {
    cri.put(Box.ready("box-1", "shop", "web").with(State.NOTREADY));

    assertThat(sandboxes.running(LONG)).isEmpty();
    assertThat(cri.asked()).isEmpty();
  }

  @Test
  void eachIsAskedForOnceAndForgottenAtItsEnd() throws IOException {
    cri.put(Box.ready("box-1", "shop", "web", "10.0.0.5"));
    cri.put(Box.ready("box-2", "shop", "other", "10.0.0.6"));
    sandboxes.running(LONG);
    sandboxes.running(LONG);
    assertThat(cri.asked()).containsExactly("box-1", "box-2");
    assertThat(server.connections()).isEqualTo(1);

    cri.remove("box-1");
    assertThat(sandboxes.running(LONG)).extracting(Sandbox::id).containsExactly("box-2");
    cri.put(Box.ready("box-1", "shop", "web", "10.0.0.7"));
    sandboxes.running(LONG);

    assertThat(cri.asked()).containsExactly("box-1", "box-2", "box-1");
  }

  @Test
  void oneWithoutAnAddressIsAskedForAgain() throws IOException {
    cri.put(Box.ready("box-1", "shop", "web"));
    assertThat(sandboxes.running(LONG).getFirst().addresses()).isEmpty();

    cri.put(Box.ready("box-1", "shop", "web", "10.0.0.5"));

    assertThat(sandboxes.running(LONG).getFirst().addresses())
        .containsExactly(InetAddress.ofLiteral("10.0.0.5"));
  }

  @Test
  void aThousandWithLongAnnotationsAreRead() throws IOException {
    for (int i = 0; i < 1000; i++) {
      cri.put(
          Box.ready("box-" + i, "shop", "web-" + i, "10.0.%d.%d".formatted(i / 250, i % 250))
              .with(Map.of("team/notes", "x".repeat(4000))));
    }

    assertThat(sandboxes.running(LONG)).hasSize(1000);
  }

  @Test
  void anOldDaemonIsAskedByItsOldApi() throws IOException {
    server.behave(Behaviour.OLD);
    cri.put(Box.ready("box-1", "shop", "web", "10.0.0.5"));

    assertThat(sandboxes.running(LONG)).hasSize(1);
  }

  @Test
  void aDaemonThatWasRestartedIsAskedOverANewConnection() throws IOException {
    cri.put(Box.ready("box-1", "shop", "web", "10.0.0.5"));
    sandboxes.running(LONG);

    server.kill();
    assertThatThrownBy(() -> sandboxes.running(LONG)).isInstanceOf(IOException.class);
    server.restart();

    assertThat(sandboxes.running(LONG)).hasSize(1);
  }

  @Test
  void aDaemonThatHangsIsTimedOut() throws IOException {
    server.behave(Behaviour.SILENT);

    assertThatThrownBy(() -> sandboxes.running(Duration.ofMillis(100)))
        .isInstanceOf(SocketTimeoutException.class);
  }

  @Test
  void aDaemonThatIsNotThereIsNotConnectedTo() {
    assertThatThrownBy(() -> new CriSandboxes(directory.resolve("none.sock")).running(LONG))
        .isInstanceOf(NoSuchFileException.class);
  }

  @Test
  void errorsAreTold() throws IOException {
    server.behave(Behaviour.ERROR);

    assertThatThrownBy(() -> sandboxes.running(LONG)).hasMessageContaining("snapshotter");
  }

  /** Cut, changed and random bytes end in a result or an IOException, and never in another way. */
  @Test
  void noBytesBreakTheParser() throws IOException {
    var fake = new FakeCri();
    fake.put(
        Box.ready("box-1", "shop", "web", "10.0.0.5", "fd00::5")
            .with(Map.of("iam.amazonaws.com/role", "reader")));
    ByteString list = fake.list().readByteString();
    ByteString status =
        fake.status(ByteString.encodeUtf8("?\u0005box-1")).orElseThrow().readByteString();
    var random = new Random(20261121);
    int broken = 0;
    for (int i = 0; i < 60_000; i++) {
      byte[] bytes = (i % 2 == 0 ? list : status).toByteArray();
      switch (i % 3) {
        case 0 ->
            bytes = ByteString.of(bytes).substring(0, random.nextInt(bytes.length)).toByteArray();
        case 1 -> {
          for (int change = random.nextInt(4); change >= 0; change--) {
            bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
          }
        }
        default -> random.nextBytes(bytes);
      }
      try {
        CriSandboxes.ids(new Buffer().write(bytes));
        CriSandboxes.sandbox(new Buffer().write(bytes));
      } catch (IOException expected) {
        broken++;
      }
    }

    assertThat(broken).isBetween(10_000, 59_999);
    assertThat(CriSandboxes.ids(new Buffer().write(list))).containsExactly("box-1");
    assertThat(CriSandboxes.sandbox(new Buffer().write(status))).isPresent();
  }

  @Test
  void fieldsThatAreNotKnownAreSkippedWhateverTheirType() throws IOException {
    var message = new Buffer();
    message.writeByte(15 << 3).writeByte(0x80).writeByte(1); // a number
    message.writeByte(14 << 3 | 1).writeLong(7); // eight bytes
    message.writeByte(13 << 3 | 5).writeInt(7); // four bytes
    message.writeByte(12 << 3 | 2).writeByte(2).writeShort(7); // two bytes of anything
    message.writeByte(1 << 3 | 2).writeByte(2).writeUtf8("hi");
    var reader = new ProtobufReader(message);

    String found = "";
    while (reader.next()) {
      if (reader.field() == 1) {
        found = reader.text();
      }
    }

    assertThat(found).isEqualTo("hi");
  }

  @Test
  void groupsAndFieldNumberZeroAreBroken() {
    for (int key : new int[] {1 << 3 | 3, 1 << 3 | 4, 1 << 3 | 6, 0, 2}) {
      assertThatThrownBy(
              () -> {
                var reader = new ProtobufReader(new Buffer().writeByte(key).writeByte(0));
                while (reader.next()) {}
              })
          .as("key %d", key)
          .isInstanceOf(IOException.class);
    }
  }
}
