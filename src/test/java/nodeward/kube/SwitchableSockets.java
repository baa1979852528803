package nodeward.kube;

import java.io.FilterInputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.net.ServerSocketFactory;

/**
 * Server sockets whose connections can be cut, or made to fall silent while they stay open: what a
 * killed server, a frozen one and a network that drops packets look like to a client.
 */
final class SwitchableSockets extends ServerSocketFactory {
  private final Set<Connection> connections = ConcurrentHashMap.newKeySet();
  // Guarded by this, which the silent connections wait on.
  private boolean stalled;

  synchronized void stall() {
    stalled = true;
  }

  synchronized void resume() {
    stalled = false;
    notifyAll();
  }

  /** Cuts every connection that is open. */
  void drop() throws IOException {
    for (Connection connection : connections) {
      connection.close();
    }
  }

  int open() {
    return connections.size();
  }

  @Override
  public ServerSocket createServerSocket() throws IOException {
    return new ServerSocket() {
      @Override
      public Socket accept() throws IOException {
        var connection = new Connection();
        implAccept(connection);
        // As the API server's: or else every second small answer waits 40 ms for the client's ACK.
        connection.setTcpNoDelay(true);
        connections.add(connection);
        return connection;
      }
    };
  }

  @Override
  public ServerSocket createServerSocket(int port) {
    throw new UnsupportedOperationException();
  }

  @Override
  public ServerSocket createServerSocket(int port, int backlog) {
    throw new UnsupportedOperationException();
  }

  @Override
  public ServerSocket createServerSocket(int port, int backlog, InetAddress address) {
    throw new UnsupportedOperationException();
  }

  private synchronized void pass(Connection connection) throws IOException {
    while (stalled && !connection.isClosed()) {
      try {
        wait();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException("interrupted", e);
      }
    }
  }

  private synchronized void wake() {
    notifyAll();
  }

  private final class Connection extends Socket {
    @Override
    public InputStream getInputStream() throws IOException {
      return new FilterInputStream(super.getInputStream()) {
        @Override
        public int read() throws IOException {
          int b = in.read();
          pass(Connection.this);
          return b;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
          int n = in.read(bytes, offset, length);
          pass(Connection.this);
          return n;
        }
      };
    }

    @Override
    public OutputStream getOutputStream() throws IOException {
      return new FilterOutputStream(super.getOutputStream()) {
        @Override
        public void write(int b) throws IOException {
          pass(Connection.this);
          out.write(b);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
          pass(Connection.this);
          out.write(bytes, offset, length);
        }
      };
    }

    @Override
    public void close() throws IOException {
      connections.remove(this);
      super.close();
      wake();
    }
  }
}
