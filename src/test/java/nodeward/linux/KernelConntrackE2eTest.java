package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.conntrack.ConntrackTable.Unknown;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The kernel's own table, in a network namespace of its own. Needs root, util-linux and the
 * conntrack tool, whose count must be ours.
 */
@Tag("e2e")
class KernelConntrackE2eTest {
  private static final String FILL =
      """
      for i in $(seq 1 25); do
        conntrack -I -p udp -s 10.2.3.$i -d 10.3.0.10 --sport 4000 --dport 53 -t 120 2>/dev/null
      done
      conntrack -C
      """;

  @BeforeEach
  void needsRootAndTheTool() {
    assertThat(System.getProperty("user.name")).isEqualTo("root");
    assertThat(List.of("/usr/sbin", "/sbin")).anyMatch(KernelConntrackE2eTest::hasTool);
  }

  private static boolean hasTool(String directory) {
    return Files.isExecutable(Path.of(directory, "conntrack"));
  }

  @Test
  void theTableIsReadByNetlink() throws Exception {
    List<String> lines = inNamespace("");

    assertThat(lines.getFirst()).isEqualTo("25");
    assertThat(lines.getLast()).matches("entries=25 limit=[1-9]\\d+ inserted=25 source=netlink");
  }

  @Test
  void withoutTheCapabilityItIsReadBelowProc() throws Exception {
    List<String> lines = inNamespace("setpriv --bounding-set=-net_admin ");

    assertThat(lines.getLast())
        .matches(
            "entries=25 limit=[1-9]\\d+ inserted=(0|25)"
                + " source=/proc, for netlink: not permitted \\(EPERM\\)");
  }

  private static List<String> inNamespace(String wrapper) throws Exception {
    String java = ProcessHandle.current().info().command().orElseThrow();
    String script =
        FILL
            + "exec "
            + wrapper
            + "\"$0\" --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow"
            + " -cp \"$1\" nodeward.linux.KernelConntrackE2eTest";
    var command = new ArrayList<>(List.of("unshare", "--net", "sh", "-euc", script, java));
    command.add(System.getProperty("java.class.path"));
    Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(child.waitFor(60, TimeUnit.SECONDS)).isTrue();
      assertThat(child.exitValue()).describedAs(said).isZero();
      return said.lines().toList();
    } finally {
      child.destroyForcibly();
    }
  }

  /** What runs in the namespace. */
  public static void main(String... none) throws IOException {
    System.out.println(
        switch (new KernelConntrack(Path.of("/proc")).read()) {
          case Known known ->
              "entries=%d limit=%d inserted=%d source=%s"
                  .formatted(
                      known.entries(),
                      known.limit(),
                      known.cpus().values().stream()
                          .mapToLong(stats -> stats.getOrDefault(Stat.INSERT, 0L))
                          .sum(),
                      known.source());
          case Unknown unknown -> "unknown: " + unknown.why();
        });
  }
}
