package nodeward.linux;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Requests and answers about single flows of the connection tracking table, as bytes
 * (linux/netfilter/nfnetlink_conntrack.h). Pure: {@link Netlink} does the talking.
 */
final class ConntrackFlows {
  private static final int SUBSYSTEM = 1 << 8;
  private static final int NEW = SUBSYSTEM;
  private static final int GET = SUBSYSTEM | 1;
  private static final int DELETE = SUBSYSTEM | 2;
  private static final int ACKNOWLEDGE = 4;

  private static final int TUPLE_ORIGINAL = 1;
  private static final int TUPLE_REPLY = 2;
  private static final int ID = 12;
  private static final int ZONE = 18;
  private static final int TUPLE_IP = 1;
  private static final int V4_SOURCE = 1;
  private static final int V4_DESTINATION = 2;
  private static final int V6_SOURCE = 3;
  private static final int V6_DESTINATION = 4;
  private static final int NESTED = 0x8000;

  private ConntrackFlows() {}

  /** A flow: who began it with whom, who answers, and what names it to the kernel. */
  record Flow(
      int family,
      InetAddress source,
      InetAddress destination,
      InetAddress replySource,
      ByteBuffer name) {}

  /** Asks for all flows of both families. */
  static byte[] listRequest(int sequence) {
    return request(GET, NetlinkMessages.REQUEST | NetlinkMessages.DUMP, sequence, 0, new byte[0]);
  }

  /** Asks to forget one flow, and for an acknowledgement. */
  static byte[] forgetRequest(int sequence, Flow flow) {
    byte[] name = new byte[flow.name.remaining()];
    flow.name.duplicate().get(name);
    return request(DELETE, NetlinkMessages.REQUEST | ACKNOWLEDGE, sequence, flow.family, name);
  }

  /** Reads a part of the answer to {@link #listRequest}; true when it was the last. */
  static boolean list(ByteBuffer datagram, int sequence, Consumer<Flow> into) throws IOException {
    var messages = new NetlinkMessages(datagram);
    while (messages.next()) {
      if (messages.sequence() != sequence) {
        continue;
      }
      if (messages.type() == NetlinkMessages.ERROR && messages.errno() != 0) {
        throw new LibC.Failure("netlink", messages.errno());
      }
      if (messages.type() == NetlinkMessages.DONE) {
        return true;
      }
      if (messages.type() == NEW) {
        flow(messages).ifPresent(into);
      }
    }
    return false;
  }

  /** The errno that answers {@link #forgetRequest}; empty when the datagram does not. */
  static Optional<Integer> forgotten(ByteBuffer datagram, int sequence) throws IOException {
    var messages = new NetlinkMessages(datagram);
    while (messages.next()) {
      if (messages.sequence() == sequence && messages.type() == NetlinkMessages.ERROR) {
        return Optional.of(messages.errno());
      }
    }
    return Optional.empty();
  }

  private static byte[] request(int type, int flags, int sequence, int family, byte[] attributes) {
    int length = NetlinkMessages.HEADER + 4 + attributes.length;
    return ByteBuffer.allocate(length)
        .order(ByteOrder.nativeOrder())
        .putInt(length)
        .putShort((short) type)
        .putShort((short) flags)
        .putInt(sequence)
        .putInt(0) // the kernel is addressed, by pid 0
        .put((byte) family) // nfgenmsg: family, version 0, resource 0
        .put(new byte[3])
        .put(attributes)
        .array();
  }

  /** Empty for a flow of no addresses that we know. */
  private static Optional<Flow> flow(NetlinkMessages message) throws IOException {
    var name = new ByteArrayOutputStream();
    InetAddress[] found = new InetAddress[3];
    NetlinkMessages.attributes(
        message.afterNetfilterHeader(),
        (type, payload) -> {
          switch (type) {
            case TUPLE_ORIGINAL -> {
              addresses(payload, found, 0, 1);
              write(name, type | NESTED, payload);
            }
            case TUPLE_REPLY -> addresses(payload, found, 2, -1);
            case ID, ZONE -> write(name, type, payload);
            default -> {} // what else is told of a flow
          }
        });
    return found[0] == null || found[1] == null || found[2] == null
        ? Optional.empty()
        : Optional.of(
            new Flow(
                message.family(),
                found[0],
                found[1],
                found[2],
                ByteBuffer.wrap(name.toByteArray())));
  }

  private static void addresses(ByteBuffer tuple, InetAddress[] into, int source, int destination)
      throws IOException {
    NetlinkMessages.attributes(
        tuple,
        (type, payload) -> {
          if (type == TUPLE_IP) {
            NetlinkMessages.attributes(
                payload,
                (part, bytes) -> {
                  if (part == V4_SOURCE || part == V6_SOURCE) {
                    into[source] = address(bytes);
                  } else if (destination >= 0
                      && (part == V4_DESTINATION || part == V6_DESTINATION)) {
                    into[destination] = address(bytes);
                  }
                });
          }
        });
  }

  private static InetAddress address(ByteBuffer bytes) throws IOException {
    byte[] address = new byte[bytes.remaining()];
    bytes.duplicate().get(address);
    try {
      return InetAddress.getByAddress(address);
    } catch (UnknownHostException e) {
      throw new IOException("netlink answered with an address of " + address.length + " bytes", e);
    }
  }

  /** An attribute as it came, with its padding. */
  private static void write(ByteArrayOutputStream to, int type, ByteBuffer payload) {
    byte[] bytes = new byte[payload.remaining()];
    payload.duplicate().get(bytes);
    to.writeBytes(
        ByteBuffer.allocate(4)
            .order(ByteOrder.nativeOrder())
            .putShort((short) (4 + bytes.length))
            .putShort((short) type)
            .array());
    to.writeBytes(bytes);
    to.writeBytes(new byte[-bytes.length & 3]);
  }
}
