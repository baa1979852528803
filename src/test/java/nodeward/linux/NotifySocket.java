package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** systemd's end of the socket of sd_notify(3). Used by one thread. */
public final class NotifySocket implements AutoCloseable {
  private final int fd = LibC.socket(LibC.AF_UNIX, LibC.SOCK_DGRAM, 0);
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(4096);

  /** Listens on a path, or on the abstract name after an {@code @}. */
  public NotifySocket(String name) throws IOException {
    LibC.bind(fd, SdNotify.address(name));
    LibC.setsockopt(fd, LibC.SOL_SOCKET, LibC.SO_RCVTIMEO, Netlink.timeval(Duration.ofSeconds(10)));
  }

  /** The next message; fails when none comes within ten seconds. */
  public String heard() throws IOException {
    LibC.recv(fd, buffer);
    return StandardCharsets.UTF_8.decode(buffer).toString();
  }

  @Override
  public void close() {
    LibC.close(fd);
  }
}
