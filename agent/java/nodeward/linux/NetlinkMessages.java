package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Walks the messages of one netlink datagram and the attributes of a message, in place. It trusts
 * nothing: a length that does not fit is an {@link IOException}, never another exception and never
 * a loop without end. Layout: linux/netlink.h, in the byte order of the machine.
 */
final class NetlinkMessages {
  static final int REQUEST = 1;
  static final int DUMP = 0x300;
  static final int ERROR = 2;
  static final int DONE = 3;

  static final int HEADER = 16;
  private static final int ATTRIBUTE_HEADER = 4;
  private static final int ATTRIBUTE_TYPE = 0x3fff;
  private static final int DUMP_INTERRUPTED = 0x10;

  private final ByteBuffer bytes;
  private int message;
  private int messageEnd;

  /** Walks the bytes from position to limit. */
  NetlinkMessages(ByteBuffer datagram) {
    this.bytes = datagram.slice().order(ByteOrder.nativeOrder());
  }

  /** Goes to the next message; false after the last. */
  boolean next() throws IOException {
    int start = aligned(messageEnd);
    if (start >= bytes.limit()) {
      return false;
    }
    if (bytes.limit() - start < HEADER) {
      throw broken("a header of %d bytes".formatted(bytes.limit() - start));
    }
    int length = bytes.getInt(start);
    if (length < HEADER || length > bytes.limit() - start) {
      throw broken("a length of %d with %d bytes left".formatted(length, bytes.limit() - start));
    }
    message = start;
    messageEnd = start + length;
    return true;
  }

  int type() {
    return Short.toUnsignedInt(bytes.getShort(message + 4));
  }

  int sequence() {
    return bytes.getInt(message + 8);
  }

  /** Whether the table changed so much under the dump that it may have gaps. */
  boolean interrupted() {
    return (bytes.getShort(message + 6) & DUMP_INTERRUPTED) != 0;
  }

  /** The errno of an {@link #ERROR} message; 0 acknowledges. */
  int errno() throws IOException {
    if (messageEnd - message < HEADER + 4) {
      throw broken("an error message of %d bytes".formatted(messageEnd - message));
    }
    return -bytes.getInt(message + HEADER);
  }

  /** The {@code res_id} of the nfgenmsg that begins the payload (linux/netfilter/nfnetlink.h). */
  int resource() throws IOException {
    if (messageEnd - message < HEADER + 4) {
      throw broken("a netfilter message of %d bytes".formatted(messageEnd - message));
    }
    return Short.toUnsignedInt(bigEndian().getShort(message + HEADER + 2));
  }

  /** Reads the flow that the message is. */
  void flow(FlowReader into) throws IOException {
    if (messageEnd - message < HEADER + 4) {
      throw broken("a netfilter message of %d bytes".formatted(messageEnd - message));
    }
    into.read(bytes, message + HEADER + 4, messageEnd);
  }

  /** The address family of that nfgenmsg. */
  int family() throws IOException {
    if (messageEnd - message < HEADER + 4) {
      throw broken("a netfilter message of %d bytes".formatted(messageEnd - message));
    }
    return Byte.toUnsignedInt(bytes.get(message + HEADER));
  }

  /** What follows that nfgenmsg: attributes. */
  ByteBuffer afterNetfilterHeader() throws IOException {
    if (messageEnd - message < HEADER + 4) {
      throw broken("a netfilter message of %d bytes".formatted(messageEnd - message));
    }
    int start = message + HEADER + 4;
    return bytes.slice(start, messageEnd - start).order(ByteOrder.nativeOrder());
  }

  /** Takes each attribute of these bytes; what is nested in one is taken by a call of its own. */
  static void attributes(ByteBuffer bytes, AttributeTaker taker) throws IOException {
    int at = 0;
    while (at < bytes.limit()) {
      int left = bytes.limit() - at;
      if (left < ATTRIBUTE_HEADER) {
        throw broken("an attribute header of %d bytes".formatted(left));
      }
      int length = Short.toUnsignedInt(bytes.getShort(at));
      if (length < ATTRIBUTE_HEADER || length > left) {
        throw broken("an attribute of %d bytes with %d left".formatted(length, left));
      }
      ByteBuffer payload = bytes.slice(at + ATTRIBUTE_HEADER, length - ATTRIBUTE_HEADER);
      taker.take(bytes.getShort(at + 2) & ATTRIBUTE_TYPE, payload.order(ByteOrder.nativeOrder()));
      at = aligned(at + length);
    }
  }

  /** Takes an attribute's type and its payload, from position 0 to the limit. */
  @FunctionalInterface
  interface AttributeTaker {
    void take(int type, ByteBuffer payload) throws IOException;
  }

  /** Takes each attribute behind the nfgenmsg whose payload is one big-endian 32-bit number. */
  void numbers(NumberTaker taker) throws IOException {
    int at = message + HEADER + 4;
    while (at < messageEnd) {
      int left = messageEnd - at;
      if (left < ATTRIBUTE_HEADER) {
        throw broken("an attribute header of %d bytes".formatted(left));
      }
      int length = Short.toUnsignedInt(bytes.getShort(at));
      if (length < ATTRIBUTE_HEADER || length > left) {
        throw broken("an attribute of %d bytes with %d left".formatted(length, left));
      }
      if (length == ATTRIBUTE_HEADER + 4) {
        int type = bytes.getShort(at + 2) & ATTRIBUTE_TYPE;
        taker.take(type, Integer.toUnsignedLong(bigEndian().getInt(at + ATTRIBUTE_HEADER)));
      }
      at = aligned(at + length);
    }
  }

  /** Takes an attribute's type and its unsigned value. */
  @FunctionalInterface
  interface NumberTaker {
    void take(int type, long value);
  }

  private ByteBuffer bigEndian() {
    return bytes.duplicate().order(ByteOrder.BIG_ENDIAN);
  }

  static int aligned(int length) {
    return (length + 3) & ~3;
  }

  static IOException broken(String what) {
    return new IOException("netlink answered with a broken message: " + what);
  }
}
