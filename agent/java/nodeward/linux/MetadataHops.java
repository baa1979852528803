package nodeward.linux;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import nodeward.component.Finding;

/**
 * Looks how far answers of instance metadata travel, and whether it answers without a token, for
 * {@code agent doctor}. The hop limit of an instance is the IP time to live of the answer that
 * holds a token, and no metadata tells it; so the kernel is told to drop packets that could not
 * travel another hop (IP_MINTTL, ip(7)) and the answer is waited for.
 */
public final class MetadataHops {
  private static final int IPPROTO_IP = 0;
  private static final int IP_MINTTL = 21;
  private static final int ONE_MORE_HOP = 2;
  private static final Duration LIMIT = Duration.ofSeconds(2);
  private static final String TOKEN =
      """
      PUT /latest/api/token HTTP/1.1\r
      Host: %s\r
      X-aws-ec2-metadata-token-ttl-seconds: 60\r
      Content-Length: 0\r
      Connection: close\r
      \r
      """;
  private static final String VERSION_1 =
      "GET /latest/meta-data/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n";

  private final URI endpoint;

  public MetadataHops(URI endpoint) {
    this.endpoint = endpoint;
  }

  public List<Finding> findings() {
    try {
      if (!(InetAddress.ofLiteral(endpoint.getHost()) instanceof Inet4Address address)) {
        return List.of(Finding.note("hop limit of instance metadata: only seen over IPv4", ""));
      }
      // It must answer at all, or its silence would be taken for a limit.
      if (!answers(address, TOKEN, 0).startsWith("HTTP/1.1 200")) {
        return List.of(
            Finding.unknown(
                "hop limit of instance metadata: it gives no token", "allow version 2 of it"));
      }
      return List.of(hops(address), versionOne(address));
    } catch (IllegalArgumentException e) {
      return List.of(Finding.note("hop limit of instance metadata: not of a host name", ""));
    } catch (IOException e) {
      return List.of(
          Finding.unknown("hop limit of instance metadata: " + e.getMessage(), "ask EC2 for it"));
    }
  }

  private Finding hops(Inet4Address address) throws IOException {
    return answers(address, TOKEN, ONE_MORE_HOP).isEmpty()
        ? Finding.ok("instance metadata answers no further than this node (hop limit 1)")
        : Finding.note(
            "instance metadata answers further than this node (hop limit 2 or more): where rules"
                + " for pods are missing they get the node's own role",
            "aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 1");
  }

  private Finding versionOne(Inet4Address address) throws IOException {
    return answers(address, VERSION_1, 0).startsWith("HTTP/1.1 200")
        ? Finding.note(
            "instance metadata answers without a token, for which no hop limit holds",
            "aws ec2 modify-instance-metadata-options --http-tokens required")
        : Finding.ok("instance metadata answers only to a token");
  }

  /** The beginning of the answer to a request; empty when none came in time. */
  private String answers(Inet4Address address, String request, int leastTimeToLive)
      throws IOException {
    int port = endpoint.getPort() < 0 ? 80 : endpoint.getPort();
    int fd = LibC.socket(LibC.AF_INET, LibC.SOCK_STREAM, 0);
    try {
      LibC.setsockopt(fd, LibC.SOL_SOCKET, LibC.SO_SNDTIMEO, Netlink.timeval(LIMIT));
      LibC.setsockopt(fd, LibC.SOL_SOCKET, LibC.SO_RCVTIMEO, Netlink.timeval(LIMIT));
      LibC.connect(fd, socketAddress(address, port));
      if (leastTimeToLive > 0) {
        LibC.setsockopt(fd, IPPROTO_IP, IP_MINTTL, integer(leastTimeToLive));
      }
      String host = endpoint.getHost() + ":" + port;
      LibC.send(fd, request.formatted(host).getBytes(StandardCharsets.US_ASCII));
      ByteBuffer answer = ByteBuffer.allocateDirect(64);
      LibC.recv(fd, answer);
      return StandardCharsets.US_ASCII.decode(answer).toString();
    } catch (LibC.Failure e) {
      if (e.errno() == LibC.EAGAIN) {
        return "";
      }
      throw new IOException("%s: %s".formatted(endpoint, e.getMessage()), e);
    } finally {
      LibC.close(fd);
    }
  }

  /** A struct sockaddr_in. */
  private static byte[] socketAddress(Inet4Address address, int port) {
    return ByteBuffer.allocate(16)
        .order(ByteOrder.nativeOrder())
        .putShort((short) LibC.AF_INET)
        .order(ByteOrder.BIG_ENDIAN)
        .putShort((short) port)
        .put(address.getAddress())
        .array();
  }

  private static byte[] integer(int value) {
    return ByteBuffer.allocate(4).order(ByteOrder.nativeOrder()).putInt(value).array();
  }
}
