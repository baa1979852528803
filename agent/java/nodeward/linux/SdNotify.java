package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells systemd how the agent is, by the protocol of sd_notify(3). Without NOTIFY_SOCKET nobody
 * listens and nothing is sent. A message that cannot be sent is a warning: systemd then decides by
 * its own time limits. Safe for use by several threads.
 */
public final class SdNotify {
  private static final Logger log = LoggerFactory.getLogger(SdNotify.class);
  private static final int PATH_LIMIT = 108;

  private final Optional<String> socket;
  private final Optional<Duration> watchdog;

  private SdNotify(Optional<String> socket, Optional<Duration> watchdog) {
    this.socket = socket;
    this.watchdog = watchdog;
  }

  /** Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
  public static SdNotify from(Map<String, String> environment, long ownPid) {
    Optional<String> socket =
        Optional.ofNullable(environment.get("NOTIFY_SOCKET")).filter(name -> !name.isEmpty());
    if (socket.isPresent() && !socket.get().startsWith("/") && !socket.get().startsWith("@")) {
      log.warn("systemd: NOTIFY_SOCKET=\"{}\" is no Unix socket, not notified", socket.get());
      socket = Optional.empty();
    }
    String pid = environment.getOrDefault("WATCHDOG_PID", "");
    boolean ours = pid.isEmpty() || pid.equals(Long.toString(ownPid));
    Optional<Duration> watchdog =
        Optional.ofNullable(environment.get("WATCHDOG_USEC"))
            .filter(micros -> ours && micros.matches("[1-9]\\d{0,14}"))
            .map(micros -> Duration.ofNanos(1000 * Long.parseLong(micros)));
    return new SdNotify(socket, watchdog);
  }

  /** Within which time systemd wants to hear {@link #alive} again; empty without its watchdog. */
  public Optional<Duration> watchdog() {
    return watchdog;
  }

  /** The agent serves; a line for {@code systemctl status}. */
  public void ready(String line) {
    send("READY=1\n" + status(line));
  }

  /** The agent is about to end. */
  public void stopping() {
    send("STOPPING=1");
  }

  /** Keeps systemd's watchdog from biting, with a line for {@code systemctl status}. */
  public void alive(String line) {
    send("WATCHDOG=1\n" + status(line));
  }

  private static String status(String line) {
    return "STATUS=" + line.replace('\n', ' ');
  }

  private void send(String message) {
    if (socket.isEmpty()) {
      return;
    }
    try {
      send(message.getBytes(StandardCharsets.UTF_8), address(socket.get()));
    } catch (IOException e) {
      log.warn("systemd: not notified of {} why=\"{}\"", message, e.getMessage());
    }
  }

  private static void send(byte[] message, byte[] address) throws IOException {
    int fd = LibC.socket(LibC.AF_UNIX, LibC.SOCK_DGRAM, 0);
    try {
      // A listener that reads nothing must not hold the agent.
      LibC.setsockopt(
          fd, LibC.SOL_SOCKET, LibC.SO_SNDTIMEO, Netlink.timeval(Duration.ofSeconds(1)));
      LibC.sendto(fd, message, address);
    } finally {
      LibC.close(fd);
    }
  }

  /** A struct sockaddr_un: a path with its NUL, or a name that begins with one, of exact length. */
  static byte[] address(String name) throws IOException {
    byte[] path = name.getBytes(StandardCharsets.UTF_8);
    boolean isAbstract = name.startsWith("@");
    int length = isAbstract ? path.length : path.length + 1;
    if (length > PATH_LIMIT) {
      throw new IOException("the name is longer than a Unix socket's: " + name);
    }
    ByteBuffer address =
        ByteBuffer.allocate(2 + length)
            .order(ByteOrder.nativeOrder())
            .putShort((short) LibC.AF_UNIX)
            .put(path);
    if (isAbstract) {
      address.put(2, (byte) 0);
    }
    return address.array();
  }
}
