package nodeward.metadata;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import nodeward.config.Preset;

/**
 * Decides what a request asks for from its method, its target exactly as sent, and its headers: a
 * pure function that depends on no HTTP server. A target that two readers could understand in two
 * ways is refused, never cleaned up.
 *
 * <p>The paths, methods and status codes are those of <a
 * href="https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html">EC2
 * instance metadata</a>.
 */
final class Routing {
  static final String TOKEN = "X-aws-ec2-metadata-token";
  static final String TOKEN_TTL = "X-aws-ec2-metadata-token-ttl-seconds";
  static final int LONGEST_TARGET = 2048;

  private static final String LISTING = "/meta-data/iam/security-credentials";
  private static final Pattern VERSION = Pattern.compile("[A-Za-z0-9][A-Za-z0-9.-]{0,31}");
  private static final Pattern TTL = Pattern.compile("[0-9]{1,5}");
  private static final Pattern PORT = Pattern.compile(":[0-9]{1,5}$");
  private static final int LONGEST_TTL = 21_600;
  // What a path may hold as it is; neither ';' nor '\' nor '?' is needed by any SDK.
  private static final String PLAIN = "-._~/:@+=,!$&'()*%";
  // What a role's name or ARN holds that some SDKs escape. A dot is never escaped by an honest one.
  private static final String ESCAPABLE = "/:@+=,";

  private final Set<String> hosts;

  /** The hosts are names and addresses in lower case, IPv6 ones in brackets, without a port. */
  Routing(Set<String> hosts) {
    this.hosts = Set.copyOf(hosts);
  }

  Route route(String method, String target, Headers headers) {
    if (!plain(target)) {
      return malformed("the path is not a plain one");
    }
    List<String> host = headers.all("Host");
    if (host.size() != 1) {
      return malformed("there must be one Host header");
    }
    if (!hosts.contains(withoutPort(host.getFirst()))) {
      return new Route.Refused(Refusal.HOST, "not a host of this service");
    }
    if (headers.has("X-Forwarded-For")) {
      return new Route.Refused(Refusal.FORWARDED, "forwarded requests are not served");
    }
    int second = target.indexOf('/', 1);
    String version = second < 0 ? target.substring(1) : target.substring(1, second);
    String path = second < 0 ? "" : target.substring(second);
    boolean known = VERSION.matcher(version).matches();
    if (known && path.equals("/api/token")) {
      return method.equals("PUT") ? token(headers) : new Route.WrongMethod("PUT");
    }
    boolean keys = known && path.startsWith(LISTING + "/") && path.length() > LISTING.length() + 1;
    Optional<String> clear =
        keys ? unescaped(path.substring(LISTING.length() + 1)) : Optional.of(path);
    if (clear.isEmpty() || (!keys && target.indexOf('%') >= 0)) {
      return malformed("the path is escaped in a way that no role name needs");
    }
    if (!canonical(keys ? "/" + clear.get() : target)) {
      return malformed("the path has empty or dot segments");
    }
    if (!method.equals("GET") && !method.equals("HEAD")) {
      return new Route.WrongMethod("GET, HEAD");
    }
    List<String> tokens = headers.all(TOKEN);
    if (tokens.size() > 1) {
      return new Route.Refused(Refusal.TOKEN, "there are several tokens");
    }
    if (keys) {
      return new Route.RoleKeys(clear.get(), tokens.stream().findFirst());
    }
    if (known && (path.equals(LISTING) || path.equals(LISTING + "/"))) {
      return new Route.RoleName(tokens.stream().findFirst());
    }
    Optional<Preset> preset = known ? OpenPaths.presetOf(path) : Optional.empty();
    return preset.isPresent()
        ? new Route.Instance(target, preset.get(), tokens.stream().findFirst())
        : new Route.Refused(Refusal.PATH, "not open to pods");
  }

  private static Route token(Headers headers) {
    List<String> ttl = headers.all(TOKEN_TTL);
    if (ttl.size() == 1 && TTL.matcher(ttl.getFirst()).matches()) {
      int seconds = Integer.parseInt(ttl.getFirst());
      if (seconds >= 1 && seconds <= LONGEST_TTL) {
        return new Route.NewToken(Duration.ofSeconds(seconds));
      }
    }
    return new Route.Refused(Refusal.TTL, TOKEN_TTL + " must be between 1 and " + LONGEST_TTL);
  }

  private static Route malformed(String why) {
    return new Route.Refused(Refusal.MALFORMED, why);
  }

  private static boolean plain(String target) {
    return target.length() <= LONGEST_TARGET
        && target.startsWith("/")
        && target.chars().allMatch(c -> isLetterOrDigit(c) || PLAIN.indexOf(c) >= 0);
  }

  private static boolean isLetterOrDigit(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  }

  /** No empty segment but the last, none that is a dot or two. */
  private static boolean canonical(String path) {
    String[] segments = path.substring(1).split("/", -1);
    for (int i = 0; i < segments.length; i++) {
      String s = segments[i];
      boolean last = i == segments.length - 1;
      if ((s.isEmpty() && !last) || s.equals(".") || s.equals("..")) {
        return false;
      }
    }
    return true;
  }

  private static Optional<String> unescaped(String text) {
    if (text.indexOf('%') < 0) {
      return Optional.of(text);
    }
    var clear = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '%') {
        int value = i + 2 < text.length() ? hex(text, i + 1) : -1;
        if (value < 0 || ESCAPABLE.indexOf(value) < 0) {
          return Optional.empty();
        }
        c = (char) value;
        i += 2;
      }
      clear.append(c);
    }
    return Optional.of(clear.toString());
  }

  private static int hex(String text, int at) {
    int high = Character.digit(text.charAt(at), 16);
    int low = Character.digit(text.charAt(at + 1), 16);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }

  static String withoutPort(String host) {
    return PORT.matcher(host).replaceFirst("").toLowerCase(Locale.ROOT);
  }
}
