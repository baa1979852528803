package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Reads one flow of a dump in place (enum ctattr_type of linux/netfilter/nfnetlink_conntrack.h) and
 * is the view of it. Makes no object for a flow: a table of 200,000 is walked in the memory of one.
 * Whatever the bytes are, it ends or throws an {@link IOException}.
 */
final class FlowReader extends FlowView {
  private static final int HEADER = 4;
  private static final int TYPE = 0x3fff;

  // Of a flow.
  private static final int ORIGINAL = 1;
  private static final int REPLY = 2;
  private static final int STATUS = 3;
  private static final int PROTOCOL_INFO = 4;
  // Of a tuple, its addresses and its protocol.
  private static final int ADDRESSES = 1;
  private static final int PROTOCOL = 2;
  private static final int SOURCE_4 = 1;
  private static final int DESTINATION_4 = 2;
  private static final int SOURCE_6 = 3;
  private static final int DESTINATION_6 = 4;
  private static final int NUMBER = 1;
  private static final int DESTINATION_PORT = 3;
  // Of the protocol's own state.
  private static final int TCP = 1;
  private static final int TCP_STATE = 1;

  private static final int SEEN_REPLY = 2;
  private static final int TIME_WAIT = 7;
  private static final boolean SWAPPED = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN;

  private int status;
  private int tcpState;

  /** Reads the attributes from here to there; the bytes are in the machine's order. */
  void read(ByteBuffer bytes, int from, int end) throws IOException {
    sourceHigh = 0;
    sourceLow = 0;
    destinationHigh = 0;
    destinationLow = 0;
    destinationPort = 0;
    answererHigh = 0;
    answererLow = 0;
    protocol = 0;
    status = 0;
    tcpState = 0;
    int length;
    for (int at = from; at < end; at = NetlinkMessages.aligned(at + length)) {
      int header = checkedHeader(bytes, at, end);
      length = length(header);
      switch (type(header)) {
        case ORIGINAL -> tuple(bytes, at + HEADER, at + length, ORIGINAL);
        case REPLY -> tuple(bytes, at + HEADER, at + length, REPLY);
        case STATUS -> status = length == HEADER + 4 ? number(bytes, at + HEADER) : 0;
        case PROTOCOL_INFO -> protocolInfo(bytes, at + HEADER, at + length);
        default -> {} // of no interest, or of a newer kernel
      }
    }
  }

  private void tuple(ByteBuffer bytes, int from, int end, int direction) throws IOException {
    int length;
    for (int at = from; at < end; at = NetlinkMessages.aligned(at + length)) {
      int header = checkedHeader(bytes, at, end);
      length = length(header);
      switch (type(header)) {
        case ADDRESSES -> addresses(bytes, at + HEADER, at + length, direction);
        case PROTOCOL -> {
          if (direction == ORIGINAL) {
            protocol(bytes, at + HEADER, at + length);
          }
        }
        default -> {}
      }
    }
  }

  private void addresses(ByteBuffer bytes, int from, int end, int direction) throws IOException {
    int length;
    for (int at = from; at < end; at = NetlinkMessages.aligned(at + length)) {
      int header = checkedHeader(bytes, at, end);
      length = length(header);
      int type = type(header);
      long high = 0;
      long low = 0;
      if (length == HEADER + 4 && (type == SOURCE_4 || type == DESTINATION_4)) {
        low = MAPPED | Integer.toUnsignedLong(number(bytes, at + HEADER));
      } else if (length == HEADER + 16 && (type == SOURCE_6 || type == DESTINATION_6)) {
        high = longNumber(bytes, at + HEADER);
        low = longNumber(bytes, at + HEADER + 8);
      } else {
        continue;
      }
      boolean source = type == SOURCE_4 || type == SOURCE_6;
      if (direction == REPLY) {
        if (source) {
          answererHigh = high;
          answererLow = low;
        }
      } else if (source) {
        sourceHigh = high;
        sourceLow = low;
      } else {
        destinationHigh = high;
        destinationLow = low;
      }
    }
  }

  private void protocol(ByteBuffer bytes, int from, int end) throws IOException {
    int length;
    for (int at = from; at < end; at = NetlinkMessages.aligned(at + length)) {
      int header = checkedHeader(bytes, at, end);
      length = length(header);
      int type = type(header);
      if (type == NUMBER && length == HEADER + 1) {
        protocol = Byte.toUnsignedInt(bytes.get(at + HEADER));
      } else if (type == DESTINATION_PORT && length == HEADER + 2) {
        short port = bytes.getShort(at + HEADER);
        destinationPort = Short.toUnsignedInt(SWAPPED ? Short.reverseBytes(port) : port);
      }
    }
  }

  private void protocolInfo(ByteBuffer bytes, int from, int end) throws IOException {
    int length;
    for (int at = from; at < end; at = NetlinkMessages.aligned(at + length)) {
      int header = checkedHeader(bytes, at, end);
      length = length(header);
      if (type(header) == TCP) {
        tcp(bytes, at + HEADER, at + length);
      }
    }
  }

  private void tcp(ByteBuffer bytes, int from, int end) throws IOException {
    int length;
    for (int at = from; at < end; at = NetlinkMessages.aligned(at + length)) {
      int header = checkedHeader(bytes, at, end);
      length = length(header);
      if (type(header) == TCP_STATE && length == HEADER + 1) {
        tcpState = bytes.get(at + HEADER);
      }
    }
  }

  /**
   * Length and type of an attribute; the length fits, so that every loop above moves on and ends.
   */
  private static int checkedHeader(ByteBuffer bytes, int at, int end) throws IOException {
    int left = end - at;
    if (left < HEADER) {
      throw NetlinkMessages.broken("an attribute header of %d bytes".formatted(left));
    }
    int header = bytes.getInt(at);
    int length = length(header);
    if (length < HEADER || length > left) {
      throw NetlinkMessages.broken("an attribute of %d bytes with %d left".formatted(length, left));
    }
    return header;
  }

  private static int length(int header) {
    return SWAPPED ? header & 0xffff : header >>> 16;
  }

  private static int type(int header) {
    return (SWAPPED ? header >>> 16 : header) & TYPE;
  }

  private static int number(ByteBuffer bytes, int at) {
    int number = bytes.getInt(at);
    return SWAPPED ? Integer.reverseBytes(number) : number;
  }

  private static long longNumber(ByteBuffer bytes, int at) {
    long number = bytes.getLong(at);
    return SWAPPED ? Long.reverseBytes(number) : number;
  }

  @Override
  public boolean unreplied() {
    return (status & SEEN_REPLY) == 0;
  }

  @Override
  public boolean timeWait() {
    return tcpState == TIME_WAIT;
  }
}
