package nodeward.metadata;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import nodeward.config.Preset;
import nodeward.metadata.RequestParser.Parsed;
import nodeward.node.FakeNode;

/**
 * Raw bytes of a hostile pod, through the parser, the routing and the door, under Jazzer: whatever
 * they are, a pod without a role gets no credentials, one with a role gets its own and only by a
 * path that an independent reading agrees to, and only open paths reach the instance's metadata.
 * The first byte of an input chooses the pod.
 */
public final class RequestFuzz {
  private static final String ROLE_ARN = TestProxy.BASE + "team/reader";
  private static final Set<String> ROLES = Set.of("team/reader", ROLE_ARN);
  private static final Pattern CREDENTIALS =
      Pattern.compile(
          "(?:GET|HEAD) /[A-Za-z0-9][A-Za-z0-9.-]*/meta-data/iam/security-credentials/(\\S+)"
              + " HTTP/1\\.[01]\r\n.*",
          Pattern.DOTALL);
  private static final Pattern OPEN =
      Pattern.compile(
          "/[A-Za-z0-9][A-Za-z0-9.-]*/meta-data/placement(?:/(?!\\.{1,2}(?:/|$))[A-Za-z0-9._:-]+)*/?");
  private static final Pattern HOST =
      Pattern.compile(
          ".*\r\n"
              + "[Hh][Oo][Ss][Tt]:[ \t]*"
              + "(169\\.254\\.169\\.254|\\[(?i:fd00:ec2)::254]|(?i:localhost)|127\\.0\\.0\\.1|\\[::1])(:[0-9]{1,5})?["
              + " \t]*\r\n"
              + ".*",
          Pattern.DOTALL);
  private static final InetSocketAddress READER = from("127.0.0.51");
  private static final InetSocketAddress PLAIN = from("127.0.0.52");
  private static final List<String> SEEDS =
      List.of(
          "0GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n"
              + "Host: 169.254.169.254\r\n\r\n",
          "0GET /latest/meta-data/iam/security-credentials/team/reader HTTP/1.1\r\n"
              + "Host: 169.254.169.254:80\r\n\r\n",
          "0GET /1.0/meta-data/iam/security-credentials/team%2Freader HTTP/1.0\r\n"
              + "Host: localhost\r\n\r\n",
          "0GET /latest/meta-data/iam/security-credentials/arn:aws:iam::123456789012:role/team/reader"
              + " HTTP/1.1\r\n"
              + "Host: [::1]\r\n\r\n",
          "1GET /latest/meta-data/iam/security-credentials/team/reader HTTP/1.1\r\n"
              + "Host: 169.254.169.254\r\n\r\n",
          "1PUT /latest/api/token HTTP/1.1\r\n"
              + "Host: 169.254.169.254\r\n"
              + "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n"
              + "Content-Length: 3\r\n\r\n"
              + "abc",
          "1GET /latest/meta-data/placement/region HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
          "1GET /latest/meta-data/iam/info HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
          "0HEAD /latest/dynamic/instance-identity/document HTTP/1.1\r\n"
              + "Host: 127.0.0.1\r\n"
              + "X-Forwarded-For: a\r\n\r\n");

  private static final class World {
    final TestProxy test = new TestProxy();
    final Door door;

    World() {
      try {
        test.pod("reader", READER.getAddress().getHostAddress(), "team/reader");
        test.node.put(FakeNode.pod("shop", "plain", PLAIN.getAddress().getHostAddress()));
        door = test.start(new TestProxy.Settings().open(Preset.PLACEMENT)).proxy().instanceDoor();
        // From here on the credentials are held.
        one(bytes(SEEDS.get(1)), this);
      } catch (IOException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  private static final class Lazy {
    static final World WORLD = new World();
  }

  private RequestFuzz() {}

  /** Called by Jazzer, millions of times. */
  public static void fuzzerTestOneInput(byte[] data) {
    if (data.length > 1) {
      one(data, Lazy.WORLD);
    }
  }

  private static void one(byte[] data, World world) {
    InetSocketAddress from = data[0] % 2 == 0 ? READER : PLAIN;
    world.test.instanceAsked.clear();
    int at = 1;
    while (at < data.length
        && RequestParser.parse(data, at, data.length, 0) instanceof Parsed.Complete parsed) {
      String sent = new String(data, at, data.length - at, StandardCharsets.ISO_8859_1);
      var request = new Request(parsed.method(), parsed.target(), parsed.headers(), from);
      Reply reply;
      try {
        reply = Answers.settled(world.door.handle(request));
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
      if (reply.body().contains("ASIA") || reply.outcome().equals("credentials")) {
        require(from == READER, "credentials for a pod without a role", sent);
        var path = CREDENTIALS.matcher(sent);
        require(path.matches(), "credentials by another path", sent);
        String role = URLDecoder.decode(path.group(1).replace("+", "%2B"), StandardCharsets.UTF_8);
        require(ROLES.contains(role), "credentials by another role's name", sent);
        String head = sent.substring(0, sent.indexOf("\r\n\r\n") + 4);
        require(HOST.matcher(head).matches(), "credentials for a foreign host", sent);
        require(!head.toLowerCase().contains("\nx-forwarded-for:"), "forwarded", sent);
      }
      at = parsed.next() + parsed.body();
    }
    for (String asked : world.test.instanceAsked) {
      require(OPEN.matcher(asked).matches(), "a closed path went to the instance", asked);
    }
    for (RoleSession session : world.test.sts.calls()) {
      require(session.roleArn().equals(ROLE_ARN), "STS was asked for", session.roleArn());
    }
  }

  private static void require(boolean holds, String what, String input) {
    if (!holds) {
      throw new IllegalStateException(what + ": " + input);
    }
  }

  /** {@code make fuzz}. Arguments: a directory for what is found, and for how many seconds. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    int exit =
        run(Path.of(arguments[0]), Integer.parseInt(arguments[1])).inheritIO().start().waitFor();
    System.exit(exit);
  }

  /** Jazzer in a JVM of its own; it ends with 0 when it found nothing. */
  static ProcessBuilder run(Path directory, int seconds) throws IOException {
    Path corpus = Files.createDirectories(directory.resolve("corpus"));
    for (int i = 0; i < SEEDS.size(); i++) {
      Files.write(corpus.resolve("seed-" + i), bytes(SEEDS.get(i)));
    }
    var command = new ArrayList<String>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx512m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"));
    command.addAll(
        List.of("--sun-misc-unsafe-memory-access=allow", "-XX:+EnableDynamicAgentLoading"));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add("com.code_intelligence.jazzer.Jazzer");
    command.add("--target_class=" + RequestFuzz.class.getName());
    command.add("--instrumentation_includes=nodeward.metadata.**");
    command.add("--reproducer_path=" + directory);
    command.add("-artifact_prefix=" + directory + "/");
    command.add("-max_total_time=" + seconds);
    command.add("-max_len=2048");
    command.add("-print_final_stats=1");
    command.add(corpus.toString());
    return new ProcessBuilder(command).redirectErrorStream(true);
  }

  private static InetSocketAddress from(String address) {
    return new InetSocketAddress(InetAddress.ofLiteral(address), 40000);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }
}
