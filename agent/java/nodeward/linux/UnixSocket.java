package nodeward.linux;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A Unix stream socket in the form that HTTP libraries take. It has a time-out for connecting
 * alone: who waits too long otherwise closes it, from any thread, and the blocked call ends with an
 * exception.
 */
final class UnixSocket extends Socket {
  private final SocketChannel channel;
  private final Path path;

  /** A socket that will connect to this path, whatever address it is given. */
  UnixSocket(Path path) throws IOException {
    this(SocketChannel.open(StandardProtocolFamily.UNIX), path);
  }

  UnixSocket(SocketChannel channel, Path path) {
    this.channel = channel;
    this.path = path;
  }

  /**
   * Blocks while the listener's backlog is full, until somebody closes the socket. On a virtual
   * thread the JDK would not block but fail, and a daemon that hangs would look like one that
   * refuses; so a thread of the platform connects.
   */
  @Override
  public void connect(SocketAddress ignored) throws IOException {
    connect(ignored, 0);
  }

  /** The same, for so many milliseconds at most; 0 is for ever. A socket that is late is closed. */
  @Override
  public void connect(SocketAddress ignored, int timeout) throws IOException {
    var connected = new FutureTask<>(() -> channel.connect(UnixDomainSocketAddress.of(path)));
    Thread.ofPlatform().daemon().name("connect " + path).start(connected);
    try {
      if (timeout == 0) {
        connected.get();
      } else {
        connected.get(timeout, TimeUnit.MILLISECONDS);
      }
    } catch (TimeoutException e) {
      close();
      var late = new SocketTimeoutException(path + " accepted no connection in " + timeout + " ms");
      late.initCause(e);
      throw late;
    } catch (InterruptedException e) {
      close();
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while connecting to " + path);
    } catch (ExecutionException e) {
      // Not a ConnectException: okhttp would hide its text behind that of an internet address.
      Throwable cause = Objects.requireNonNullElse(e.getCause(), e);
      var failure = new SocketException(cause.getMessage());
      failure.initCause(cause);
      throw failure;
    }
  }

  @Override
  public InputStream getInputStream() {
    return Channels.newInputStream(channel);
  }

  @Override
  public OutputStream getOutputStream() {
    return Channels.newOutputStream(channel);
  }

  @Override
  public boolean isConnected() {
    return channel.isConnected();
  }

  @Override
  public boolean isBound() {
    return true;
  }

  @Override
  public boolean isClosed() {
    return !channel.isOpen();
  }

  @Override
  public boolean isInputShutdown() {
    return isClosed();
  }

  @Override
  public boolean isOutputShutdown() {
    return isClosed();
  }

  @Override
  public void shutdownInput() throws IOException {
    channel.shutdownInput();
  }

  @Override
  public void shutdownOutput() throws IOException {
    channel.shutdownOutput();
  }

  @Override
  public void close() throws IOException {
    try {
      channel.close();
    } finally {
      super.close(); // a method that is not overridden here may have made an internet socket
    }
  }

  @Override
  public InetAddress getInetAddress() {
    return InetAddress.getLoopbackAddress();
  }

  @Override
  public InetAddress getLocalAddress() {
    return InetAddress.getLoopbackAddress();
  }

  @Override
  public int getPort() {
    return 0;
  }

  @Override
  public int getLocalPort() {
    return 0;
  }

  @Override
  public void setTcpNoDelay(boolean on) {}

  @Override
  public void setSoTimeout(int timeout) {}

  @Override
  public int getSoTimeout() {
    return 0;
  }

  @Override
  public String toString() {
    return "unix:" + path;
  }
}
