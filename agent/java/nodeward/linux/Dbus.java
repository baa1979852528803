package nodeward.linux;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.function.Consumer;

/**
 * A connection to D-Bus for one thread of the platform: to the system bus, or straight to systemd's
 * own socket, which root may use when no bus is there any more. Each call blocks that thread for
 * its limit at most, however slowly the answer drips; signals that come meanwhile are handed to a
 * listener. It can take a file descriptor, which the JDK's sockets cannot, so it has a socket of
 * libc. Of no use after a failure.
 */
final class Dbus implements AutoCloseable {
  static final Path SYSTEM_BUS = Path.of("/run/dbus/system_bus_socket");
  static final Path SYSTEMD = Path.of("/run/systemd/private");

  /** systemd's own name, which its interfaces begin with (org.freedesktop.systemd1(5)). */
  static final String SYSTEMD_NAME = "org.freedesktop.systemd1";

  private static final String MANAGER_PATH = "/org/freedesktop/systemd1";
  private static final String MANAGER = SYSTEMD_NAME + ".Manager";
  private static final Duration LIMIT = Duration.ofSeconds(5);
  // A time-out of nothing would be none for the kernel.
  private static final Duration LEAST = Duration.ofNanos(1000);

  private final int socket;
  private final Duration limit;
  private final Consumer<DbusMessage> signals;
  // When what is waited for has to be there, by System.nanoTime.
  private long end;
  private int serial;
  private int received = -1;
  // Written by close(), maybe from another thread.
  private volatile boolean closed;

  /** An answer that is an error, by its name. */
  static final class Refused extends IOException {
    private static final long serialVersionUID = 1;
    private final String error;

    Refused(String member, DbusMessage answer) {
      super(
          "dbus: %s: %s %s"
              .formatted(
                  member,
                  answer.error(),
                  answer.signature().startsWith("s") ? answer.body().getFirst() : ""));
      this.error = answer.error();
    }

    String error() {
      return error;
    }
  }

  private Dbus(int socket, Duration limit, Consumer<DbusMessage> signals) {
    this.socket = socket;
    this.limit = limit;
    this.signals = signals;
  }

  /** Says hello, so that others can send signals here. */
  static Dbus bus(Path path, Consumer<DbusMessage> signals) throws IOException {
    return bus(path, LIMIT, signals);
  }

  /** With a limit of its own for each step: letting in, the greeting, a call. */
  static Dbus bus(Path path, Duration limit, Consumer<DbusMessage> signals) throws IOException {
    Dbus bus = connect(path, limit, signals);
    try {
      bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello");
      return bus;
    } catch (IOException e) {
      bus.close();
      throw e;
    }
  }

  /** A peer that is no bus. */
  static Dbus peer(Path path) throws IOException {
    return connect(path, LIMIT, _ -> {});
  }

