package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Predicate;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.conntrack.FlowTable;
import nodeward.conntrack.FlowTaker;

/**
 * One netlink socket to the kernel's netfilter, for the network namespace of this process. Each
 * request needs CAP_NET_ADMIN; without it the kernel answers EPERM. No call waits longer than the
 * limit. Not safe for use by several threads.
 */
final class Netlink implements AutoCloseable {
  private static final int NETLINK_NETFILTER = 12;
  // The kernel hands a dump over in parts of 32 KiB at most.
  private static final int BUFFER = 64 * 1024;

  private final Wire wire;
  private final Duration limit;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER);
  private int sequence = ThreadLocalRandom.current().nextInt();

  /** What carries the datagrams: a socket, or a test. */
  interface Wire {
    void send(byte[] request) throws LibC.Failure;

    /** Receives one datagram, from the buffer's start to its new limit. */
    void receive(ByteBuffer into) throws LibC.Failure;

    void close();
  }

  Netlink(Wire wire, Duration limit) {
    this.wire = wire;
    this.limit = limit;
  }

  static Netlink open(Duration limit) throws IOException {
    int fd = LibC.socket(LibC.AF_NETLINK, LibC.SOCK_RAW, NETLINK_NETFILTER);
    try {
      LibC.setsockopt(fd, LibC.SOL_SOCKET, LibC.SO_RCVTIMEO, timeval(limit));
      LibC.bind(fd, kernel());
      return new Netlink(new KernelSocket(fd), limit);
    } catch (IOException e) {
      LibC.close(fd);
      throw e;
    }
  }

  private record KernelSocket(int fd) implements Wire {
    @Override
    public void send(byte[] request) throws LibC.Failure {
      LibC.send(fd, request);
    }

    @Override
    public void receive(ByteBuffer into) throws LibC.Failure {
      LibC.recv(fd, into);
    }

    @Override
    public void close() {
      LibC.close(fd);
    }
  }

  /** How full the connection tracking table is. */
  ConntrackNetlink.Size conntrackSize() throws IOException {
    int asked = ++sequence;
    wire.send(ConntrackNetlink.sizeRequest(asked));
    long deadline = System.nanoTime() + limit.toNanos();
    Optional<ConntrackNetlink.Size> size = Optional.empty();
    while (size.isEmpty()) {
      receive(deadline);
      size = ConntrackNetlink.size(buffer, asked);
    }
    return size.get();
  }

  /** The connection tracking counters of each CPU. */
  SequencedMap<Integer, Map<Stat, Long>> conntrackCounters() throws IOException {
    int asked = ++sequence;
    wire.send(ConntrackNetlink.countersRequest(asked));
    long deadline = System.nanoTime() + limit.toNanos();
    var cpus = new TreeMap<Integer, Map<Stat, Long>>();
    boolean done = false;
    while (!done) {
      receive(deadline);
      done = ConntrackNetlink.counters(buffer, asked, cpus);
    }
    return cpus;
  }

  /** Hands over every flow of the table; each part of the dump has to come within the limit. */
  FlowTable.Walk conntrackFlows(FlowTaker taker, Duration most) throws IOException {
    int asked = ++sequence;
    wire.send(ConntrackNetlink.flowsRequest(asked));
    long deadline = System.nanoTime() + most.toNanos();
    var reader = new FlowReader();
    var walk = FlowTable.Walk.WHOLE;
    while (true) {
      receive(deadline);
      switch (ConntrackNetlink.flows(buffer, asked, reader, taker)) {
        case MORE -> {}
        case TORN -> walk = FlowTable.Walk.TORN;
        case LAST -> {
          return walk;
        }
        case LAST_TORN -> {
          return FlowTable.Walk.TORN;
        }
      }
    }
  }

  /**
   * Forgets the flows that are chosen and returns how many; one that has ended meanwhile is none. A
   * table that changes much while it is listed may keep one or the other.
   */
  int forgetFlows(Predicate<ConntrackFlows.Flow> chosen) throws IOException {
    var flows = new ArrayList<ConntrackFlows.Flow>();
    int asked = ++sequence;
    wire.send(ConntrackFlows.listRequest(asked));
    long deadline = System.nanoTime() + limit.toNanos();
    boolean done = false;
    while (!done) {
      receive(deadline);
      done =
          ConntrackFlows.list(
              buffer,
              asked,
              flow -> {
                if (chosen.test(flow)) {
                  flows.add(flow);
                }
              });
    }
    int forgotten = 0;
    for (ConntrackFlows.Flow flow : flows) {
      forgotten += forget(flow) ? 1 : 0;
    }
    return forgotten;
  }

  private boolean forget(ConntrackFlows.Flow flow) throws IOException {
    int asked = ++sequence;
    wire.send(ConntrackFlows.forgetRequest(asked, flow));
    long deadline = System.nanoTime() + limit.toNanos();
    Optional<Integer> errno = Optional.empty();
    while (errno.isEmpty()) {
      receive(deadline);
      errno = ConntrackFlows.forgotten(buffer, asked);
    }
    if (errno.get() != 0 && errno.get() != LibC.ENOENT) {
      throw new LibC.Failure("netlink: forget a flow", errno.get());
    }
    return errno.get() == 0;
  }

  @Override
  public void close() {
    wire.close();
  }

  /** The next datagram; the socket's time-out bounds one wait, the deadline all of them. */
  private void receive(long deadline) throws IOException {
    while (true) {
      if (System.nanoTime() - deadline > 0) {
        throw new IOException("netlink: no whole answer in time");
      }
      try {
        wire.receive(buffer);
        return;
      } catch (LibC.Failure e) {
        if (e.errno() != LibC.EINTR) {
          throw e;
        }
      }
    }
  }

  /** A struct sockaddr_nl: to the kernel, without multicast groups. */
  private static byte[] kernel() {
    return ByteBuffer.allocate(12)
        .order(ByteOrder.nativeOrder())
        .putShort((short) LibC.AF_NETLINK)
        .array();
  }

  /** A struct timeval of a 64-bit machine. */
  static byte[] timeval(Duration duration) {
    return ByteBuffer.allocate(16)
        .order(ByteOrder.nativeOrder())
        .putLong(duration.toSeconds())
        .putLong(duration.toNanosPart() / 1000)
        .array();
  }
}
