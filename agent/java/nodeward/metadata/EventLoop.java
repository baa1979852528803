package nodeward.metadata;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.Channel;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One thread that serves its share of the connections. Each turn gives every connection that is
 * ready a few requests, so that one that sends without end does not keep the others waiting. An
 * error of one connection ends that connection alone.
 */
final class EventLoop {
  private static final Logger log = LoggerFactory.getLogger(EventLoop.class);
  private static final int MOST_ACCEPTED_AT_ONCE = 64;
  private static final Duration SWEEP = Duration.ofMillis(250);
  private static final Duration STOP_LIMIT = Duration.ofSeconds(2);

  private final PodServer server;
  private final Selector selector;
  private final Thread thread;
  private final Queue<Runnable> posted = new ConcurrentLinkedQueue<>();
  private final Queue<Connection> unfinished = new ArrayDeque<>();
  // Shared by all connections of the loop, each for as long as it is read or answered.
  final byte[] in = new byte[RequestParser.LARGEST_HEAD + Connection.READ];
  final ByteBuffer out = ByteBuffer.allocateDirect(16 * 1024);
  final HttpText text = new HttpText();
  private long swept;
  // No connection could be accepted; the next sweep tries again.
  private boolean paused;
  private volatile boolean closed;

  EventLoop(PodServer server, String name) throws IOException {
    this.server = server;
    this.selector = Selector.open();
    this.thread = Thread.ofPlatform().name(name).daemon().unstarted(this::run);
  }

  void start() {
    swept = System.nanoTime();
    thread.start();
  }

  boolean alive() {
    return thread.isAlive();
  }

  void listen(ServerSocketChannel channel, Door door) throws IOException {
    // Registering waits for a running select, so the loop does it when it runs.
    if (!thread.isAlive()) {
      channel.register(selector, SelectionKey.OP_ACCEPT, door);
    } else {
      post(() -> register(channel, door));
    }
  }

  private void register(ServerSocketChannel channel, Door door) {
    try {
      channel.register(selector, SelectionKey.OP_ACCEPT, door);
    } catch (IOException | ClosedSelectorException e) {
      log.debug("metadata: the server was closed before it listened", e);
      quietlyClosed(channel);
    }
  }

  /** Runs on the loop's thread, soon. */
  void post(Runnable work) {
    posted.add(work);
    selector.wakeup();
  }

  /** Has the connection take its next turn although no new bytes came. */
  void again(Connection connection) {
    unfinished.add(connection);
  }

  void close() {
    closed = true;
    selector.wakeup();
    if (thread.getState() == Thread.State.NEW) {
      closeAll();
      return;
    }
    try {
      if (!thread.join(STOP_LIMIT)) {
        log.warn("metadata: a loop of the server did not stop in time");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void run() {
    try {
      while (!closed) {
        if (unfinished.isEmpty()) {
          // Without connections nothing can time out, and the loop need not wake up.
          selector.select(server.connections() == 0 && !paused ? 0 : SWEEP.toMillis());
        } else {
          selector.selectNow();
        }
        turn();
      }
    } catch (IOException e) {
      log.error("metadata: the server cannot go on", e);
    } finally {
      closeAll();
    }
  }

  private void turn() {
    for (Runnable work = posted.poll(); work != null; work = posted.poll()) {
      try {
        work.run();
      } catch (RuntimeException e) {
        log.error("metadata: connection broke", e);
      }
    }
    for (int n = unfinished.size(); n > 0; n--) {
      serve(unfinished.remove(), Connection::goOn);
    }
    for (SelectionKey key : selector.selectedKeys()) {
      if (!key.isValid()) {
        continue;
      }
      if (key.attachment() instanceof Connection connection) {
        serve(connection, Connection::ready);
      } else {
        accept(key, (ServerSocketChannel) key.channel(), (Door) key.attachment());
      }
    }
    selector.selectedKeys().clear();
    long now = System.nanoTime();
    if (now - swept >= SWEEP.toNanos()) {
      swept = now;
      paused = false;
      for (SelectionKey key : selector.keys()) {
        if (key.attachment() instanceof Connection connection) {
          serve(connection, c -> c.sweep(now));
        } else if (key.isValid() && key.interestOps() == 0) {
          key.interestOps(SelectionKey.OP_ACCEPT);
        }
      }
    }
  }

  /** What one connection does. */
  @FunctionalInterface
  private interface Step {
    void take(Connection connection) throws IOException;
  }

  private static void serve(Connection connection, Step step) {
    try {
      step.take(connection);
    } catch (IOException e) {
      connection.close(); // the pod has gone, which is its right
    } catch (RuntimeException e) {
      log.error("metadata: connection broke", e);
      connection.close();
    }
  }

  private void accept(SelectionKey key, ServerSocketChannel listener, Door door) {
    try {
      for (int i = 0; i < MOST_ACCEPTED_AT_ONCE; i++) {
        SocketChannel channel = listener.accept();
        if (channel == null) {
          return;
        }
        admit(channel, door);
      }
    } catch (IOException e) {
      // Most likely there are no file descriptors left.
      paused = true;
      log.warn("metadata: cannot accept a connection why=\"{}\"", e.getMessage());
      key.interestOps(0);
    }
  }

  private void admit(SocketChannel channel, Door door) {
    try {
      var from = (InetSocketAddress) channel.getRemoteAddress();
      switch (server.callers().enter(from.getAddress())) {
        case Callers.Entrance.Refused(String why) -> {
          door.refuse(Refusal.CONNECTIONS, from, why);
          channel.close();
        }
        case Callers.Entrance.Admitted(Callers.Caller caller) -> {
          EventLoop loop = server.nextLoop();
          if (loop == this) {
            take(channel, from, caller, door);
          } else {
            loop.post(() -> loop.take(channel, from, caller, door));
          }
        }
      }
    } catch (IOException e) {
      quietlyClosed(channel); // it was closed before it was looked at
    }
  }

  private void take(
      SocketChannel channel, InetSocketAddress from, Callers.Caller caller, Door door) {
    try {
      channel.configureBlocking(false);
      channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
      SelectionKey key = channel.register(selector, SelectionKey.OP_READ);
      key.attach(new Connection(this, server, key, from, caller, door));
    } catch (IOException | ClosedSelectorException e) {
      caller.left();
      quietlyClosed(channel);
    }
  }

  private static void quietlyClosed(Channel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      log.debug("metadata: closing a connection", e);
    }
  }

  private void closeAll() {
    try {
      for (SelectionKey key : selector.keys()) {
        if (key.attachment() instanceof Connection connection) {
          connection.close();
        } else if (key.channel() instanceof ServerSocketChannel listener) {
          ListeningSocket.close(listener);
        }
      }
      selector.close();
      // Those that were handed over too late.
      for (Runnable work = posted.poll(); work != null; work = posted.poll()) {
        work.run();
      }
    } catch (IOException e) {
      log.warn("metadata: closing the server why=\"{}\"", e.getMessage());
    }
  }
}
