package nodeward.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nodeward.aws.FakeImds;
import nodeward.simulator.SimulatedNode;

/**
 * {@code make dist}: lives the agent's whole life once, from the closed gate to the completed hook,
 * so that the JVM can write down which classes and code that takes. The agent writes its cache when
 * it stops.
 */
public final class Training {
  /** No profiles: the agent runs with C1 alone, which has no use for them. */
  private static final String RECORD =
      "-XX:+UnlockDiagnosticVMOptions -XX:-AOTRecordTraining -XX:AOTCacheOutput=";

  private Training() {}

  /** Arguments: the agent's command, a directory for files, and the cache to write. */
  public static void main(String[] args) throws IOException, InterruptedException {
    if (args.length != 3) {
      System.err.println("usage: Training AGENT DIRECTORY CACHE");
      System.exit(2);
    }
    Path directory = Path.of(args[1]).toAbsolutePath();
    Path cache = Path.of(args[2]).toAbsolutePath();
    SimulatedNode.delete(directory);
    Files.deleteIfExists(cache);
    var agent = new ArrayList<>(List.of(Path.of(args[0]).toAbsolutePath().toString()));
    agent.addAll(commands(BenchNode.kubeconfigOfUser(directory).toString()));
    try (var world = new BenchNode(directory, agent)) {
      world.start(Map.of("JDK_JAVA_OPTIONS", RECORD + cache));
      if (!Files.readString(world.node.log()).contains(SimulatedNode.NAME + " uncordoned")) {
        throw new IOException("the commands before the daemon failed, see " + world.node.log());
      }
      live(world);
      int exit = world.node.stopAgent(Duration.ofSeconds(60));
      if (exit != 0 || !Files.exists(cache)) {
        throw new IOException("exit code %d, and see %s".formatted(exit, world.node.log()));
      }
    }
    System.out.printf("%s: %d MiB%n", cache, Files.size(cache) >> 20);
    System.exit(0);
  }

  /** What people and units call, before the daemon itself. */
  private static List<String> commands(String kubeconfig) {
    String node = "--kubeconfig %s %s".formatted(kubeconfig, SimulatedNode.NAME);
    String drain = "drain --dry-run=client --ignore-daemonsets " + node;
    // No pod has this label: the Node is marked, and unmarked again.
    String mark = "drain --pod-selector none=here %1$s , uncordon %1$s".formatted(node);
    String status = "status --node-name " + SimulatedNode.NAME;
    return List.of("rehearse version , %s , %s , %s ,".formatted(status, drain, mark).split(" "));
  }

  private static void live(BenchNode world) throws IOException, InterruptedException {
    SimulatedNode node = world.node;
    for (String page : new String[] {"/", "/status", "/healthz", "/readyz", "/metrics"}) {
      node.get(page);
    }
    CredentialLoad.run(node.proxy(), 4, 50);
    node.autoScaling.terminating(FakeImds.INSTANCE_ID, Duration.ofSeconds(2));
    node.imds.targetState("Terminated");
    BenchNode.await("the hook is completed", () -> !node.autoScaling.completions().isEmpty());
  }
}
