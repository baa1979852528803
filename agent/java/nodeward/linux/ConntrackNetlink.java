package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.conntrack.FlowTaker;

/**
 * The requests and answers of the kernel's connection tracking over netlink, as bytes
 * (linux/netfilter/nfnetlink_conntrack.h). Pure: {@link Netlink} does the talking.
 */
final class ConntrackNetlink {
  private static final int SUBSYSTEM = 1 << 8;
  static final int NEW = SUBSYSTEM;
  static final int GET = SUBSYSTEM | 1;
  static final int GET_STATS_CPU = SUBSYSTEM | 4;
  static final int GET_STATS = SUBSYSTEM | 5;

  private static final int GLOBAL_ENTRIES = 1;
  private static final int GLOBAL_LIMIT = 2;

  private ConntrackNetlink() {}

  /** How full the table is; kernels before 4.18 do not tell the limit. */
  record Size(long entries, OptionalLong limit) {}

  /** Asks for the {@link Size}. */
  static byte[] sizeRequest(int sequence) {
    return request(GET_STATS, NetlinkMessages.REQUEST, sequence);
  }

  /** Asks for the counters of each CPU. */
  static byte[] countersRequest(int sequence) {
    return request(GET_STATS_CPU, NetlinkMessages.REQUEST | NetlinkMessages.DUMP, sequence);
  }

  /** Asks for every flow of any family. */
  static byte[] flowsRequest(int sequence) {
    return request(GET, NetlinkMessages.REQUEST | NetlinkMessages.DUMP, sequence);
  }

  private static byte[] request(int type, int flags, int sequence) {
    return ByteBuffer.allocate(NetlinkMessages.HEADER + 4)
        .order(ByteOrder.nativeOrder())
        .putInt(NetlinkMessages.HEADER + 4)
        .putShort((short) type)
        .putShort((short) flags)
        .putInt(sequence)
        .putInt(0) // the kernel is addressed, by pid 0
        .putInt(0) // nfgenmsg: any family, version 0, resource 0
        .array();
  }

  /**
   * Reads the answer to {@link #sizeRequest}; empty when the datagram holds none. The answer is one
   * message that says MULTI and is not followed by DONE: whoever waits for that waits for ever.
   */
  static Optional<Size> size(ByteBuffer datagram, int sequence) throws IOException {
    var messages = new NetlinkMessages(datagram);
    while (messages.next()) {
      if (messages.sequence() != sequence) {
        continue;
      }
      failIfRefused(messages);
      if (messages.type() == GET_STATS) {
        long[] found = {-1, -1};
        messages.numbers(
            (type, value) -> {
              switch (type) {
                case GLOBAL_ENTRIES -> found[0] = value;
                case GLOBAL_LIMIT -> found[1] = value;
                default -> {} // of a newer kernel
              }
            });
        if (found[0] < 0) {
          throw new IOException("netlink answered without the number of entries");
        }
        return Optional.of(
            new Size(found[0], found[1] < 0 ? OptionalLong.empty() : OptionalLong.of(found[1])));
      }
    }
    return Optional.empty();
  }

  /** Reads a part of the answer to {@link #countersRequest}; true when it was the last. */
  static boolean counters(
      ByteBuffer datagram, int sequence, SequencedMap<Integer, Map<Stat, Long>> into)
      throws IOException {
    var messages = new NetlinkMessages(datagram);
    while (messages.next()) {
      if (messages.sequence() != sequence) {
        continue;
      }
      failIfRefused(messages);
      if (messages.type() == NetlinkMessages.DONE) {
        return true;
      }
      if (messages.type() == GET_STATS_CPU) {
        var stats = new EnumMap<Stat, Long>(Stat.class);
        messages.numbers((type, value) -> stat(type).ifPresent(stat -> stats.put(stat, value)));
        into.put(messages.resource(), stats);
      }
    }
    return false;
  }

  /** How far a dump has come with one datagram. */
  enum Part {
    MORE,
    /** There is more, and the table was rebuilt under the dump. */
    TORN,
    LAST,
    /** It was the last, and the table was rebuilt under the dump. */
    LAST_TORN
  }

  /** Reads a part of the answer to {@link #flowsRequest} through this reader. */
  static Part flows(ByteBuffer datagram, int sequence, FlowReader reader, FlowTaker taker)
      throws IOException {
    var messages = new NetlinkMessages(datagram);
    boolean torn = false;
    while (messages.next()) {
      if (messages.sequence() != sequence) {
        continue;
      }
      failIfRefused(messages);
      torn |= messages.interrupted();
      if (messages.type() == NetlinkMessages.DONE) {
        return torn ? Part.LAST_TORN : Part.LAST;
      }
      if (messages.type() == NEW) {
        messages.flow(reader);
        taker.take(reader);
      }
    }
    return torn ? Part.TORN : Part.MORE;
  }

  private static void failIfRefused(NetlinkMessages messages) throws IOException {
    // The end of a dump carries an error too, when it is an early one.
    boolean tells =
        messages.type() == NetlinkMessages.ERROR || messages.type() == NetlinkMessages.DONE;
    if (tells && messages.errno() != 0) {
      throw new LibC.Failure("netlink", messages.errno());
    }
  }

  /** By enum ctattr_stats_cpu; the numbers that are missing belong to counters of old kernels. */
  private static Optional<Stat> stat(int type) {
    return switch (type) {
      case 2 -> Optional.of(Stat.FOUND);
      case 4 -> Optional.of(Stat.INVALID);
      case 8 -> Optional.of(Stat.INSERT);
      case 9 -> Optional.of(Stat.INSERT_FAILED);
      case 10 -> Optional.of(Stat.DROP);
      case 11 -> Optional.of(Stat.EARLY_DROP);
      case 12 -> Optional.of(Stat.ICMP_ERROR);
      case 13 -> Optional.of(Stat.SEARCH_RESTART);
      case 14 -> Optional.of(Stat.CLASH_RESOLVE);
      case 15 -> Optional.of(Stat.CHAIN_TOOLONG);
      default -> Optional.empty();
    };
  }
}
