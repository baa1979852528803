package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/**
 * Messages of D-Bus (D-Bus Specification, "Message Protocol"): calls with texts and one number as
 * arguments, and the first value of an answer. Whatever the bytes of an answer are, reading them
 * ends or throws an {@link IOException}.
 */
final class BusMessage {
  static final int RETURN = 2;
  static final int ERROR = 3;

  /** The fixed part of a header, with the length of the fields behind it. */
  static final int HEADER = 16;

  private static final int MOST = 64 * 1024;
  private static final int PATH = 1;
  private static final int INTERFACE = 2;
  private static final int MEMBER = 3;
  private static final int ERROR_NAME = 4;
  private static final int REPLY_TO = 5;
  private static final int DESTINATION = 6;
  private static final int SIGNATURE = 8;

  private BusMessage() {}

  /** Whom a call is for. */
  record Target(String destination, String path, String type) {}

  /**
   * A call.
   *
   * @param arguments each a text or an Integer
   */
  static byte[] call(int serial, Target target, String member, List<Object> arguments) {
    var body = ByteBuffer.allocate(MOST).order(ByteOrder.LITTLE_ENDIAN);
    var signature = new StringBuilder();
    for (Object argument : arguments) {
      switch (argument) {
        case Integer number -> {
          align(body, 4);
          body.putInt(number);
          signature.append('i');
        }
        default -> {
          text(body, argument.toString());
          signature.append('s');
        }
      }
    }
    var fields = ByteBuffer.allocate(MOST).order(ByteOrder.LITTLE_ENDIAN);
    field(fields, PATH, 'o', target.path());
    field(fields, INTERFACE, 's', target.type());
    field(fields, MEMBER, 's', member);
    field(fields, DESTINATION, 's', target.destination());
    if (!signature.isEmpty()) {
      align(fields, 8);
      fields.put((byte) SIGNATURE).put((byte) 1).put((byte) 'g').put((byte) 0);
      signature(fields, signature.toString());
    }
    int length = fields.position();
    var whole =
        ByteBuffer.allocate(HEADER + length + 8 + body.position()).order(ByteOrder.LITTLE_ENDIAN);
    whole.put((byte) 'l').put((byte) 1).put((byte) 0).put((byte) 1);
    whole.putInt(body.position()).putInt(serial).putInt(length);
    whole.put(fields.flip());
    align(whole, 8);
    whole.put(body.flip());
    byte[] bytes = new byte[whole.position()];
    whole.flip().get(bytes);
    return bytes;
  }

  private static void field(ByteBuffer into, int code, char type, String value) {
    align(into, 8);
    into.put((byte) code).put((byte) 1).put((byte) type).put((byte) 0);
    text(into, value);
  }

  private static void text(ByteBuffer into, String value) {
    byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
    align(into, 4);
    into.putInt(bytes.length).put(bytes).put((byte) 0);
  }

  private static void signature(ByteBuffer into, String value) {
    byte[] bytes = value.getBytes(StandardCharsets.US_ASCII);
    into.put((byte) bytes.length).put(bytes).put((byte) 0);
  }

  private static void align(ByteBuffer into, int to) {
    while (into.position() % to != 0) {
      into.put((byte) 0);
    }
  }

  // --- reading

  /**
   * What came: {@code RETURN}, {@code ERROR} or something else, to which call, the error's name,
   * and the first value of the body as text, which is empty when there is none.
   */
  record Received(int type, long replyTo, String error, String value) {}

  /** How many bytes follow the fixed part of a header. */
  static int rest(ByteBuffer header) throws IOException {
    ByteBuffer bytes = ordered(header);
    long fields = Integer.toUnsignedLong(bytes.getInt(12));
    long body = Integer.toUnsignedLong(bytes.getInt(4));
    long rest = (fields + 7) / 8 * 8 + body;
    if (rest > MOST) {
      throw new IOException("the bus sent a message of " + rest + " bytes");
    }
    return (int) rest;
  }

  /** Reads a whole message. */
  static Received read(ByteBuffer message) throws IOException {
    ByteBuffer bytes = ordered(message);
    int type = bytes.get(1);
    long fields = Integer.toUnsignedLong(bytes.getInt(12));
    long replyTo = 0;
    String error = "";
    String signature = "";
    try {
      bytes.position(HEADER);
      int end = Math.toIntExact(HEADER + fields);
      while (bytes.position() < end) {
        skipTo(bytes, 8);
        int code = bytes.get();
        String kind = signature(bytes);
        Optional<String> value = value(bytes, kind);
        if (value.isEmpty()) {
          throw new IOException("the bus sent a header field of type " + kind);
        }
        switch (code) {
          case REPLY_TO -> replyTo = Long.parseLong(value.get());
          case ERROR_NAME -> error = value.get();
          case SIGNATURE -> signature = value.get();
          default -> {}
        }
      }
      skipTo(bytes, 8);
      return new Received(
          type, replyTo, error, value(bytes, signature.isEmpty() ? "" : signature).orElse(""));
    } catch (java.nio.BufferUnderflowException | IllegalArgumentException | ArithmeticException e) {
      throw new IOException("the bus sent a broken message", e);
    }
  }

  /** The first value of this signature as text; empty when it is of a kind that nobody reads. */
  private static Optional<String> value(ByteBuffer bytes, String signature) throws IOException {
    if (signature.isEmpty()) {
      return Optional.empty();
    }
    switch (signature.charAt(0)) {
      case 's', 'o' -> {
        skipTo(bytes, 4);
        return Optional.of(text(bytes, bytes.getInt()));
      }
      case 'g' -> {
        return Optional.of(signature(bytes));
      }
      case 'v' -> {
        String inner = signature(bytes);
        // A variant in a variant is nothing that is asked for, and could be nested without end.
        return inner.startsWith("v") ? Optional.empty() : value(bytes, inner);
      }
      case 'u' -> {
        skipTo(bytes, 4);
        return Optional.of(Integer.toUnsignedString(bytes.getInt()));
      }
      case 't' -> {
        skipTo(bytes, 8);
        return Optional.of(Long.toUnsignedString(bytes.getLong()));
      }
      default -> {
        return Optional.empty();
      }
    }
  }

  private static String signature(ByteBuffer bytes) throws IOException {
    return text(bytes, Byte.toUnsignedInt(bytes.get()));
  }

  private static String text(ByteBuffer bytes, int length) throws IOException {
    if (length < 0 || length >= bytes.remaining()) {
      throw new IOException("the bus sent a text of " + length + " bytes");
    }
    byte[] text = new byte[length];
    bytes.get(text);
    bytes.get(); // the 0 behind it
    return new String(text, StandardCharsets.UTF_8);
  }

  private static void skipTo(ByteBuffer bytes, int alignment) {
    while (bytes.position() % alignment != 0) {
      bytes.get();
    }
  }

  private static ByteBuffer ordered(ByteBuffer message) throws IOException {
    ByteBuffer bytes = message.slice();
    if (bytes.remaining() < HEADER) {
      throw new IOException("the bus sent " + bytes.remaining() + " bytes");
    }
    return switch (bytes.get(0)) {
      case 'l' -> bytes.order(ByteOrder.LITTLE_ENDIAN);
      case 'B' -> bytes.order(ByteOrder.BIG_ENDIAN);
      default -> throw new IOException("the bus sent something else than a message");
    };
  }
}
