package nodeward.linux;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.UnaryOperator;

/**
 * A system bus with a systemd behind it that knows docker.service. It remembers the strings of each
 * call, and answers by marshalling of its own.
 */
final class FakeSystemBus implements AutoCloseable {
  private final ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
  private final List<String> calls = new CopyOnWriteArrayList<>();
  private volatile boolean silent;
  private volatile boolean refuses;
  private volatile UnaryOperator<byte[]> mangle = UnaryOperator.identity();

  FakeSystemBus(Path socket) throws IOException {
    server.bind(UnixDomainSocketAddress.of(socket));
    Thread.ofVirtual().start(this::accept);
  }

  void beSilent() {
    silent = true;
  }

  void refuse() {
    refuses = true;
  }

  /** Sends other bytes than it would. */
  void mangle(UnaryOperator<byte[]> how) {
    mangle = how;
  }

  List<String> calls() {
    return calls;
  }

  @Override
  public void close() throws IOException {
    server.close();
  }

  private void accept() {
    try {
      while (true) {
        SocketChannel client = server.accept();
        Thread.ofVirtual().start(() -> serve(client));
      }
    } catch (IOException e) {
      // closed by the test
    }
  }

  private void serve(SocketChannel client) {
    try (client) {
      InputStream in = new BufferedInputStream(Channels.newInputStream(client));
      OutputStream out = Channels.newOutputStream(client);
      String auth = line(in);
      if (!auth.matches("\0AUTH EXTERNAL [0-9a-f]+")) {
        throw new IOException("not an AUTH: " + auth);
      }
      out.write(
          (refuses ? "REJECTED EXTERNAL\r\n" : "OK 1234\r\n").getBytes(StandardCharsets.US_ASCII));
      if (!line(in).equals("BEGIN")) {
        throw new IOException("no BEGIN");
      }
      while (!silent) {
        ByteBuffer header = ByteBuffer.wrap(exactly(in, 16)).order(ByteOrder.LITTLE_ENDIAN);
        int fields = (header.getInt(12) + 7) / 8 * 8;
        byte[] rest = exactly(in, fields + header.getInt(4));
        String text = new String(rest, StandardCharsets.ISO_8859_1);
        out.write(signal());
        out.write(mangle.apply(answer(header.getInt(8), text)));
        out.flush();
      }
      client.read(ByteBuffer.allocate(1 << 16)); // until the other side hangs up
      client.read(ByteBuffer.allocate(1 << 16));
    } catch (IOException e) {
      // the other side hung up, which is what some tests are about
    }
  }

  private byte[] answer(int serial, String call) {
    if (call.contains("Hello")) {
      calls.add("Hello");
      return message(2, serial, "", 's', ":1.7");
    }
    boolean docker = call.contains("docker.service");
    if (call.contains("GetUnit")) {
      calls.add("GetUnit");
      return docker
          ? message(2, serial, "", 'o', "/org/freedesktop/systemd1/unit/docker_2eservice")
          : message(3, serial, "org.freedesktop.systemd1.NoSuchUnit", 's', "Unit not loaded.");
    }
    if (call.contains("ActiveState")) {
      return variant(serial, 's', "active");
    }
    if (call.contains("MainPID")) {
      return variant(serial, 'u', "4711");
    }
    if (call.contains("InactiveExitTimestamp")) {
      return variant(serial, 't', "1795248000000001");
    }
    if (call.contains("RestartUnit") && docker) {
      calls.add("RestartUnit");
      return message(2, serial, "", 'o', "/org/freedesktop/systemd1/job/1");
    }
    if (call.contains("KillUnit") && docker && call.contains("main")) {
      calls.add("KillUnit " + (int) call.charAt(call.length() - 4));
      return message(2, serial, "", '-', "");
    }
    return message(3, serial, "org.freedesktop.DBus.Error.AccessDenied", 's', "not you");
  }

  /** What a bus says between two answers: NameAcquired. */
  private static byte[] signal() {
    byte[] bytes = message(4, 0, "", 's', ":1.7");
    return bytes;
  }

  private static byte[] variant(int serial, char type, String value) {
    var body = ByteBuffer.allocate(128).order(ByteOrder.LITTLE_ENDIAN);
    body.put((byte) 1).put((byte) type).put((byte) 0);
    value(body, type, value);
    return message(2, serial, "", 'v', body);
  }

  private static byte[] message(int type, int replyTo, String error, char kind, String value) {
    var body = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);
    if (kind != '-') {
      value(body, kind, value);
    }
    return message(type, replyTo, error, kind, body);
  }

  private static byte[] message(int type, int replyTo, String error, char kind, ByteBuffer body) {
    var out = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);
    out.put((byte) 'l').put((byte) type).put((byte) 1).put((byte) 1);
    out.putInt(body.position()).putInt(99).putInt(0);
    out.put((byte) 5).put((byte) 1).put((byte) 'u').put((byte) 0).putInt(replyTo);
    if (!error.isEmpty()) {
      align(out, 8);
      out.put((byte) 4).put((byte) 1).put((byte) 's').put((byte) 0);
      value(out, 's', error);
    }
    if (kind != '-') {
      align(out, 8);
      out.put((byte) 8).put((byte) 1).put((byte) 'g').put((byte) 0);
      out.put((byte) 1).put((byte) kind).put((byte) 0);
    }
    out.putInt(12, out.position() - 16);
    align(out, 8);
    out.put(body.flip());
    byte[] bytes = new byte[out.position()];
    out.flip().get(bytes);
    return bytes;
  }

  private static void value(ByteBuffer into, char type, String value) {
    align(into, type == 't' ? 8 : 4);
    if (type == 't') {
      into.putLong(Long.parseLong(value));
    } else if (type == 'u') {
      into.putInt(Integer.parseInt(value));
    } else {
      into.putInt(value.length()).put(value.getBytes(StandardCharsets.US_ASCII)).put((byte) 0);
    }
  }

  private static void align(ByteBuffer into, int to) {
    while (into.position() % to != 0) {
      into.put((byte) 0);
    }
  }

  private static byte[] exactly(InputStream in, int length) throws IOException {
    byte[] bytes = in.readNBytes(length);
    if (bytes.length < length) {
      throw new EOFException();
    }
    return bytes;
  }

  private static String line(InputStream in) throws IOException {
    var line = new StringBuilder();
    for (int b = in.read(); b != '\n'; b = in.read()) {
      if (b < 0) {
        throw new EOFException();
      }
      line.append((char) b);
    }
    return line.toString().stripTrailing();
  }
}
