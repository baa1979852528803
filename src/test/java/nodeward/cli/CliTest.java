package nodeward.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import nodeward.http.ControlServer;
import nodeward.http.StatusSource;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CliTest {
  @TempDir private Path dir;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @Test
  void versionIsPrinted() {
    assertThat(run("version")).isZero();
    assertThat(out.toString()).matches("agent \\d+\\.\\d+\\.\\d+\\S*\\R");
  }

  @Test
  void anUnknownCommandIsWrongUsage() {
    assertThat(run("drian")).isEqualTo(2);
    assertThat(err.toString()).contains("drian").contains("drain");
  }

  @Test
  void aWrongConfigurationExitsWithTwoAndNamesThePlace() throws IOException {
    Path file = dir.resolve("c.yaml");
    Files.writeString(file, "gate:\n  taint: []\n");

    assertThat(run("check-config", "--config", file.toString())).isEqualTo(2);
    assertThat(err.toString())
        .isEqualTo(
            "agent: %s:2: unknown key \"gate.taint\"; did you mean \"taints\"?%n".formatted(file));
    assertThat(run("run", "--config", file.toString())).isEqualTo(2);
  }

  @Test
  void theConfigurationInForceIsPrinted() throws IOException {
    Path file = dir.resolve("c.yaml");
    Files.writeString(file, "node: {name: n1}\n");

    assertThat(run("check-config", "--config", file.toString())).isZero();
    assertThat(out.toString()).startsWith("node:\n  name: n1\n").contains("  - readiness.k8s.io/");
  }

  @Test
  void statusWithoutAnAgentExitsWithOneAndSaysSo() throws IOException {
    Path file = dir.resolve("c.yaml");
    Files.writeString(file, "control: {socket: " + dir.resolve("no.sock") + "}\n");

    assertThat(run("status", "--config", file.toString())).isEqualTo(1);
    assertThat(err.toString()).contains("no agent runs here");
  }

  @Test
  void explainTellsEachStepOnALineOfItsOwn() throws IOException {
    Path file = dir.resolve("c.yaml");
    Path socket = dir.resolve("s.sock");
    Files.writeString(file, "control: {socket: " + socket + "}\n");
    var steps = new LinkedHashMap<String, Object>();
    steps.put("pod", "shop/cart, running");
    steps.put("address", List.of("10.0.0.5", "fd00::5"));
    steps.put("verdict", "gets nothing: it has no role");
    try (var server = new ControlServer(socket, new Explaining(steps))) {
      server.start();

      assertThat(run("explain", "shop/cart", "--config", file.toString())).isZero();
    }
    assertThat(out.toString())
        .isEqualTo(
            """
            pod      shop/cart, running
            address  10.0.0.5
                     fd00::5
            verdict  gets nothing: it has no role
            """);
  }

  @Test
  void explainWantsNamespaceAndPod() {
    assertThat(run("explain", "cart")).isEqualTo(2);
    assertThat(err.toString()).contains("\"cart\" is not NAMESPACE/POD");
  }

  /** An agent of which nothing but one pod is known. */
  private record Explaining(SequencedMap<String, Object> steps) implements StatusSource {
    @Override
    public SequencedMap<String, Object> explain(String namespace, String pod) {
      return steps;
    }

    @Override
    public SequencedMap<String, Object> status() {
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

  @Test
  void completionNamesEveryCommand() {
    assertThat(run("completion")).isZero();
    assertThat(Cli.commandLine().getSubcommands().keySet())
        .allSatisfy(command -> assertThat(out.toString()).contains(command));
  }

  @Test
  void aNamedCommandIsReadAlone() {
    assertThat(Cli.commandLine("run", "--help").getSubcommands()).containsOnlyKeys("run");
    assertThat(Cli.commandLine("--help").getSubcommands()).containsKeys("run", "drain", "version");
  }

  @ParameterizedTest
  @ValueSource(strings = {"drain", "cordon", "uncordon"})
  void aKubeconfigThatIsNotThereEndsACommandAtOnce(String command) {
    String missing = dir.resolve("missing").toString();

    assertThat(run(command, "node", "--kubeconfig", missing)).isEqualTo(1);

    assertThat(err.toString().lines())
        .singleElement()
        .asString()
        .contains("kubeconfig " + missing)
        .endsWith("does not exist");
  }

  private int run(String... args) {
    var line = Cli.commandLine(args);
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return line.execute(args);
  }
}
