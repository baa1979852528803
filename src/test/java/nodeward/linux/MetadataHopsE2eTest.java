package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import nodeward.packaging.Run;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Answers whose packets live for one hop or more, each in a network namespace of its own, where all
 * packets live so long. Needs root and util-linux.
 */
@Tag("e2e")
class MetadataHopsE2eTest {
  @ParameterizedTest
  @CsvSource({
    "1, required, OK instance metadata answers no further than this node (hop limit 1)"
        + "|OK instance metadata answers only to a token",
    "2, required, NOTE instance metadata answers further than this node (hop limit 2 or more)"
        + "|OK instance metadata answers only to a token",
    "64, optional, NOTE instance metadata answers further than this node (hop limit 2 or more)"
        + "|NOTE instance metadata answers without a token",
  })
  void theHopLimitIsSeen(int hops, String tokens, String said) throws Exception {
    List<String> lines = inNamespace(hops, tokens);

    List<String> wanted = List.of(said.split("\\|", -1));
    assertThat(lines).hasSize(wanted.size());
    for (int i = 0; i < lines.size(); i++) {
      assertThat(lines.get(i)).startsWith(wanted.get(i));
    }
  }

  @Test
  void nobodyThereIsNotTakenForAHopLimit() throws Exception {
    assertThat(inNamespace(1, "nobody"))
        .singleElement()
        .asString()
        .startsWith("UNKNOWN hop limit of instance metadata: ")
        .contains("ECONNREFUSED");
  }

  private static List<String> inNamespace(int hops, String tokens) throws Exception {
    String java = ProcessHandle.current().info().command().orElseThrow();
    String script =
        """
        ip link set lo up
        echo %d >/proc/sys/net/ipv4/ip_default_ttl
        "$0" --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow \
          -cp "$1" nodeward.linux.MetadataHopsE2eTest %s
        """
            .formatted(hops, tokens);
    var command = new ArrayList<>(List.of("unshare", "--net", "sh", "-euc", script, java));
    command.add(System.getProperty("java.class.path"));
    return Run.ok(command.toArray(String[]::new)).lines().toList();
  }

  /** What runs in the namespace: a server like instance metadata, and the look at it. */
  public static void main(String... tokens) throws IOException {
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext(
        "/latest/",
        exchange -> {
          boolean allowed =
              exchange.getRequestMethod().equals("PUT") || tokens[0].equals("optional");
          exchange.sendResponseHeaders(allowed ? 200 : 401, -1);
          exchange.close();
        });
    URI endpoint = URI.create("http://127.0.0.1:" + server.getAddress().getPort());
    server.start();
    if (tokens[0].equals("nobody")) {
      server.stop(0);
    }
    new MetadataHops(endpoint)
        .findings()
        .forEach(finding -> System.out.println(finding.level() + " " + finding.what()));
    System.exit(0);
  }
}
