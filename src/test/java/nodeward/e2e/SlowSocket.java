package nodeward.e2e;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;

/** A socket that hands everything on to another one, and back what that answers, but late. */
final class SlowSocket implements AutoCloseable {
  private final ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
  private final Set<SocketChannel> open = ConcurrentHashMap.newKeySet();
  private final Path behind;
  private final Duration delay;

  SlowSocket(Path socket, Path behind, Duration delay) throws IOException {
    this.behind = behind;
    this.delay = delay;
    server.bind(UnixDomainSocketAddress.of(socket));
    Thread.ofVirtual().start(this::accept);
  }

  private void accept() {
    try {
      while (true) {
        SocketChannel client = server.accept();
        open.add(client);
        Thread.ofVirtual().start(() -> serve(client));
      }
    } catch (IOException e) {
      // closed by the test
    }
  }

  private void serve(SocketChannel client) {
    try (client;
        var daemon = SocketChannel.open(UnixDomainSocketAddress.of(behind))) {
      open.add(daemon);
      Thread back = Thread.ofVirtual().start(() -> pump(daemon, client, delay));
      pump(client, daemon, Duration.ZERO);
      back.join();
    } catch (IOException e) {
      // the daemon is gone, and with it the connection
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void pump(SocketChannel from, SocketChannel to, Duration delay) {
    var buffer = ByteBuffer.allocate(1 << 16);
    try {
      while (from.read(buffer) >= 0) {
        buffer.flip();
        LockSupport.parkNanos(delay.toNanos());
        while (buffer.hasRemaining()) {
          to.write(buffer);
        }
        buffer.clear();
      }
      to.shutdownOutput();
    } catch (IOException e) {
      // one of both has hung up
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
    for (SocketChannel channel : open) {
      channel.close();
    }
  }
}
