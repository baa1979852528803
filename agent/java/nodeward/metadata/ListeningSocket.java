package nodeward.metadata;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.ServerSocketChannel;
import java.util.Optional;
import nodeward.config.Address;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The sockets that pods connect to. One that systemd holds (nodeward.socket, which the launcher
 * makes stdin) outlives the agent: whoever connects while it restarts waits in its queue instead of
 * being refused. That one is never closed here; the JDK would close stderr along with it.
 */
final class ListeningSocket {
  private static final Logger log = LoggerFactory.getLogger(ListeningSocket.class);

  private ListeningSocket() {}

  /** The one that was handed to this process if it is for this address, else a new one. */
  static ServerSocketChannel open(Address address, int backlog) throws IOException {
    Optional<ServerSocketChannel> held = held();
    if (held.isPresent()) {
      var bound = (InetSocketAddress) held.get().getLocalAddress();
      if (isFor(bound, address)) {
        log.info("metadata: socket taken over from systemd address={}", address);
        return held.get();
      }
    }
    var channel = ServerSocketChannel.open();
    try {
      channel.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      channel.bind(address.socket(), backlog);
      return channel;
    } catch (IOException e) {
      channel.close();
      throw new IOException("cannot listen on " + address + ": " + e.getMessage(), e);
    }
  }

  /** Closes it, unless others hold it too. */
  static void close(ServerSocketChannel channel) throws IOException {
    if (held().filter(channel::equals).isEmpty()) {
      channel.close();
    }
  }

  /** Whether what is bound there serves all of what this address asks for. */
  static boolean isFor(InetSocketAddress bound, Address address) {
    return bound.getPort() == address.port()
        && (bound.getAddress().equals(address.host())
            || (bound.getAddress().isAnyLocalAddress() && address.host().isAnyLocalAddress()));
  }

  private static Optional<ServerSocketChannel> held() throws IOException {
    return System.inheritedChannel() instanceof ServerSocketChannel channel
            && channel.getLocalAddress() instanceof InetSocketAddress
        ? Optional.of(channel)
        : Optional.empty();
  }
}
