package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import nodeward.runtime.CriApi.Version;
import okio.Buffer;
import okio.BufferedSink;
import okio.BufferedSource;
import okio.ByteString;
import okio.Okio;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A daemon that speaks HTTP/2 by hand, frame by frame (RFC 9113), in ways that well-behaved servers
 * do not.
 */
@Timeout(60)
class CriFramesTest {
  private static final Duration LONG = Duration.ofSeconds(20);
  private static final Duration SHORT = Duration.ofMillis(500);
  private static final int DATA = 0;
  private static final int HEADERS = 1;
  private static final int RST_STREAM = 3;
  private static final int SETTINGS = 4;
  private static final int PING = 6;
  private static final int GOAWAY = 7;
  private static final int WINDOW_UPDATE = 8;
  private static final int END_STREAM = 1;
  private static final int END_HEADERS = 4;
  private static final int ACK = 1;
  private static final int INITIAL_WINDOW_SIZE = 4;
  private static final int WINDOW = 65_535;

  @TempDir private Path directory;
  private ServerSocketChannel server;
  private final List<Throwable> failures = new CopyOnWriteArrayList<>();

  /** What the daemon does when a request has come. */
  @FunctionalInterface
  private interface Play {
    void play(Frames frames) throws IOException;
  }

  @BeforeEach
  void listen() throws IOException {
    server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(directory.resolve("cri.sock")));
  }

  @AfterEach
  void close() throws IOException {
    server.close();
    assertThat(failures).isEmpty();
  }

  @Test
  void settingsAndPingsAreAcknowledgedBeforeTheAnswer() throws IOException {
    play(
        frames -> {
          frames.send(PING, 0, 0, ByteString.encodeUtf8("8 octets"));
          frames.awaitAcknowledged(SETTINGS);
          assertThat(frames.awaitAcknowledged(PING)).isEqualTo(ByteString.encodeUtf8("8 octets"));
          frames.answer(version());
        });

    assertThat(client().version(LONG)).isEqualTo(new Version("containerd", "v1.7.24"));
  }

  @Test
  void aDaemonThatGoesAwayIsAFailure() {
    play(
        frames -> frames.send(GOAWAY, 0, 0, new Buffer().writeInt(0).writeInt(2).readByteString()),
        frames -> frames.send(GOAWAY, 0, 0, new Buffer().writeInt(0).writeInt(2).readByteString()));

    assertThatThrownBy(() -> client().version(SHORT)).isInstanceOf(IOException.class);
  }

  @Test
  void aStreamThatIsResetIsAFailure() {
    play(
        frames ->
            frames.send(RST_STREAM, 0, frames.stream, new Buffer().writeInt(2).readByteString()));

    assertThatThrownBy(() -> client().version(LONG))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("INTERNAL_ERROR");
  }

  @Test
  void anErrorInTrailersAloneIsTold() {
    play(
        frames ->
            frames.send(
                HEADERS,
                END_HEADERS | END_STREAM,
                frames.stream,
                header("grpc-status", "14").concat(header("grpc-message", "shutting down"))));

    assertThatThrownBy(() -> client().version(LONG))
        .hasMessageContaining("gRPC status 14: shutting down");
  }

  @Test
  void anAnswerOfManyWindowsComesWhole() throws IOException {
    // A field that nobody knows, and is longer than what the protocol lets be under way.
    Buffer answer = new Buffer().writeByte(0x7a);
    varint(answer, 160 * WINDOW);
    answer.write(new byte[160 * WINDOW]);
    play(frames -> frames.answer(answer.readByteString()));

    assertThat(new CriSandboxes(directory.resolve("cri.sock")).running(LONG)).isEmpty();
  }

  @Test
  void aWindowThatTheDaemonExhaustsAndNeverFillsIsTimedOut() {
    play(
        frames -> {
          frames.send(HEADERS, END_HEADERS, frames.stream, ok());
          // Half of the message that this announces, then silence.
          frames.send(
              DATA,
              0,
              frames.stream,
              new Buffer().writeByte(0).writeInt(WINDOW * 2).write(new byte[100]).readByteString());
          frames.awaitHangUp();
        });

    assertThatThrownBy(() -> client().version(SHORT))
        .isInstanceOf(java.net.SocketTimeoutException.class);
  }

  private CriSocket client() {
    return new CriSocket(directory.resolve("cri.sock"));
  }

  /** Plays one after the other, each for a connection's first request. */
  private void play(Play... plays) {
    Thread.ofVirtual()
        .start(
            () -> {
              for (Play play : plays) {
                try (SocketChannel client = server.accept()) {
                  var frames = new Frames(client);
                  frames.begin();
                  play.play(frames);
                  frames.awaitHangUp();
                } catch (IOException e) {
                  // the client hangs up when it has seen enough
                } catch (Throwable e) {
                  failures.add(e);
                }
              }
            });
  }

  private static ByteString version() {
    return new Buffer()
        .write(text(1, "0.1.0"))
        .write(text(2, "containerd"))
        .write(text(3, "v1.7.24"))
        .write(text(4, "v1"))
        .readByteString();
  }

  private static ByteString text(int field, String text) {
    return new Buffer()
        .writeByte(field << 3 | 2)
        .writeByte(text.length())
        .writeUtf8(text)
        .readByteString();
  }

  private static void varint(Buffer to, int value) {
    int left = value;
    while (left > 0x7f) {
      to.writeByte((left & 0x7f) | 0x80);
      left >>>= 7;
    }
    to.writeByte(left);
  }

  /** {@code :status: 200} of HPACK's static table, and the content type. */
  private static ByteString ok() {
    return new Buffer()
        .writeByte(0x88)
        .write(literal("content-type", "application/grpc"))
        .readByteString();
  }

  private static Bytes header(String name, String value) {
    return new Bytes(new Buffer().writeByte(0x88).write(literal(name, value)).readByteString());
  }

  /** A header that is not to be indexed. */
  private static ByteString literal(String name, String value) {
    return new Buffer()
        .writeByte(0)
        .writeByte(name.length())
        .writeUtf8(name)
        .writeByte(value.length())
        .writeUtf8(value)
        .readByteString();
  }

  private record Bytes(ByteString bytes) {
    ByteString concat(Bytes other) {
      // The status comes once.
      return new Buffer().write(bytes).write(other.bytes.substring(1)).readByteString();
    }
  }

  /** One connection. */
  private final class Frames {
    private final BufferedSource in;
    private final BufferedSink out;
    private final List<Integer> acknowledged = new ArrayList<>();
    private int stream;
    private long room = WINDOW;
    private long streamRoom = WINDOW;
    private ByteString payload = ByteString.EMPTY;

    Frames(SocketChannel client) {
      in = Okio.buffer(Okio.source(Channels.newInputStream(client)));
      out = Okio.buffer(Okio.sink(Channels.newOutputStream(client)));
    }

    /** Takes the preface and the first request. */
    void begin() throws IOException {
      in.skip("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(StandardCharsets.US_ASCII).length);
      send(SETTINGS, 0, 0, ByteString.EMPTY);
      while (next() != DATA) {
        // settings and headers
      }
    }

    /** Reads a frame and returns its type. */
    int next() throws IOException {
      int length = (in.readByte() & 0xff) << 16 | (in.readShort() & 0xffff);
      int type = in.readByte();
      int flags = in.readByte();
      int id = in.readInt();
      payload = in.readByteString(length);
      if (type == HEADERS) {
        stream = id;
      }
      if (type == WINDOW_UPDATE) {
        int more = new Buffer().write(payload).readInt();
        if (id == 0) {
          room += more;
        } else {
          streamRoom += more;
        }
      }
      if (type == SETTINGS && (flags & ACK) == 0) {
        settings(new Buffer().write(payload));
      }
      if ((type == SETTINGS || type == PING) && (flags & ACK) != 0) {
        acknowledged.add(type);
      }
      return type;
    }

    private void settings(Buffer settings) throws IOException {
      while (!settings.exhausted()) {
        int id = settings.readShort();
        int value = settings.readInt();
        if (id == INITIAL_WINDOW_SIZE) {
          streamRoom = value;
        }
      }
    }

    ByteString awaitAcknowledged(int type) throws IOException {
      while (!acknowledged.contains(type)) {
        next();
      }
      return payload;
    }

    void awaitHangUp() throws IOException {
      while (!in.exhausted()) {
        next();
      }
    }

    void send(int type, int flags, int id, ByteString bytes) throws IOException {
      out.writeByte(bytes.size() >> 16).writeShort(bytes.size() & 0xffff);
      out.writeByte(type).writeByte(flags).writeInt(id).write(bytes).flush();
    }

    /** A gRPC message, as fast as the client's window allows. */
    void answer(ByteString message) throws IOException {
      send(HEADERS, END_HEADERS, stream, ok());
      ByteString body =
          new Buffer().writeByte(0).writeInt(message.size()).write(message).readByteString();
      int sent = 0;
      while (sent < body.size()) {
        int part = (int) Math.min(16_384, Math.min(body.size() - sent, Math.min(room, streamRoom)));
        if (part == 0) {
          next();
          continue;
        }
        send(DATA, 0, stream, body.substring(sent, sent + part));
        sent += part;
        room -= part;
        streamRoom -= part;
      }
      send(HEADERS, END_HEADERS | END_STREAM, stream, literal("grpc-status", "0"));
    }
  }
}
