package nodeward.linux;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * One message of D-Bus, as the D-Bus specification's "Message Protocol" lays it out, little-endian.
 * What is written has texts and whole numbers in its body, what is read may have any type; a
 * message that breaks the rules is an {@link IOException}.
 */
record DbusMessage(
    Type type,
    int serial,
    int replyTo,
    String path,
    String interfaceName,
    String member,
    String error,
    String destination,
    String signature,
    List<Object> body) {
  /** The four of the protocol. */
  enum Type {
    CALL(1),
    REPLY(2),
    ERROR(3),
    SIGNAL(4);

    private final int code;

    Type(int code) {
      this.code = code;
    }

    private static Type of(int code) {
      return Stream.of(values())
          .filter(t -> t.code == code)
          .findFirst()
          .orElseThrow(() -> new IllegalArgumentException("type " + code));
    }
  }

  /** Bytes that tell how many follow. */
  static final int HEAD = 16;

  private static final int MOST = 1 << 20;
  private static final int DEPTH = 16;

  DbusMessage {
    body = List.copyOf(body);
  }

  /** A call; the body's texts are {@code s}, its booleans {@code b}, its integers {@code i}. */
  static DbusMessage call(
      int serial, String destination, String path, String face, String member, Object... body) {
    var signature = new StringBuilder();
    for (Object each : body) {
      signature.append(
          switch (each) {
            case String _ -> 's';
            case Boolean _ -> 'b';
            case Integer _ -> 'i';
            default -> throw new IllegalArgumentException("cannot be sent: " + each.getClass());
          });
    }
    return new DbusMessage(
        Type.CALL,
        serial,
        0,
        path,
        face,
        member,
        "",
        destination,
        signature.toString(),
        List.of(body));
  }

  byte[] bytes() {
    var body = new Writer();
    this.body.forEach(body::value);
    var head = new Writer();
    head.octet('l').octet(type.code).octet(0).octet(1);
    head.number(body.size()).number(serial);
    var fields = new Writer();
    fields.field(1, 'o', path).field(2, 's', interfaceName).field(3, 's', member);
    if (!error.isEmpty()) {
      fields.field(4, 's', error);
    }
    if (replyTo != 0) {
      fields.field(5, replyTo);
    }
    if (!destination.isEmpty()) {
      fields.field(6, 's', destination);
    }
    if (!signature.isEmpty()) {
      fields.field(8, 'g', signature);
    }
    head.number(fields.size());
    head.raw(fields).align(8).raw(body);
    return head.out.toByteArray();
  }

  /** How many bytes the message has whose first sixteen these are. */
  static int length(byte[] head) throws IOException {
    if (head[0] != 'l') {
      throw new IOException("dbus: a message that is not little-endian");
    }
    ByteBuffer in = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    long body = Integer.toUnsignedLong(in.getInt(4));
    long fields = Integer.toUnsignedLong(in.getInt(12));
    long all = HEAD + fields + (8 - (HEAD + fields) % 8) % 8 + body;
    if (all > MOST) {
      throw new IOException("dbus: a message of " + all + " bytes");
    }
    return (int) all;
  }

  static DbusMessage read(byte[] message) throws IOException {
    try {
      return new Reader(message).message();
    } catch (RuntimeException e) {
      throw new IOException("dbus: a broken message", e);
    }
  }

  /** The n-th value of the body as text; the types of callers' methods are fixed. */
  String text(int n) throws IOException {
    if (n < body.size() && body.get(n) instanceof String text) {
      return text;
    }
    throw new IOException("dbus: the answer has no text where one is due: " + signature);
  }

  Object value(int n) throws IOException {
    if (n < body.size()) {
      return body.get(n);
    }
    throw new IOException("dbus: the answer is too short: " + signature);
  }

  private static final class Writer {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    int size() {
      return out.size();
    }

    Writer octet(int value) {
      out.write(value);
      return this;
    }

    Writer align(int to) {
      while (out.size() % to != 0) {
        out.write(0);
      }
      return this;
    }

    Writer number(int value) {
      align(4);
      out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
      return this;
    }

    Writer text(String value) {
      byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
      number(bytes.length);
      out.writeBytes(bytes);
      return octet(0);
    }

    Writer signature(String value) {
      octet(value.length());
      out.writeBytes(value.getBytes(StandardCharsets.US_ASCII));
      return octet(0);
    }

    void value(Object value) {
      switch (value) {
        case String text -> text(text);
        case Boolean flag -> number(flag ? 1 : 0);
        case Integer number -> number(number);
        default -> throw new IllegalArgumentException("cannot be sent: " + value.getClass());
      }
    }

    Writer field(int code, char type, String value) {
      align(8).octet(code).signature(String.valueOf(type));
      return type == 'g' ? signature(value) : text(value);
    }

    void field(int code, int value) {
      align(8).octet(code).signature("u").number(value);
    }

    Writer raw(Writer other) {
      out.writeBytes(other.out.toByteArray());
      return this;
    }
  }

  private static final class Reader {
    private final ByteBuffer in;

    Reader(byte[] message) {
      this.in = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN);
    }

    DbusMessage message() {
      in.get();
      Type type = Type.of(in.get());
      in.get();
      in.get();
      in.getInt();
      int serial = in.getInt();
      int end = in.getInt() + HEAD;
      String[] texts = new String[10];
      Arrays.fill(texts, "");
      int replyTo = 0;
      while (in.position() < end) {
        align(8);
        int code = in.get();
        Object value = one(signature(), 0);
        if (code == 5) {
          replyTo = ((Long) value).intValue();
        } else if (code > 0 && code < texts.length && value instanceof String text) {
          texts[code] = text;
        }
      }
      align(8);
      String signature = texts[8];
      var body = new ArrayList<Object>();
      int[] at = {0};
      while (at[0] < signature.length()) {
        body.add(value(signature, at, 0));
      }
      return new DbusMessage(
          type, serial, replyTo, texts[1], texts[2], texts[3], texts[4], texts[6], signature, body);
    }

    private void align(int to) {
      in.position((in.position() + to - 1) / to * to);
    }

    private String signature() {
      String text = new String(bytes(in.get() & 0xff), StandardCharsets.US_ASCII);
      in.get();
      return text;
    }

    private String text() {
      String text = new String(bytes(word()), StandardCharsets.UTF_8);
      in.get();
      return text;
    }

    /** The length comes from outside: nothing is made for bytes that are not there. */
    private byte[] bytes(int length) {
      if (length < 0 || length > in.remaining()) {
        throw new IllegalArgumentException("a length of " + length);
      }
      byte[] bytes = new byte[length];
      in.get(bytes);
      return bytes;
    }

    private Object one(String signature, int depth) {
      return value(signature, new int[] {0}, depth);
    }

    /** Reads the value whose type begins at {@code at}, which is moved behind it. */
    private Object value(String signature, int[] at, int depth) {
      if (depth > DEPTH) {
        throw new IllegalArgumentException("nested too deep");
      }
      char type = signature.charAt(at[0]++);
      return switch (type) {
        case 'y' -> Integer.valueOf(in.get() & 0xff);
        case 'b' -> Boolean.valueOf(word() != 0);
        case 'n', 'q' -> {
          align(2);
          yield Integer.valueOf(in.getShort());
        }
        case 'i', 'h' -> Integer.valueOf(word());
        case 'u' -> Long.valueOf(Integer.toUnsignedLong(word()));
        case 'x', 't', 'd' -> {
          align(8);
          yield Long.valueOf(in.getLong());
        }
        case 's', 'o' -> text();
        case 'g' -> signature();
        case 'v' -> one(signature(), depth + 1);
        case '(', '{' -> {
          align(8);
          var members = new ArrayList<Object>();
          while (signature.charAt(at[0]) != ')' && signature.charAt(at[0]) != '}') {
            members.add(value(signature, at, depth + 1));
          }
          at[0]++;
          yield List.copyOf(members);
        }
        case 'a' -> array(signature, at, depth);
        default -> throw new IllegalArgumentException("type " + type);
      };
    }

    private List<Object> array(String signature, int[] at, int depth) {
      int length = word();
      char element = signature.charAt(at[0]);
      align("xtd({".indexOf(element) >= 0 ? 8 : 1);
      int end = in.position() + length;
      int begin = at[0];
      var elements = new ArrayList<Object>();
      while (in.position() < end) {
        int before = in.position();
        at[0] = begin;
        elements.add(value(signature, at, depth + 1));
        if (in.position() == before) {
          throw new IllegalArgumentException("an element of no bytes");
        }
      }
      at[0] = begin;
      skip(signature, at);
      return List.copyOf(elements);
    }

    private static void skip(String signature, int[] at) {
      char type = signature.charAt(at[0]++);
      if (type == 'a') {
        skip(signature, at);
      } else if (type == '(' || type == '{') {
        while (signature.charAt(at[0]) != ')' && signature.charAt(at[0]) != '}') {
          skip(signature, at);
        }
        at[0]++;
      }
    }

    private int word() {
      align(4);
      return in.getInt();
    }
  }
}
