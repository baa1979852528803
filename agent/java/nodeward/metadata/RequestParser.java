package nodeward.metadata;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import nodeward.metadata.RequestParser.Parsed.Broken;
import nodeward.metadata.RequestParser.Parsed.Complete;
import nodeward.metadata.RequestParser.Parsed.Incomplete;

/**
 * Reads the head of an HTTP/1 request from bytes of a pod, by the letter of <a
 * href="https://www.rfc-editor.org/rfc/rfc9112">RFC 9112</a>: pure, without state. Where the RFC
 * lets a server be lenient (bare line feeds, folded or spaced header names, leading empty lines)
 * this one refuses, since a lenient reading is one that somebody else may not share.
 */
final class RequestParser {
  /** Of the request line and all headers together. */
  static final int LARGEST_HEAD = 16 * 1024;

  static final int MOST_HEADERS = 64;

  /** No request needs a body; a small one is thrown away. */
  static final int LARGEST_BODY = 4 * 1024;

  private static final int LONGEST_METHOD = 16;
  private static final String TOKEN_CHARS = "!#$%&'*+-.^_`|~";
  private static final boolean[] TOKEN = new boolean[128];

  static {
    for (char c = 0; c < TOKEN.length; c++) {
      TOKEN[c] =
          (c >= '0' && c <= '9')
              || (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || TOKEN_CHARS.indexOf(c) >= 0;
    }
  }

  private RequestParser() {}

  /** What the bytes are. */
  sealed interface Parsed {
    /** Good so far; the next call need not look at what lies before {@code scanned} again. */
    record Incomplete(int scanned) implements Parsed {}

    /** {@code next} is the index after the head, where {@code body} bytes follow. */
    record Complete(
        String method, String target, Headers headers, boolean keepAlive, int next, int body)
        implements Parsed {}

    /** No request, nor will it become one; what follows cannot be told apart either. */
    record Broken(Refusal refusal, String why) implements Parsed {}
  }

  /** Reads one head from {@code from} on; up to {@code scanned} an earlier call has looked. */
  static Parsed parse(byte[] bytes, int from, int to, int scanned) {
    int end = -1;
    int i = Math.max(from, scanned);
    for (; i < to; i++) {
      int b = bytes[i];
      if (b == '\n') {
        if (i == from || bytes[i - 1] != '\r') {
          return malformed("a line ends without a carriage return");
        }
        if (i - from >= 3 && bytes[i - 2] == '\n') {
          end = i + 1;
          break;
        }
        if (i - from == 1) {
          return malformed("there is an empty line where a request should begin");
        }
      } else if (i > from && bytes[i - 1] == '\r') {
        return malformed("a carriage return stands alone");
      } else if ((b >= 0 && b < ' ' && b != '\t' && b != '\r') || b == 0x7f) {
        return malformed("there are control characters");
      }
    }
    if ((end < 0 ? i : end) - from > LARGEST_HEAD) {
      return new Broken(
          Refusal.OVERSIZED, "the headers are larger than " + LARGEST_HEAD + " bytes");
    }
    return end < 0 ? new Incomplete(i) : head(bytes, from, end);
  }

  private static Parsed head(byte[] bytes, int from, int end) {
    int lineEnd = lineEnd(bytes, from);
    int afterMethod = indexOf(bytes, ' ', from, lineEnd);
    int afterTarget = afterMethod < 0 ? -1 : indexOf(bytes, ' ', afterMethod + 1, lineEnd);
    if (afterTarget < 0
        || !isToken(bytes, from, afterMethod)
        || afterMethod - from > LONGEST_METHOD
        || !isVisible(bytes, afterMethod + 1, afterTarget)) {
      return malformed("the first line is not a method, a path and a version");
    }
    String version = text(bytes, afterTarget + 1, lineEnd);
    if (!version.equals("HTTP/1.1") && !version.equals("HTTP/1.0")) {
      return malformed("the version is neither HTTP/1.1 nor HTTP/1.0");
    }
    var headers = new Headers.Builder();
    int line = lineEnd + 2;
    while (line < end - 2) {
      lineEnd = lineEnd(bytes, line);
      int colon = indexOf(bytes, ':', line, lineEnd);
      if (colon < 0 || !isToken(bytes, line, colon)) {
        return malformed("a header is not a name and a value");
      }
      if (headers.size() == MOST_HEADERS) {
        return new Broken(Refusal.OVERSIZED, "there are more than " + MOST_HEADERS + " headers");
      }
      headers.add(text(bytes, line, colon), trimmed(bytes, colon + 1, lineEnd));
      line = lineEnd + 2;
    }
    return framed(
        text(bytes, from, afterMethod),
        text(bytes, afterMethod + 1, afterTarget),
        version,
        headers.built(),
        end);
  }

  private static Parsed framed(
      String method, String target, String version, Headers headers, int next) {
    if (headers.has("Transfer-Encoding")) {
      return malformed("a body in chunks is not read");
    }
    List<String> lengths = headers.all("Content-Length");
    int body = 0;
    if (!lengths.isEmpty()) {
      String length = lengths.getFirst();
      if (lengths.size() > 1 || !isNumber(length)) {
        return malformed("Content-Length is not one number");
      }
      if (length.length() > 4 || Integer.parseInt(length) > LARGEST_BODY) {
        return new Broken(
            Refusal.BODY, "the body is larger than " + LARGEST_BODY + " bytes; none is needed");
      }
      body = Integer.parseInt(length);
    }
    boolean keepAlive = version.equals("HTTP/1.1");
    for (String options : headers.all("Connection")) {
      String lower = options.toLowerCase(Locale.ROOT);
      if (lower.contains("close")) {
        keepAlive = false;
        break;
      }
      keepAlive |= lower.contains("keep-alive");
    }
    return new Complete(method, target, headers, keepAlive, next, body);
  }

  private static Broken malformed(String why) {
    return new Broken(Refusal.MALFORMED, why);
  }

  /** The index of the carriage return; {@link #parse} has seen that there is one. */
  private static int lineEnd(byte[] bytes, int from) {
    int i = from;
    while (bytes[i] != '\r') {
      i++;
    }
    return i;
  }

  private static int indexOf(byte[] bytes, char c, int from, int to) {
    for (int i = from; i < to; i++) {
      if (bytes[i] == c) {
        return i;
      }
    }
    return -1;
  }

  private static boolean isToken(byte[] bytes, int from, int to) {
    for (int i = from; i < to; i++) {
      if (bytes[i] < 0 || !TOKEN[bytes[i]]) {
        return false;
      }
    }
    return to > from;
  }

  private static boolean isVisible(byte[] bytes, int from, int to) {
    for (int i = from; i < to; i++) {
      if (bytes[i] <= ' ') {
        return false;
      }
    }
    return to > from;
  }

  private static boolean isNumber(String text) {
    return !text.isEmpty()
        && text.length() <= 10
        && text.chars().allMatch(c -> c >= '0' && c <= '9');
  }

  private static String trimmed(byte[] bytes, int from, int to) {
    int first = from;
    int last = to;
    while (first < last && (bytes[first] == ' ' || bytes[first] == '\t')) {
      first++;
    }
    while (last > first && (bytes[last - 1] == ' ' || bytes[last - 1] == '\t')) {
      last--;
    }
    return text(bytes, first, last);
  }

  private static String text(byte[] bytes, int from, int to) {
    return new String(bytes, from, to - from, StandardCharsets.ISO_8859_1);
  }
}
