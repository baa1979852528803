package nodeward.metadata;

import java.net.InetSocketAddress;

/**
 * A request as it was sent: the target is neither decoded nor cleaned up. Its body, if it had one,
 * was thrown away.
 */
record Request(String method, String target, Headers headers, InetSocketAddress from) {
  /** In a log; its headers may hold a token. */
  @Override
  public String toString() {
    return method + " " + target;
  }
}
