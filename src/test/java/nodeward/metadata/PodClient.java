package nodeward.metadata;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** One connection of a pod with a loopback address of its own, as raw as a hostile pod's. */
final class PodClient implements AutoCloseable {
  record Response(int status, Map<String, String> headers, String body) {}

  private final Socket socket;
  private final InputStream in;

  PodClient(String source, InetSocketAddress proxy) throws IOException {
    socket = new Socket();
    socket.bind(new InetSocketAddress(InetAddress.ofLiteral(source), 0));
    socket.connect(proxy);
    socket.setSoTimeout(10_000);
    in = socket.getInputStream();
  }

  /** A request as an SDK sends it; the headers are whole lines. */
  Response send(String method, String target, String... headers) throws IOException {
    return raw(
        method,
        method + " " + target + " HTTP/1.1\r\nHost: 169.254.169.254\r\n" + lines(headers) + "\r\n");
  }

  /** Sends these bytes and reads one response to them. */
  Response raw(String method, String request) throws IOException {
    write(request);
    return read(method);
  }

  void write(String bytes) throws IOException {
    socket.getOutputStream().write(bytes.getBytes(StandardCharsets.ISO_8859_1));
    socket.getOutputStream().flush();
  }

  Response read(String method) throws IOException {
    String status = line();
    var headers = new TreeMap<String, String>(String.CASE_INSENSITIVE_ORDER);
    for (String line = line(); !line.isEmpty(); line = line()) {
      int colon = line.indexOf(':');
      headers.put(
          line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).strip());
    }
    int length =
        method.equals("HEAD") ? 0 : Integer.parseInt(headers.getOrDefault("content-length", "0"));
    String body = new String(in.readNBytes(length), StandardCharsets.UTF_8);
    return new Response(Integer.parseInt(status.split(" ")[1]), headers, body);
  }

  /** Whether the server has closed the connection without another byte. */
  boolean closedByServer() throws IOException {
    try {
      return in.read() < 0;
    } catch (SocketException reset) {
      return true;
    }
  }

  private String line() throws IOException {
    var line = new ByteArrayOutputStream();
    for (int c = in.read(); c != '\n'; c = in.read()) {
      if (c < 0) {
        throw new IOException("closed after \"" + line + "\"");
      }
      if (c != '\r') {
        line.write(c);
      }
    }
    return line.toString(StandardCharsets.ISO_8859_1);
  }

  private static String lines(String... headers) {
    return List.of(headers).stream().map(h -> h + "\r\n").reduce("", String::concat);
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