  private static Dbus connect(Path path, Duration limit, Consumer<DbusMessage> signals)
      throws IOException {
    int socket = LibC.socket(LibC.AF_UNIX, LibC.SOCK_STREAM, 0);
    Dbus dbus = new Dbus(socket, limit, signals);
    try {
      // Of a connect too: a backlog may be full.
      LibC.setsockopt(socket, LibC.SOL_SOCKET, LibC.SO_SNDTIMEO, Netlink.timeval(limit));
      dbus.end = System.nanoTime() + limit.toNanos();
      LibC.connect(socket, SdNotify.address(path.toString()));
      dbus.authenticate();
      return dbus;
    } catch (IOException e) {
      dbus.close();
      throw new IOException("dbus: %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  /** The specification's "Authentication Protocol", mechanism EXTERNAL. */
  private void authenticate() throws IOException {
    Object uid = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    String hex = HexFormat.of().formatHex(uid.toString().getBytes(StandardCharsets.US_ASCII));
    send(("\0AUTH EXTERNAL " + hex + "\r\n").getBytes(StandardCharsets.US_ASCII));
    expect("OK");
    send("NEGOTIATE_UNIX_FD\r\n".getBytes(StandardCharsets.US_ASCII));
    expect("AGREE_UNIX_FD");
    send("BEGIN\r\n".getBytes(StandardCharsets.US_ASCII));
  }

  private void expect(String word) throws IOException {
    var line = new StringBuilder();
    while (!line.toString().endsWith("\r\n")) {
      line.append((char) exactly(1)[0]);
      if (line.length() > 512) {
        throw new IOException("not D-Bus");
      }
    }
    if (!line.toString().startsWith(word)) {
      throw new IOException("refused: " + line.toString().strip());
    }
  }

  /** Calls and waits for the answer; an answer that is an error is thrown. */
  DbusMessage call(String destination, String path, String face, String member, Object... body)
      throws IOException {
    int number = ++serial;
    end = System.nanoTime() + limit.toNanos();
    send(DbusMessage.call(number, destination, path, face, member, body).bytes());
    while (true) {
      DbusMessage got = next();
      if (got.replyTo() == number && got.type() == DbusMessage.Type.REPLY) {
        return got;
      }
      if (got.replyTo() == number && got.type() == DbusMessage.Type.ERROR) {
        throw new Refused(member, got);
      }
    }
  }

  /** A call of systemd's manager. */
  DbusMessage manager(String member, Object... body) throws IOException {
    return call(SYSTEMD_NAME, MANAGER_PATH, MANAGER, member, body);
  }

  /** A property of systemd's manager. */
  Object managerProperty(String name) throws IOException {
    return property(SYSTEMD_NAME, MANAGER_PATH, MANAGER, name);
  }

  /** A property of a unit, of those of its {@code type} or of {@code Unit}, those of all units. */
  Object unitProperty(String path, String type, String name) throws IOException {
    return property(SYSTEMD_NAME, path, SYSTEMD_NAME + "." + type, name);
  }

  /** A property of any type, as the value in its variant. */
  Object property(String destination, String path, String face, String name) throws IOException {
    return call(destination, path, "org.freedesktop.DBus.Properties", "Get", face, name).value(0);
  }

  /** Waits for one message; false when none has come in time. */
  boolean await(Duration most) throws IOException {
    end = System.nanoTime() + most.toNanos();
    try {
      next();
      return true;
    } catch (LibC.Failure e) {
      if (e.errno() == LibC.EAGAIN || e.errno() == LibC.EINTR) {
        return false;
      }
      throw e;
    }
  }

  /** The descriptor that came with the last answers; the caller closes it. */
  int takeDescriptor() throws IOException {
    int descriptor = received;
    received = -1;
    if (descriptor < 0) {
      throw new IOException("dbus: the answer has no file descriptor");
    }
    return descriptor;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      LibC.close(socket);
      if (received >= 0) {
        LibC.close(received);
      }
    }
  }

  private DbusMessage next() throws IOException {
    byte[] head = exactly(DbusMessage.HEAD);
    byte[] message = Arrays.copyOf(head, DbusMessage.length(head));
    long before = end;
    end = System.nanoTime() + limit.toNanos();
    byte[] rest = rest(message.length - DbusMessage.HEAD);
    end = before;
    System.arraycopy(rest, 0, message, DbusMessage.HEAD, rest.length);
    DbusMessage got = DbusMessage.read(message);
    if (got.type() == DbusMessage.Type.SIGNAL) {
      signals.accept(got);
    }
    return got;
  }

  /** Of a message that has begun: it cannot be waited for anew. */
  private byte[] rest(int count) throws IOException {
    try {
      return exactly(count);
    } catch (LibC.Failure e) {
      throw new IOException("dbus: a message broke off", e);
    }
  }

  private void send(byte[] bytes) throws IOException {
    int sent = 0;
    while (sent < bytes.length) {
      sent += LibC.sendSome(socket, Arrays.copyOfRange(bytes, sent, bytes.length));
    }
  }

  private byte[] exactly(int count) throws IOException {
    byte[] bytes = new byte[count];
    int got = 0;
    while (got < count) {
      LibC.Received some = some(count - got, got);
      if (some.descriptor() >= 0) {
        if (received >= 0) {
          LibC.close(received);
        }
        received = some.descriptor();
      }
      if (some.bytes().length == 0) {
        throw new IOException("dbus: the connection was closed");
      }
      System.arraycopy(some.bytes(), 0, bytes, got, some.bytes().length);
      got += some.bytes().length;
    }
    return bytes;
  }

  private LibC.Received some(int most, int before) throws IOException {
    Duration left = Duration.ofNanos(end - System.nanoTime());
    try {
      if (left.compareTo(LEAST) < 0) {
        throw new LibC.Failure("recvmsg", LibC.EAGAIN);
      }
      LibC.setsockopt(socket, LibC.SOL_SOCKET, LibC.SO_RCVTIMEO, Netlink.timeval(left));
      return LibC.recvmsg(socket, most);
    } catch (LibC.Failure e) {
      // Half a message cannot be waited for anew.
      throw before == 0 ? e : new IOException("dbus: a message broke off", e);
    }
  }
}
