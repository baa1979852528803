package nodeward.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.TimeUnit;

/**
 * What it costs to read and attribute a table of 200,000 flows, beside the conntrack tool in the
 * same namespace, and what the daemon with its usual intervals costs a node at rest: itself, its
 * probes of the table, docker and containerd alone, and its requests to the API server.
 */
final class NodeHealth implements Area {
  private static final Duration REST = Duration.ofMinutes(6);
  private static final Map<String, String> NO_PROBES =
      Map.of("NODEWARD_CONNTRACK_ENABLED", "false", "NODEWARD_RUNTIME_ENABLED", "false");

  @Override
  public String name() {
    return "health";
  }

  @Override
  public List<Figure> measure(Setting setting) throws IOException, InterruptedException {
    var figures = new ArrayList<Figure>();
    table(setting, figures);
    rest(setting, figures);
    return figures;
  }

  private static void table(Setting setting, List<Figure> figures)
      throws IOException, InterruptedException {
    boolean root = System.getProperty("user.name").equals("root");
    boolean tool =
        List.of("/usr/sbin", "/sbin").stream()
            .anyMatch(d -> Files.isExecutable(Path.of(d, "conntrack")));
    if (!root || !tool) {
      setting.say("conntrack is not measured: it needs root and the package conntrack");
      return;
    }
    setting.say("a table of %d flows", ConntrackProbe.FLOWS);
    Map<String, Double> told = inNamespace();
    figures.add(Figure.of("one sample of the table", "us", told.get("sample_us")));
    figures.add(
        Figure.of("200,000 flows read and attributed, first time", "s", told.get("first_walk_s"))
            .atMost(0.6)
            .beside("conntrack -L", OptionalDouble.of(told.get("tool_s"))));
    figures.add(
        Figure.of("200,000 flows read and attributed, median of 7", "s", told.get("walk_s"))
            .atMost(0.6)
            .beside("conntrack -L", OptionalDouble.of(told.get("tool_s"))));
    figures.add(
        Figure.of("of the tool's time", "", told.get("walk_s") / told.get("tool_s")).atMost(1));
    figures.add(
        Figure.of("memory on top for it", "MiB", told.get("more_mib"))
            .atMost(16)
            .beside("conntrack -L", OptionalDouble.of(told.get("tool_mib"))));
  }

  /** Runs the probe with the daemon's own options. */
  private static Map<String, Double> inNamespace() throws IOException, InterruptedException {
    var command =
        List.of(
            "unshare",
            "--net",
            ProcessHandle.current().info().command().orElseThrow(),
            "-XX:+UseSerialGC",
            "-Xms6m",
            "-Xmx48m",
            "-XX:NewSize=2m",
            "-XX:MaxNewSize=5m",
            "-XX:TieredStopAtLevel=1",
            "-XX:CompileThresholdScaling=4",
            "-Djnr.ffi.asm.enabled=false",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            "-cp",
            System.getProperty("java.class.path"),
            ConntrackProbe.class.getName());
    Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (!child.waitFor(120, TimeUnit.SECONDS) || child.exitValue() != 0) {
        throw new IOException("the probe of the table failed: " + said);
      }
      var told = new HashMap<String, Double>();
      said.lines()
          .map(line -> line.split(" ", 2))
          .filter(words -> words.length == 2 && words[0].matches("[a-z_]+"))
          .forEach(words -> told.put(words[0], Double.valueOf(words[1])));
      return told;
    } finally {
      child.destroyForcibly();
    }
  }

  /** A daemon as it is, and beside it one that is told to probe nothing. */
  private static void rest(Setting setting, List<Figure> figures)
      throws IOException, InterruptedException {
    try (var whole = new BenchNode(setting.directory().resolve("node"), setting.agent())) {
      var process = new ProcessFigures(whole.start(Map.of()).pid());
      // Made when the first one listens: each node looks for free ports.
      try (var bare = new BenchNode(setting.directory().resolve("bare"), setting.agent())) {
        var without = new ProcessFigures(bare.start(NO_PROBES).pid());
        rest(setting, whole, process, without, figures);
      }
    }
  }

  private static void rest(
      Setting setting,
      BenchNode whole,
      ProcessFigures process,
      ProcessFigures without,
      List<Figure> figures)
      throws IOException, InterruptedException {
    TimeUnit.SECONDS.sleep(60);
    setting.say("at rest for %d s", REST.toSeconds());
    Duration before = process.cpu();
    Duration beforeWithout = without.cpu();
    int requests = whole.requests().size();
    TimeUnit.NANOSECONDS.sleep(REST.toNanos());
    double spent = process.cpu().minus(before).toMillis();
    double spentWithout = without.cpu().minus(beforeWithout).toMillis();
    double asked = whole.requests().size() - requests;
    figures.add(
        Figure.of("CPU of the whole daemon at rest", "%", 100 * spent / REST.toMillis())
            .atMost(0.2));
    figures.add(
        Figure.of(
            "of it all probes, beside a daemon without them",
            "%",
            100 * (spent - spentWithout) / REST.toMillis()));
    figures.add(
        Figure.of(
                "requests to the API server an hour at rest",
                "",
                asked * Duration.ofHours(1).toMillis() / REST.toMillis())
            .atMost(15));
  }
}
