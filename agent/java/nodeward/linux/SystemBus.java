package nodeward.linux;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import nodeward.runtime.Units;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * systemd's units over the system bus (org.freedesktop.systemd1(5), D-Bus Specification). Each
 * question has a connection of its own and a deadline for all of it. Any thread may ask.
 */
public final class SystemBus implements Units {
  private static final Logger log = LoggerFactory.getLogger(SystemBus.class);
  private static final BusMessage.Target BUS =
      new BusMessage.Target(
          "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus");
  private static final String SYSTEMD = "org.freedesktop.systemd1";
  private static final BusMessage.Target MANAGER =
      new BusMessage.Target(SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD + ".Manager");
  private static final String NO_SUCH_UNIT = SYSTEMD + ".NoSuchUnit";
  private static final int LINE = 1024;

  private final Path socket;

  public SystemBus(Path socket) {
    this.socket = socket;
  }

  @Override
  public Optional<Unit> unit(String name, Duration limit) throws IOException {
    return converse(
        "unit " + name,
        limit,
        talk -> {
          BusMessage.Received found = talk.call(MANAGER, "GetUnit", List.of(name));
          if (found.error().equals(NO_SUCH_UNIT)) {
            return Optional.empty();
          }
          String path = talk.well(found);
          String state = talk.property(path, SYSTEMD + ".Unit", "ActiveState");
          String pid = talk.property(path, SYSTEMD + ".Service", "MainPID");
          String started = talk.property(path, SYSTEMD + ".Unit", "InactiveExitTimestamp");
          return Optional.of(
              new Unit(
                  state, pid.matches("\\d{1,10}") ? Long.parseLong(pid) : 0, instant(started)));
        });
  }

  /** systemd tells microseconds since 1970, and 0 for never. */
  private static Optional<Instant> instant(String micros) {
    return micros.matches("[1-9]\\d{0,17}")
        ? Optional.of(Instant.EPOCH.plus(Long.parseLong(micros), ChronoUnit.MICROS))
        : Optional.empty();
  }

  @Override
  public void restart(String name, Duration limit) throws IOException {
    converse(
        "restart of " + name,
        limit,
        talk -> talk.well(talk.call(MANAGER, "RestartUnit", List.of(name, "replace"))));
  }

  @Override
  public void kill(String name, int signal, Duration limit) throws IOException {
    converse(
        "signal " + signal + " to " + name,
        limit,
        talk -> talk.well(talk.call(MANAGER, "KillUnit", List.of(name, "main", signal))));
  }

  /** What is asked on a connection. */
  @FunctionalInterface
  private interface Talking<T> {
    T with(Talk talk) throws IOException;
  }

  private <T> T converse(String what, Duration limit, Talking<T> talking) throws IOException {
    long start = System.nanoTime();
    try (var connection = new UnixSocket(socket)) {
      Thread clock =
          Thread.ofVirtual().name("bus-limit").start(() -> closeAfter(connection, limit));
      try {
        connection.connect(
            InetSocketAddress.createUnresolved("bus", 0), Math.toIntExact(limit.toMillis()));
        var talk = new Talk(connection.getInputStream(), connection.getOutputStream());
        talk.begin();
        return talking.with(talk);
      } finally {
        clock.interrupt();
      }
    } catch (IOException e) {
      if (System.nanoTime() - start >= limit.toNanos()) {
        var late =
            new SocketTimeoutException(
                "systemd: %s was not answered within %s".formatted(what, UnixSockets.shown(limit)));
        late.initCause(e);
        throw late;
      }
      throw new IOException("systemd: %s: %s".formatted(what, e.getMessage()), e);
    }
  }

  private static void closeAfter(UnixSocket connection, Duration limit) {
    try {
      Thread.sleep(limit);
      connection.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // the talk has ended
    } catch (IOException e) {
      log.debug("linux: the bus's connection could not be closed why=\"{}\"", e.getMessage());
    }
  }

  /** One connection to the bus, call after call. */
  private static final class Talk {
    private final InputStream in;
    private final OutputStream out;
    private int serial;

    Talk(InputStream in, OutputStream out) {
      this.in = in;
      this.out = out;
    }

    /** Says who this is, by the credentials of the socket, and enters the bus. */
    void begin() throws IOException {
      String uid = Files.getAttribute(Path.of("/proc/self"), "unix:uid").toString();
      String hex = HexFormat.of().formatHex(uid.getBytes(StandardCharsets.US_ASCII));
      out.write(("\0AUTH EXTERNAL " + hex + "\r\n").getBytes(StandardCharsets.US_ASCII));
      out.flush();
      String answer = line();
      if (!answer.startsWith("OK ")) {
        throw new IOException("the bus does not let this user in: " + answer);
      }
      out.write("BEGIN\r\n".getBytes(StandardCharsets.US_ASCII));
      well(call(BUS, "Hello", List.of()));
    }

    String property(String path, String type, String name) throws IOException {
      var target = new BusMessage.Target(SYSTEMD, path, "org.freedesktop.DBus.Properties");
      return well(call(target, "Get", List.of(type, name)));
    }

    /** Sends a call and waits for its answer; whatever else the bus tells is passed over. */
    BusMessage.Received call(BusMessage.Target target, String member, List<Object> arguments)
        throws IOException {
      int own = ++serial;
      out.write(BusMessage.call(own, target, member, arguments));
      out.flush();
      while (true) {
        byte[] header = exactly(BusMessage.HEADER);
        int rest = BusMessage.rest(ByteBuffer.wrap(header));
        ByteBuffer whole = ByteBuffer.allocate(header.length + rest);
        whole.put(header).put(exactly(rest)).flip();
        BusMessage.Received received = BusMessage.read(whole);
        boolean answers =
            received.type() == BusMessage.RETURN || received.type() == BusMessage.ERROR;
        if (answers && received.replyTo() == own) {
          return received;
        }
      }
    }

    /** The value of an answer that is no error. */
    String well(BusMessage.Received answer) throws IOException {
      if (answer.type() == BusMessage.ERROR) {
        throw new IOException(answer.error() + " " + answer.value());
      }
      return answer.value();
    }

    private byte[] exactly(int length) throws IOException {
      byte[] bytes = in.readNBytes(length);
      if (bytes.length < length) {
        throw new EOFException("the bus hung up");
      }
      return bytes;
    }

    private String line() throws IOException {
      var line = new StringBuilder();
      while (true) {
        int b = in.read();
        if (b < 0 || line.length() > LINE) {
          throw new EOFException("the bus hung up");
        }
        if (b == '\n') {
          return line.toString().strip();
        }
        line.append((char) b);
      }
    }
  }
}
