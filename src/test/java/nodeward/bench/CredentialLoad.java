package nodeward.bench;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;

/**
 * Pods that ask for their credentials, each over one kept connection from its own address of
 * loopback, a bounded number of times. An answer other than the credentials ends the run.
 */
final class CredentialLoad {
  private static final int ANSWER_LIMIT_MILLIS = 10_000;

  private CredentialLoad() {}

  /** Returns when each of the pods has asked so often; throws what went wrong first. */
  static void run(InetSocketAddress proxy, int pods, int requestsEach) {
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      IntStream.rangeClosed(1, pods)
          .mapToObj(pod -> CompletableFuture.runAsync(() -> ask(proxy, pod, requestsEach), threads))
          .toList()
          .forEach(CompletableFuture::join);
    }
  }

  private static void ask(InetSocketAddress proxy, int pod, int requests) {
    try (var socket = new Socket()) {
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(ANSWER_LIMIT_MILLIS);
      socket.bind(new InetSocketAddress(InetAddress.ofLiteral(BenchNode.address(pod)), 0));
      socket.connect(proxy, ANSWER_LIMIT_MILLIS);
      byte[] request =
          """
          GET /latest/meta-data/iam/security-credentials/%s HTTP/1.1\r
          Host: 169.254.169.254\r
          \r
          """
              .formatted(BenchNode.role(pod))
              .getBytes(StandardCharsets.US_ASCII);
      var in = new BufferedInputStream(socket.getInputStream());
      for (int i = 0; i < requests; i++) {
        socket.getOutputStream().write(request);
        String status = line(in);
        int length = 0;
        for (String header = line(in); !header.isEmpty(); header = line(in)) {
          if (header.regionMatches(true, 0, "content-length:", 0, 15)) {
            length = Integer.parseInt(header.substring(15).strip());
          }
        }
        String body = new String(in.readNBytes(length), StandardCharsets.UTF_8);
        if (!status.contains(" 200") || !body.contains("AccessKeyId")) {
          throw new IOException("pod " + pod + " was answered " + status);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String line(InputStream in) throws IOException {
    var line = new StringBuilder();
    for (int c = in.read(); c != '\n'; c = in.read()) {
      if (c < 0) {
        throw new IOException("the connection was closed");
      }
      if (c != '\r') {
        line.append((char) c);
      }
    }
    return line.toString();
  }
}
