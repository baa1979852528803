package nodeward.bench;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import nodeward.simulator.SimulatedNode;

/**
 * The daemons that together do what the agent does, each run as its own deployment runs it, against
 * a simulated node of their own. A peer without a binary, or one that does not become ready here,
 * is told and left out.
 */
final class Peers implements AutoCloseable {
  static final String CREDENTIALS_PROXY = "kube2iam";
  static final String TERMINATION_HANDLER = "aws-node-termination-handler";
  static final String PROBLEM_DETECTOR = "node-problem-detector";

  static final List<String> NAMES =
      List.of(CREDENTIALS_PROXY, TERMINATION_HANDLER, PROBLEM_DETECTOR);

  /** A daemon that runs; {@code ready} is the time from exec until it said so. */
  record Peer(String name, Process process, Duration ready) {
    ProcessFigures figures() {
      return new ProcessFigures(process.pid());
    }
  }

  private static final String IN_CLUSTER = "/run/secrets/kubernetes.io/serviceaccount";

  final List<Peer> running = new ArrayList<>();
  private final Setting setting;
  private final BenchNode world;

  private Peers(Setting setting, BenchNode world) {
    this.setting = setting;
    this.world = world;
  }

  /** Starts one after the other; returns when all are ready that can be. */
  static Peers start(Setting setting, BenchNode world) throws IOException, InterruptedException {
    var peers = new Peers(setting, world);
    setting.say(
        "%s is not measured: src/test/cluster/peers has no module of it", CREDENTIALS_PROXY);
    peers.terminationHandler();
    peers.problemDetector();
    return peers;
  }

  @Override
  public void close() {
    running.forEach(peer -> end(peer.process));
  }

  /** Its client knows no kubeconfig, so it sees a pod's token in a mount namespace of its own. */
  private void terminationHandler() throws IOException, InterruptedException {
    Path token = Files.writeString(file(TERMINATION_HANDLER, "token"), "fake-token");
    Path ca = Files.writeString(file(TERMINATION_HANDLER, "ca.crt"), world.tls.certificate());
    int probes = freePort();
    var command =
        List.of(
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-euc",
            "mount -t tmpfs none /run; mkdir -p %1$s; cp %2$s %1$s/token; cp %3$s %1$s/ca.crt; exec \"$0\""
                .formatted(IN_CLUSTER, token, ca),
            binary(TERMINATION_HANDLER).toString());
    var environment =
        Map.of(
            "NODE_NAME",
            SimulatedNode.NAME,
            "KUBERNETES_SERVICE_HOST",
            "127.0.0.1",
            "KUBERNETES_SERVICE_PORT",
            Integer.toString(world.tls.port()),
            "INSTANCE_METADATA_URL",
            world.node.imds.endpoint().toString(),
            "ENABLE_PROBES_SERVER",
            "true",
            "PROBES_SERVER_PORT",
            Integer.toString(probes));
    start(
        TERMINATION_HANDLER,
        command,
        environment,
        log -> Files.readString(log).contains("has started successfully"));
  }

  /** With a log monitor of the kernel and the conntrack check, which its own script does. */
  private void problemDetector() throws IOException, InterruptedException {
    Path config = setting.peers().resolve(PROBLEM_DETECTOR + "-config");
    Path conntrack =
        Files.writeString(
            file(PROBLEM_DETECTOR, "conntrack.json"),
            """
            {
              "plugin": "custom",
              "pluginConfig": {"invoke_interval": "30s", "timeout": "5s", "max_output_length": 80, "concurrency": 3},
              "source": "network-custom-plugin-monitor",
              "metricsReporting": true,
              "conditions": [],
              "rules": [{"type": "temporary", "reason": "ConntrackFull", "path": "%s", "timeout": "3s"}]
            }
            """
                .formatted(config.resolve("plugin/network_problem.sh")));
    int port = freePort();
    var command =
        List.of(
            binary(PROBLEM_DETECTOR).toString(),
            "--logtostderr",
            "--config.system-log-monitor=" + config.resolve("kernel-monitor.json"),
            "--config.custom-plugin-monitor=" + conntrack,
            "--apiserver-override=https://127.0.0.1:%d?inClusterConfig=false&auth=%s"
                .formatted(world.tls.port(), world.kubeconfig()),
            "--hostname-override=" + SimulatedNode.NAME,
            "--port=" + port,
            "--prometheus-port=" + freePort());
    start(PROBLEM_DETECTOR, command, Map.of(), log -> answers(port));
  }

  /** Whether a peer is ready, by its log or by what it serves. */
  @FunctionalInterface
  private interface Ready {
    boolean isReady(Path log) throws IOException;
  }

  private void start(
      String name, List<String> command, Map<String, String> environment, Ready ready)
      throws IOException, InterruptedException {
    if (!Files.isExecutable(binary(name))) {
      setting.say("%s is not measured: there is no %s", name, binary(name));
      return;
    }
    Path log = file(name, "log");
    Files.createFile(log);
    var builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.redirectOutput(log.toFile());
    builder.environment().putAll(environment);
    long exec = System.nanoTime();
    Process process;
    try {
      process = builder.start();
    } catch (IOException e) {
      setting.say("%s is not measured: %s", name, e.getMessage());
      return;
    }
    Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
    try {
      BenchNode.await(name + " is ready", () -> !process.isAlive() || ready.isReady(log));
    } catch (IOException e) {
      end(process);
      setting.say("%s is not measured: %s, see %s", name, e.getMessage(), log);
      return;
    }
    Duration took = Duration.ofNanos(System.nanoTime() - exec);
    if (!process.isAlive()) {
      setting.say("%s is not measured: it ended with %d, see %s", name, process.exitValue(), log);
      return;
    }
    running.add(new Peer(name, process, took));
  }

  private static void end(Process process) {
    process.destroy();
    try {
      if (!process.waitFor(10, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      process.destroyForcibly();
    }
  }

  private Path binary(String name) {
    return setting.peers().resolve(name);
  }

  private Path file(String peer, String name) {
    return setting.directory().resolve(peer + "." + name);
  }

  private static boolean answers(int port) {
    try (var socket = new java.net.Socket("127.0.0.1", port)) {
      return socket.isConnected();
    } catch (IOException e) {
      return false;
    }
  }

  private static int freePort() throws IOException {
    try (var socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
