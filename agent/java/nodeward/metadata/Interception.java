package nodeward.metadata;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.DatagramChannel;
import java.util.List;
import java.util.Optional;
import nodeward.config.Address;

/**
 * What pods send to instance metadata, led to the proxy: from which interfaces ({@code eni+} stands
 * for all that begin so), to which address and port. Without an address it is the interface's own,
 * which a bridge has and the host's end of a veth pair has not.
 */
public record Interception(List<String> interfaces, Optional<InetAddress> to, int port) {
  /** Instance metadata: the same address on every instance. */
  public static final Address METADATA = Address.parse("169.254.169.254:80");

  public Interception {
    interfaces = List.copyOf(interfaces);
  }

  /**
   * For a proxy that listens there: its address, or where it listens on all of them the one that
   * the node itself would ask instance metadata from.
   */
  static Interception of(List<String> interfaces, Address listen) throws IOException {
    if (listen.port() == 0) {
      throw new IOException("metadata.listen needs a fixed port when interceptInterfaces is given");
    }
    if (listen.host().isLoopbackAddress()) {
      throw new IOException(
          "metadata.listen " + listen + " is out of reach for pods: use 0.0.0.0 or the node's own");
    }
    if (!listen.host().isAnyLocalAddress()) {
      return new Interception(interfaces, Optional.of(listen.host()), listen.port());
    }
    return new Interception(interfaces, nodeAddress(), listen.port());
  }

  /** The kernel's choice of a source address; nothing is sent. */
  private static Optional<InetAddress> nodeAddress() {
    try (var channel = DatagramChannel.open(StandardProtocolFamily.INET)) {
      channel.connect(METADATA.socket());
      return Optional.ofNullable((InetSocketAddress) channel.getLocalAddress())
          .map(InetSocketAddress::getAddress)
          .filter(a -> !a.isAnyLocalAddress() && !a.isLoopbackAddress());
    } catch (IOException noRoute) {
      return Optional.empty();
    }
  }

  @Override
  public String toString() {
    return String.join(" ", interfaces)
        + " -> "
        + to.map(InetAddress::getHostAddress).orElse("the interface's own address")
        + ":"
        + port;
  }
}
