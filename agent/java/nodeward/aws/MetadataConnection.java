package nodeward.aws;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * One HTTP/1.1 connection that is kept open between requests and opened anew when the server has
 * dropped it. It goes straight to the server, past any proxy, follows no redirect, gives each
 * exchange a time limit as a whole and each answer a bound. Not safe for two threads, except {@link
 * #close}; every failure closes the connection and is an {@link IOException}.
 */
final class MetadataConnection implements AutoCloseable {
  /** An answer, read whole; header names are in lower case. */
  record Reply(int status, Map<String, String> headers, String body) {
    Optional<String> header(String name) {
      return Optional.ofNullable(headers.get(name.toLowerCase(Locale.ROOT)));
    }
  }

  private static final int MOST_HEADER = 16 << 10;
  private static final int MOST_BODY = 64 << 10;

  private final String host;
  private final int port;
  private final Duration connectLimit;
  private final Duration limit;
  private final byte[] buffer = new byte[4096];
  private int next;
  private int end;
  private int headerLeft;
  // Nanoseconds of System.nanoTime, as the time-outs of sockets are real ones.
  private long deadline;
  // Both are written by close() from another thread than the one that reads them.
  private volatile @Nullable Socket socket;
  private volatile boolean closed;

  MetadataConnection(String host, int port, Duration connectLimit, Duration limit) {
    this.host = host;
    this.port = port;
    this.connectLimit = connectLimit;
    this.limit = limit;
  }

  /** Sends a request without a body and reads the whole answer. */
  Reply exchange(String method, String path, Map<String, String> headers) throws IOException {
    byte[] request = request(method, path, headers);
    deadline = System.nanoTime() + limit.toNanos();
    boolean kept = socket != null;
    try {
      try {
        send(request);
      } catch (SocketTimeoutException e) {
        throw e;
      } catch (IOException e) {
        if (!kept || closed) {
          throw e;
        }
        // The server had dropped the idle connection; both kinds of request may be repeated.
        drop();
        send(request);
      }
      return answer();
    } catch (IOException e) {
      drop();
      throw e;
    }
  }

  @Override
  public void close() {
    closed = true;
    drop();
  }

  private byte[] request(String method, String path, Map<String, String> headers) {
    StringBuilder text = new StringBuilder(256);
    text.append(method).append(' ').append(path).append(" HTTP/1.1\r\n");
    text.append("Host: ").append(host).append("\r\nAccept: */*\r\n");
    headers.forEach((name, value) -> text.append(name).append(": ").append(value).append("\r\n"));
    if (method.equals("PUT")) {
      text.append("Content-Length: 0\r\n");
    }
    return text.append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1);
  }

  /** Writes the request and waits for the first byte of the answer. */
  private void send(byte[] request) throws IOException {
    Socket open = socket != null ? socket : open();
    open.getOutputStream().write(request);
    if (next == end && !fill(open)) {
      throw new EOFException("the connection was closed before an answer");
    }
  }

  private Socket open() throws IOException {
    if (closed) {
      throw new IOException("closed");
    }
    Socket fresh = new Socket(Proxy.NO_PROXY);
    try {
      fresh.setTcpNoDelay(true);
      fresh.connect(
          new InetSocketAddress(InetAddress.getByName(host), port), (int) connectLimit.toMillis());
    } catch (IOException e) {
      fresh.close();
      ConnectException refused = new ConnectException("no connection: " + e.getMessage());
      refused.initCause(e);
      throw refused;
    }
    next = end = 0;
    socket = fresh;
    if (closed) {
      drop();
      throw new IOException("closed");
    }
    return fresh;
  }

  private void drop() {
    Socket dropped = socket;
    socket = null;
    if (dropped != null) {
      try {
        dropped.close();
      } catch (IOException e) {
        // Nothing was buffered that could be lost.
      }
    }
  }

  private Reply answer() throws IOException {
    Socket from = socket;
    if (from == null) {
      throw new IOException("closed");
    }
    headerLeft = MOST_HEADER;
    String statusLine;
    Map<String, String> headers;
    int status;
    do {
      statusLine = line(from);
      if (!statusLine.matches("HTTP/1\\.[01] [1-5]\\d\\d( .*)?")) {
        throw new IOException("the answer is not HTTP");
      }
      status = Integer.parseInt(statusLine.substring(9, 12));
      headers = headers(from);
    } while (status < 200);
    String connection = headers.getOrDefault("connection", "").toLowerCase(Locale.ROOT);
    String length = headers.get("content-length");
    boolean chunked = headers.getOrDefault("transfer-encoding", "").equalsIgnoreCase("chunked");
    boolean toTheEnd = false;
    byte[] body;
    if (status == 204 || status == 304) {
      body = new byte[0];
    } else if (chunked) {
      body = chunks(from);
    } else if (length != null) {
      body = bytes(from, size(length, 10), MOST_BODY);
    } else {
      toTheEnd = true;
      body = rest(from);
    }
    // Bytes after the answer would be taken for the next one.
    if (toTheEnd
        || next != end
        || connection.contains("close")
        || (statusLine.startsWith("HTTP/1.0") && !connection.contains("keep-alive"))) {
      drop();
    }
    return new Reply(status, headers, new String(body, StandardCharsets.UTF_8));
  }

  private Map<String, String> headers(Socket from) throws IOException {
    Map<String, String> headers = new HashMap<>();
    for (String line = line(from); !line.isEmpty(); line = line(from)) {
      int colon = line.indexOf(':');
      if (colon < 1) {
        throw new IOException("the answer has a broken header");
      }
      headers.put(
          line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).strip());
    }
    return headers;
  }

  private byte[] chunks(Socket from) throws IOException {
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    while (true) {
      String head = line(from);
      int extension = head.indexOf(';');
      int size = size(extension < 0 ? head : head.substring(0, extension), 16);
      if (size == 0) {
        headers(from);
        return body.toByteArray();
      }
      body.writeBytes(bytes(from, size, MOST_BODY - body.size()));
      if (!line(from).isEmpty()) {
        throw new IOException("the answer has a broken chunk");
      }
    }
  }

  private static int size(String digits, int radix) throws IOException {
    String text = digits.strip();
    if (!text.matches(radix == 16 ? "[0-9A-Fa-f]{1,15}" : "\\d{1,15}")) {
      throw new IOException("the answer has a broken length");
    }
    return (int) Math.min(Long.parseLong(text, radix), Integer.MAX_VALUE);
  }

  private byte[] bytes(Socket from, int size, int most) throws IOException {
    if (size > most) {
      throw new IOException("the answer is larger than " + MOST_BODY + " bytes");
    }
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) {
      bytes[i] = octet(from);
    }
    return bytes;
  }

  private byte[] rest(Socket from) throws IOException {
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    while (next < end || fill(from)) {
      if (body.size() == MOST_BODY) {
        throw new IOException("the answer is larger than " + MOST_BODY + " bytes");
      }
      body.write(buffer[next++]);
    }
    return body.toByteArray();
  }

  private String line(Socket from) throws IOException {
    StringBuilder line = new StringBuilder();
    for (char c = (char) (octet(from) & 0xff); c != '\n'; c = (char) (octet(from) & 0xff)) {
      if (--headerLeft < 0) {
        throw new IOException("the answer's header is larger than " + MOST_HEADER + " bytes");
      }
      line.append(c);
    }
    int last = line.length() - 1;
    if (last >= 0 && line.charAt(last) == '\r') {
      line.setLength(last);
    }
    return line.toString();
  }

  private byte octet(Socket from) throws IOException {
    if (next == end && !fill(from)) {
      throw new EOFException("the connection was closed in the middle of an answer");
    }
    return buffer[next++];
  }

  /** False at the end of the stream. */
  private boolean fill(Socket from) throws IOException {
    int left = (int) ((deadline - System.nanoTime()) / 1_000_000);
    if (left <= 0) {
      throw new SocketTimeoutException("no whole answer within " + limit.toMillis() + " ms");
    }
    from.setSoTimeout(left);
    InputStream in = from.getInputStream();
    int got;
    try {
      got = in.read(buffer);
    } catch (SocketTimeoutException e) {
      SocketTimeoutException late =
          new SocketTimeoutException("no whole answer within " + limit.toMillis() + " ms");
      late.initCause(e);
      throw late;
    }
    next = 0;
    end = Math.max(got, 0);
    return got > 0;
  }
}
