package nodeward.component;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import javax.net.SocketFactory;

/** Makes sockets for a client that connects them itself, as OkHttp does. */
public final class UnconnectedSockets extends SocketFactory {
  private final Maker maker;

  /** Makes one socket. */
  @FunctionalInterface
  public interface Maker {
    Socket make() throws IOException;
  }

  public UnconnectedSockets(Maker maker) {
    this.maker = maker;
  }

  @Override
  public Socket createSocket() throws IOException {
    return maker.make();
  }

  @Override
  public Socket createSocket(String host, int port) {
    throw unconnected();
  }

  @Override
  public Socket createSocket(String host, int port, InetAddress local, int localPort) {
    throw unconnected();
  }

  @Override
  public Socket createSocket(InetAddress host, int port) {
    throw unconnected();
  }

  @Override
  public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort) {
    throw unconnected();
  }

  private static UnsupportedOperationException unconnected() {
    return new UnsupportedOperationException("only unconnected sockets are made here");
  }
}
