package nodeward.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nodeward.http.ControlServer;
import nodeward.http.StatusSource;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConntrackCommandTest {
  @TempDir private Path dir;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @Test
  void itShowsWhatTheDaemonTells() throws Exception {
    Map<String, Object> top =
        Map.of(
            "flows", 200,
            "unreplied", 50,
            "timeWait", 2,
            "torn", false,
            "rows",
                List.of(
                    Map.of(
                        "name", "shop/cart",
                        "flows", 150,
                        "client", 100,
                        "server", 50,
                        "unreplied", 75,
                        "timeWait", 0)));

    int code = run(top, "--by", "workload", "-n", "3");

    assertThat(code).isZero();
    assertThat(out.toString().lines())
        .containsExactly(
            "200 flows, 25 % unreplied, 1 % in TIME_WAIT",
            "",
            "FLOWS  SHARE  CLIENT  SERVER  UNREPLIED  TIME_WAIT  WORKLOAD",
            "  150   75 %     100      50       50 %        0 %  shop/cart");
    assertThat(asked).isEqualTo(Map.of("by", "workload", "most", "3"));
  }

  @Test
  void destinationsThatWereCountedTooLowSaySo() throws Exception {
    Map<String, Object> top =
        Map.of(
            "flows",
            100,
            "rows",
            List.of(Map.of("name", "10.3.0.10:53/udp", "flows", 90, "error", 4)));

    assertThat(run(top, "--by", "destination")).isZero();
    assertThat(out.toString()).contains(" >=90   90 %  10.3.0.10:53/udp");
  }

  @Test
  void withoutAnAgentItFailsAndSaysSo() {
    assertThat(execute()).isEqualTo(1);
    assertThat(err.toString()).contains("no agent runs here");
  }

  @Test
  void podsOwnTablesKnowNoWorkloads() {
    assertThat(execute("--namespaces", "--by", "workload")).isEqualTo(2);
    assertThat(err.toString()).contains("--namespaces knows pods and destinations, no workloads");
  }

  @Test
  void podsOwnTablesNeedTheRuntimeAndNoAgent() {
    assertThat(execute("--namespaces")).isEqualTo(1);
    assertThat(err.toString()).contains(dir.resolve("cri.sock").toString());
  }

  private Map<String, String> asked = Map.of();

  private int run(Map<String, Object> top, String... options) throws Exception {
    try (var server =
        new ControlServer(
            dir.resolve("control.sock"),
            new NoStatus(),
            Map.of(),
            Map.of(
                "/conntrack/top",
                parameters -> {
                  asked = Map.copyOf(parameters);
                  return top;
                }))) {
      server.start();
      return execute(options);
    }
  }

  private int execute(String... options) {
    var args = new ArrayList<>(List.of("conntrack", "top"));
    args.addAll(List.of("--config", dir.resolve("c.yaml").toString()));
    args.addAll(List.of(options));
    try {
      Files.writeString(
          dir.resolve("c.yaml"),
          "control: {socket: %1$s/control.sock}\nnode: {criSocket: %1$s/cri.sock}\n"
              .formatted(dir));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    var line = Cli.commandLine(args.toArray(String[]::new));
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return line.execute(args.toArray(String[]::new));
  }

  private static final class NoStatus implements StatusSource {
    @Override
    public SequencedMap<String, Object> status() {
      return new LinkedHashMap<>();
    }

    @Override
    public SequencedMap<String, Object> explain(String namespace, String pod) {
      return new LinkedHashMap<>();
    }

    @Override
    public List<String> troubles() {
      return List.of();
    }

    @Override
    public boolean alive() {
      return true;
    }
  }
}
