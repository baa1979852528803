package nodeward.config;

import java.net.InetAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * A look at the node itself that says whether a system pod does its work, whatever its Ready
 * condition says. {@link #parse} reads the notation of the configuration and {@code toString}
 * writes it.
 */
public sealed interface Probe {
  /** Something accepts TCP connections there. */
  record Tcp(Address address) implements Probe {
    public Tcp {
      if (address.port() == 0) {
        throw new IllegalArgumentException("\"tcp:" + address + "\": the port must not be 0");
      }
    }

    @Override
    public String toString() {
      return "tcp:" + address;
    }
  }

  /** The URL answers with 200 to 299; a redirect is not followed and no success. */
  record Http(URI url) implements Probe {
    private static final Pattern IPV6 = Pattern.compile("\\[(.*)]");

    /** Checks that it is a plain {@code http} URL whose host is a literal address. */
    public Http {
      if (!"http".equals(url.getScheme())) {
        throw wrong(url, "only http:// is asked, in lower case, since the answer comes from here");
      }
      if (url.getHost() == null) {
        throw wrong(url, "there is no host and port to be asked");
      }
      try {
        InetAddress.ofLiteral(literal(url));
      } catch (IllegalArgumentException e) {
        throw wrong(url, "the host must be an IP address of this node, like 127.0.0.1");
      }
      if (url.getPort() == 0 || url.getPort() > 65535) {
        throw wrong(url, "the port is not between 1 and 65535");
      }
      if (url.getRawUserInfo() != null || url.getRawFragment() != null) {
        throw wrong(url, "a user or a fragment cannot be sent");
      }
    }

    /** The address that the URL names. */
    public InetAddress address() {
      return InetAddress.ofLiteral(literal(url));
    }

    private static String literal(URI url) {
      return IPV6.matcher(url.getHost()).replaceFirst("$1");
    }

    private static IllegalArgumentException wrong(URI url, String why) {
      return new IllegalArgumentException("\"" + url + "\": " + why);
    }

    @Override
    public String toString() {
      return url.toString();
    }
  }

  /** Something accepts connections on the Unix socket. */
  record Unix(Path socket) implements Probe {
    /** The kernel's {@code sun_path} without its closing zero. */
    private static final int LONGEST = 107;

    public Unix {
      if (!socket.isAbsolute()) {
        throw new IllegalArgumentException("\"unix:" + socket + "\": the path must begin with /");
      }
      if (socket.toString().getBytes(StandardCharsets.UTF_8).length > LONGEST) {
        throw new IllegalArgumentException(
            "\"unix:" + socket + "\": the path of a socket has " + LONGEST + " bytes at most");
      }
    }

    @Override
    public String toString() {
      return "unix:" + socket;
    }
  }

  /**
   * At least one file matches, which may be a socket but no directory. {@code glob} is an absolute
   * path whose last two segments may hold {@code *} and {@code ?}; as in a shell they match no
   * leading dot.
   */
  record File(String glob) implements Probe {
    private static final int LAST = 2;

    /** Checks the path and where its wildcards are. */
    public File {
      if (!glob.startsWith("/") || glob.endsWith("/") || glob.indexOf(0) >= 0) {
        throw wrong(glob, "it must be the path of a file and begin with /");
      }
      if (glob.contains("**") || glob.matches(".*[\\[\\]{}\\\\].*")) {
        throw wrong(glob, "of wildcards only * and ? are known");
      }
      List<String> segments = List.of(glob.split("/"));
      for (String segment : segments.subList(0, Math.max(0, segments.size() - LAST))) {
        if (wild(segment)) {
          throw wrong(glob, "only the last two segments may hold * or ?");
        }
      }
    }

    /** Whether a segment of a path holds a wildcard. */
    public static boolean wild(String segment) {
      return segment.contains("*") || segment.contains("?");
    }

    private static IllegalArgumentException wrong(String glob, String why) {
      return new IllegalArgumentException("\"file:" + glob + "\": " + why);
    }

    @Override
    public String toString() {
      return "file:" + glob;
    }
  }

  /** The agent's own metadata proxy serves and its interception is in place. */
  record MetadataProxy() implements Probe {
    @Override
    public String toString() {
      return "metadata-proxy";
    }
  }

  /**
   * Reads {@code tcp:127.0.0.1:10256}, {@code http://127.0.0.1:10256/healthz}, {@code
   * unix:/run/x.sock}, {@code file:/etc/cni/net.d/*.conflist} or {@code metadata-proxy}.
   *
   * @throws IllegalArgumentException whose text quotes what is wrong and says what would be right
   */
  static Probe parse(String text) {
    if (text.equals("metadata-proxy")) {
      return new MetadataProxy();
    }
    int colon = text.indexOf(':');
    String kind = colon < 0 ? "" : text.substring(0, colon);
    String rest = text.substring(colon + 1);
    return switch (kind.toLowerCase(Locale.ROOT)) {
      case "tcp" -> new Tcp(Address.parse(rest));
      case "http", "https" -> new Http(url(text));
      case "unix" -> new Unix(Path.of(rest));
      case "file" -> new File(rest);
      default ->
          throw new IllegalArgumentException(
              "\""
                  + text
                  + "\" is no probe like tcp:127.0.0.1:10256, http://127.0.0.1:10256/healthz,"
                  + " unix:/run/x.sock, file:/etc/cni/net.d/*.conflist or metadata-proxy");
    };
  }

  private static URI url(String text) {
    try {
      return new URI(text);
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException("\"" + text + "\" is no URL: " + e.getReason(), e);
    }
  }
}
