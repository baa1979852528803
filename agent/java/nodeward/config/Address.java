package nodeward.config;

import java.net.InetAddress;
import java.net.InetSocketAddress;

/** Where to listen: {@code 127.0.0.1:9821}, {@code [::]:8181}. Port 0 lets the system choose. */
public record Address(InetAddress host, int port) {
  public Address {
    if (port < 0 || port > 65535) {
      throw new IllegalArgumentException("port " + port + " is not between 0 and 65535");
    }
  }

  /** Reads a literal address and a port; no name is ever looked up. */
  public static Address parse(String text) {
    int colon = text.lastIndexOf(':');
    if (colon > 0) {
      try {
        return new Address(
            InetAddress.ofLiteral(text.substring(0, colon)),
            Integer.parseInt(text.substring(colon + 1)));
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(notAnAddress(text), e);
      }
    }
    throw new IllegalArgumentException(notAnAddress(text));
  }

  private static String notAnAddress(String text) {
    return "\"" + text + "\" is not an IP address and a port like 127.0.0.1:9821";
  }

  public InetSocketAddress socket() {
    return new InetSocketAddress(host, port);
  }

  @Override
  public String toString() {
    String name = host.getHostAddress();
    return (name.contains(":") ? "[" + name + "]" : name) + ":" + port;
  }
}
