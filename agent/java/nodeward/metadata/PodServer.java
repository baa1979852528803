package nodeward.metadata;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.config.Address;

/**
 * The HTTP server that pods talk to: strict, bounded in everything that one pod may take, and able
 * to serve two doors. Why it is our own stands in docs/decisions/0003-http-server.md. A few event
 * loops read, answer and write; what has to wait does so on a virtual thread of its own.
 */
final class PodServer implements AutoCloseable {
  /**
   * How long a connection may take: for the head and body of a request from its first byte on,
   * between two requests, and for taking an answer.
   */
  record Limits(Callers.Most most, Duration request, Duration idle, Duration answer) {
    /** A request takes an SDK milliseconds, and SDKs use few connections. */
    static Limits of(int connectionsPerPod, int requestsPerPod) {
      return new Limits(
          new Callers.Most(connectionsPerPod, requestsPerPod, 64 * 1024, 8192),
          Duration.ofSeconds(5),
          Duration.ofSeconds(60),
          Duration.ofSeconds(10));
    }
  }

  private static final int BACKLOG = 1024;
  private static final int LOOPS = 2;

  private final Limits limits;
  private final Callers callers;
  private final List<EventLoop> loops = new ArrayList<>();
  private final ExecutorService waiting =
      Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("metadata-", 0).factory());
  private final AtomicInteger next = new AtomicInteger();

  PodServer(Limits limits) throws IOException {
    this.limits = limits;
    this.callers = new Callers(limits.most());
    for (int i = 0; i < LOOPS; i++) {
      loops.add(new EventLoop(this, "metadata-io-" + i));
    }
  }

  /** Returns where it listens; connections are answered once {@link #start} was called. */
  InetSocketAddress listen(Address address, Door door) throws IOException {
    ServerSocketChannel channel = ListeningSocket.open(address, BACKLOG);
    channel.configureBlocking(false);
    loops.getFirst().listen(channel, door);
    return (InetSocketAddress) channel.getLocalAddress();
  }

  void start() {
    loops.forEach(EventLoop::start);
  }

  /** Whether every loop still runs. */
  boolean alive() {
    return loops.stream().allMatch(EventLoop::alive);
  }

  int connections() {
    return callers.connections();
  }

  Limits limits() {
    return limits;
  }

  Callers callers() {
    return callers;
  }

  /** The loop that gets the next connection. */
  EventLoop nextLoop() {
    return loops.get(Math.floorMod(next.getAndIncrement(), loops.size()));
  }

  void later(Runnable work) {
    waiting.execute(work);
  }

  /** Cuts all connections off; idempotent. */
  @Override
  public void close() {
    loops.forEach(EventLoop::close);
    waiting.shutdownNow();
  }
}
