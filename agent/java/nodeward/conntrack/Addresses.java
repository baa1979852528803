package nodeward.conntrack;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;

/** Addresses as the two halves that a {@link Flow} tells. */
final class Addresses {
  private Addresses() {}

  static int hash(long high, long low) {
    long mixed = (high * 0x9e3779b97f4a7c15L) ^ low;
    mixed = (mixed ^ mixed >>> 32) * 0xd6e8feb86659fd93L;
    return (int) (mixed ^ mixed >>> 32);
  }

  /** As people write it; mapped ones as IPv4. */
  static String text(long high, long low) {
    byte[] bytes = ByteBuffer.allocate(16).putLong(high).putLong(low).array();
    try {
      // The JDK makes an IPv4 address of a mapped one.
      return InetAddress.getByAddress(bytes).getHostAddress();
    } catch (UnknownHostException e) {
      throw new IllegalStateException("16 bytes are an address", e);
    }
  }
}
