package nodeward.linux;

import java.io.IOException;
import okio.Buffer;

/**
 * Reads the fields of one protobuf message in their order (protobuf.dev, Encoding). Whatever the
 * bytes are, it ends with the last of them or throws an {@link IOException}, and holds nothing
 * beside them.
 */
final class ProtobufReader {
  private static final int VARINT = 0;
  private static final int FIXED64 = 1;
  private static final int LENGTH = 2;
  private static final int FIXED32 = 5;

  private final Buffer message;
  private int field;
  private int type = -1; // of the field that is still to be read; -1 when it has been

  ProtobufReader(Buffer message) {
    this.message = message;
  }

  /** Moves to the next field, past the last one if nobody read it; false after the last. */
  boolean next() throws IOException {
    skip();
    if (message.exhausted()) {
      return false;
    }
    long key = varint();
    if (key >>> 3 < 1 || key >>> 3 > Integer.MAX_VALUE >> 2) {
      throw broken();
    }
    field = (int) (key >>> 3);
    type = (int) (key & 7);
    return true;
  }

  int field() {
    return field;
  }

  long number() throws IOException {
    take(VARINT);
    return varint();
  }

  String text() throws IOException {
    take(LENGTH);
    return message.readUtf8(length());
  }

  ProtobufReader message() throws IOException {
    take(LENGTH);
    var part = new Buffer();
    part.write(message, length());
    return new ProtobufReader(part);
  }

  private void take(int wanted) throws IOException {
    if (type != wanted) {
      throw broken();
    }
    type = -1;
  }

  private void skip() throws IOException {
    int unread = type;
    type = -1;
    switch (unread) {
      case -1 -> {}
      case VARINT -> varint();
      case FIXED64 -> skip(8);
      case LENGTH -> skip(length());
      case FIXED32 -> skip(4);
      default -> throw broken();
    }
  }

  private long length() throws IOException {
    long length = varint();
    if (length < 0 || length > message.size()) {
      throw broken();
    }
    return length;
  }

  private long varint() throws IOException {
    long value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (message.exhausted()) {
        throw broken();
      }
      byte next = message.readByte();
      value |= (long) (next & 0x7f) << shift;
      if (next >= 0) {
        return value;
      }
    }
    throw broken();
  }

  private void skip(long bytes) throws IOException {
    if (message.size() < bytes) {
      throw broken();
    }
    message.skip(bytes);
  }

  private static IOException broken() {
    return new IOException("answered with a broken message");
  }
}
