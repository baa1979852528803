package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;

/**
 * Puts flows into the connection tracking table of this network namespace, a hundred thousand a
 * second: replied and assured TCP flows, which the kernel never drops to make room.
 */
public final class TableFiller {
  private static final int NETLINK_NETFILTER = 12;
  private static final int CREATE = 0x1 | 0x400;
  private static final int BATCH = 64;
  private static final int ASSURED = 0xe;

  private TableFiller() {}

  /**
   * So many flows from this IPv4 address to port 443 of this one; each has a source port of its own
   * in turn, then the next address of the destination's network.
   */
  public static void fill(int flows, int source, int destination) throws IOException {
    int fd = LibC.socket(LibC.AF_NETLINK, LibC.SOCK_RAW, NETLINK_NETFILTER);
    try {
      ByteBuffer address = ByteBuffer.allocate(12).order(ByteOrder.nativeOrder());
      LibC.bind(fd, address.putShort((short) LibC.AF_NETLINK).array());
      ByteBuffer batch = ByteBuffer.allocate(64 * 1024).order(ByteOrder.nativeOrder());
      for (int i = 0; i < flows; i++) {
        flow(batch, i, source, destination + i / 50_000, 10_000 + i % 50_000);
        if (i % BATCH == BATCH - 1 || i == flows - 1) {
          byte[] bytes = new byte[batch.position()];
          batch.flip().get(bytes);
          LibC.send(fd, bytes);
          batch.clear();
        }
      }
    } finally {
      LibC.close(fd);
    }
  }

  /** The same in another network namespace, by a thread that never comes back from there. */
  public static void fillIn(Path namespace, int flows, int source, int destination)
      throws Exception {
    var filled =
        new FutureTask<Void>(
            () -> {
              LibC.enterNetwork(namespace);
              fill(flows, source, destination);
              return null;
            });
    Thread.ofPlatform().daemon().name("filler").start(filled);
    filled.get(1, TimeUnit.MINUTES);
  }

  private static void flow(ByteBuffer into, int number, int source, int destination, int port) {
    int start = into.position();
    into.putInt(0).putShort((short) ConntrackNetlink.NEW).putShort((short) CREATE);
    into.putInt(number).putInt(0).put((byte) 2).put((byte) 0).putShort((short) 0);
    tuple(into, 1, source, destination, port, 443);
    tuple(into, 2, destination, source, 443, port);
    number(into, 3, ASSURED);
    number(into, 7, 3600);
    int info = open(into, 4 | 0x8000);
    int tcp = open(into, 1 | 0x8000);
    close(into, attribute(into, 1, new byte[] {3}));
    close(into, tcp);
    close(into, info);
    into.putInt(start, into.position() - start);
  }

  private static void tuple(ByteBuffer into, int type, int from, int to, int port, int toPort) {
    int tuple = open(into, type | 0x8000);
    int ip = open(into, 1 | 0x8000);
    number(into, 1, from);
    number(into, 2, to);
    close(into, ip);
    int protocol = open(into, 2 | 0x8000);
    close(into, attribute(into, 1, new byte[] {6}));
    close(into, attribute(into, 2, new byte[] {(byte) (port >> 8), (byte) port}));
    close(into, attribute(into, 3, new byte[] {(byte) (toPort >> 8), (byte) toPort}));
    close(into, protocol);
    close(into, tuple);
  }

  private static void number(ByteBuffer into, int type, int value) {
    close(into, attribute(into, type, ByteBuffer.allocate(4).putInt(value).array()));
  }

  private static int attribute(ByteBuffer into, int type, byte[] payload) {
    int start = open(into, type);
    into.put(payload);
    return start;
  }

  private static int open(ByteBuffer into, int type) {
    int start = into.position();
    into.putShort((short) 0).putShort((short) type);
    return start;
  }

  private static void close(ByteBuffer into, int attribute) {
    into.putShort(attribute, (short) (into.position() - attribute));
    while (into.position() % 4 != 0) {
      into.put((byte) 0);
    }
  }
}
