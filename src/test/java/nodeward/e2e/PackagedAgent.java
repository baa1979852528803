package nodeward.e2e;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Poll;
import nodeward.cluster.RealNode;

/**
 * What {@code make build} packs, run as real processes on this machine or on a node: the daemon,
 * looked at from outside, and the commands. It inherits nothing of the environment. Whatever is
 * waited for fails with the end of the daemon's log.
 */
public final class PackagedAgent implements AutoCloseable {
  /** A page of the agent's admin address. */
  public record Page(int code, String body) {}

  /** A command that has ended. */
  record Ended(int code, List<String> out, List<String> err) {}

  /** Starts a process where the agent is to run. */
  private interface Place {
    Process exec(List<String> command, ProcessBuilder output) throws IOException;
  }

  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final Duration LIMIT = Duration.ofSeconds(60);
  private static final int REQUEST_LIMIT_MS = 5_000;
  private static final int TAIL_LINES = 40;

  private final Place place;
  private final Path log;
  private final URI admin;
  private final List<String> arguments;
  private Process daemon;

  private PackagedAgent(Place place, Path log, URI admin, List<String> arguments) {
    this.place = place;
    this.log = log;
    this.admin = admin;
    this.arguments = arguments;
  }

  /** Runs on this machine; the configuration tells it everything. */
  public static PackagedAgent here(Path config, int adminPort) {
    return new PackagedAgent(
        PackagedAgent::execHere,
        config.resolveSibling("agent.log"),
        URI.create("http://127.0.0.1:" + adminPort),
        List.of("--config", config.toString()));
  }

  /** Runs on the node with its {@code /etc/nodeward/config.yaml}; admin is on its address. */
  static PackagedAgent on(RealNode node, Path log, int adminPort) {
    return new PackagedAgent(
        (command, output) -> {
          ProcessBuilder there = node.command(command.toArray(String[]::new));
          return node.exec(output.command(there.command()));
        },
        log,
        URI.create("http://" + node.nodeAddress() + ":" + adminPort),
        List.of());
  }

  /** Starts the daemon, or starts it again; its log is appended to. */
  public void start() throws IOException {
    var output = new ProcessBuilder().redirectErrorStream(true);
    output.redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
    daemon = place.exec(command("run", arguments), output);
  }

  /** SIGTERM; returns the exit code. */
  public int stop() throws InterruptedException, IOException {
    daemon.destroy();
    if (!daemon.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
      daemon.destroyForcibly();
      throw new AssertionError("the agent does not end on SIGTERM\n" + tail());
    }
    return daemon.exitValue();
  }

  /** SIGKILL: the daemon gets no chance to finish anything. */
  void kill() {
    daemon.destroyForcibly();
    daemon.onExit().orTimeout(LIMIT.toSeconds(), TimeUnit.SECONDS).join();
  }

  /** SIGSTOP: the daemon stands still, its connections stay. */
  void freeze() throws IOException, InterruptedException {
    signal("STOP");
  }

  /** SIGCONT. */
  void thaw() throws IOException, InterruptedException {
    signal("CONT");
  }

  private void signal(String name) throws IOException, InterruptedException {
    String pid = Long.toString(daemon.pid());
    int code = new ProcessBuilder("kill", "-" + name, pid).start().waitFor();
    if (code != 0) {
      throw new IOException("kill -" + name + " " + pid + ": " + code);
    }
  }

  @Override
  public void close() {
    if (daemon != null && daemon.isAlive()) {
      kill();
    }
  }

  /** Runs a command of the agent to its end, with the daemon's configuration. */
  Ended run(String name, String... more) throws IOException, InterruptedException {
    var all = new ArrayList<>(arguments);
    all.addAll(List.of(more));
    return run(place, command(name, all));
  }

  /** Runs a command of the agent on this machine to its end, without any configuration. */
  static Ended runHere(String name, String... arguments) throws IOException, InterruptedException {
    return run(PackagedAgent::execHere, command(name, List.of(arguments)));
  }

  /** Waits for something that the daemon does. */
  public void await(String what, Duration limit, Callable<Boolean> condition) throws IOException {
    try {
      Poll.until(what, limit, () -> !daemon.isAlive() || condition.call());
    } catch (AssertionError e) {
      throw new AssertionError(e.getMessage() + "\n" + tail(), e.getCause());
    }
    if (!daemon.isAlive()) {
      throw new AssertionError("the agent has ended: " + daemon.exitValue() + "\n" + tail());
    }
  }

  boolean isAlive() {
    return daemon.isAlive();
  }

  public Page page(String path) throws IOException {
    var connection = (HttpURLConnection) admin.resolve(path).toURL().openConnection();
    connection.setConnectTimeout(REQUEST_LIMIT_MS);
    connection.setReadTimeout(REQUEST_LIMIT_MS);
    int code = connection.getResponseCode();
    try (var body = code < 400 ? connection.getInputStream() : connection.getErrorStream()) {
      return new Page(code, new String(body.readAllBytes(), StandardCharsets.UTF_8));
    }
  }

  public boolean isReady() throws IOException {
    return page("/readyz").code() == 200;
  }

  /** What the agent says of one of its parts. */
  public JsonNode part(String name) throws IOException {
    return JSON.readTree(page("/status").body()).path("components").path(name);
  }

  /** The value of a metric, given with its labels; fails when there is none. */
  public double metric(String series) throws IOException {
    return page("/metrics")
        .body()
        .lines()
        .filter(line -> line.startsWith(series + " "))
        .mapToDouble(line -> Double.parseDouble(line.substring(series.length() + 1)))
        .findFirst()
        .orElseThrow(() -> new IOException("no metric " + series));
  }

  /** The lines of the log that hold the text. */
  List<String> logged(String text) throws IOException {
    return Files.readAllLines(log).stream().filter(line -> line.contains(text)).toList();
  }

  private String tail() throws IOException {
    List<String> lines = Files.readAllLines(log);
    return String.join("\n", lines.subList(Math.max(0, lines.size() - TAIL_LINES), lines.size()));
  }

  private static Ended run(Place place, List<String> command)
      throws IOException, InterruptedException {
    Path directory = Files.createTempDirectory("nodeward-e2e");
    Path out = directory.resolve("out");
    Path err = directory.resolve("err");
    try {
      var output = new ProcessBuilder().redirectOutput(out.toFile()).redirectError(err.toFile());
      Process process = place.exec(command, output);
      if (!process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new AssertionError(
            "still running: " + command + "\n" + Files.readString(out) + Files.readString(err));
      }
      return new Ended(process.exitValue(), Files.readAllLines(out), Files.readAllLines(err));
    } finally {
      Files.deleteIfExists(out);
      Files.deleteIfExists(err);
      Files.delete(directory);
    }
  }

  private static Process execHere(List<String> command, ProcessBuilder output) throws IOException {
    return ControlPlane.exec(output.command(command));
  }

  /** The whole command, which begins with an empty environment. */
  static List<String> command(String name, Collection<String> arguments) {
    Path agent = Path.of(System.getProperty("nodeward.target"), "agent", "bin", "agent");
    if (!Files.isExecutable(agent)) {
      throw new AssertionError(agent + " is missing: make build");
    }
    var command =
        new ArrayList<>(
            List.of(
                "env",
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "JAVA_HOME=" + System.getProperty("java.home"),
                agent.toString(),
                name));
    command.addAll(arguments);
    return command;
  }
}
