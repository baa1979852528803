package nodeward.metadata;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Writes answers as HTTP/1.1; belongs to one thread, as it knows the date of this second. */
final class HttpText {
  private static final DateTimeFormatter DATE =
      DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.ROOT)
          .withZone(ZoneOffset.UTC);
  private static final int LARGEST_HEAD = 1024;

  private long second;
  private String date = "";

  /**
   * The answer as bytes, in {@code room} when it fits there. To a HEAD request the body is counted
   * but not sent.
   */
  ByteBuffer write(Reply reply, boolean head, boolean last, ByteBuffer room) {
    var text = new StringBuilder(320);
    text.append("HTTP/1.1 ").append(reply.status()).append(' ').append(phrase(reply.status()));
    text.append("\r\nServer: EC2ws\r\nDate: ").append(date());
    text.append("\r\nContent-Type: ").append(reply.type());
    byte[] whole = reply.body().getBytes(StandardCharsets.UTF_8);
    text.append("\r\nContent-Length: ").append(whole.length);
    text.append("\r\nCache-Control: no-store\r\n");
    reply
        .headers()
        .forEach((name, value) -> text.append(name).append(": ").append(value).append("\r\n"));
    if (last) {
      text.append("Connection: close\r\n");
    }
    text.append("\r\n");
    byte[] body = head ? new byte[0] : whole;
    ByteBuffer out =
        room.capacity() < LARGEST_HEAD + body.length
            ? ByteBuffer.allocate(LARGEST_HEAD + body.length)
            : room.clear();
    return out.put(text.toString().getBytes(StandardCharsets.ISO_8859_1)).put(body).flip();
  }

  private String date() {
    long now = System.currentTimeMillis() / 1000;
    if (now != second) {
      second = now;
      date = DATE.format(Instant.ofEpochSecond(now));
    }
    return date;
  }

  private static String phrase(int status) {
    return switch (status) {
      case 200 -> "OK";
      case 400 -> "Bad Request";
      case 401 -> "Unauthorized";
      case 403 -> "Forbidden";
      case 404 -> "Not Found";
      case 405 -> "Method Not Allowed";
      case 408 -> "Request Timeout";
      case 413 -> "Content Too Large";
      case 431 -> "Request Header Fields Too Large";
      case 500 -> "Internal Server Error";
      case 503 -> "Service Unavailable";
      default -> "Status";
    };
  }
}
