package nodeward.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import nodeward.cluster.ControlPlane;
import nodeward.e2e.AgentIdentity;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * The same generated node twice on a real API server, drained once by the real kubectl and once by
 * {@code agent drain}: the same pods go, the node is in the same state, the exit codes agree.
 * {@code -Dnodeward.seed=N} runs one case alone.
 */
@Tag("e2e")
final class DrainDifferentialE2eTest {
  private static final int CASES = 200;
  private static final int AT_ONCE = 6;
  private static final int KUBECTL_LIMIT_SECONDS = 120;

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  /** What a drain did. */
  private record Outcome(int code, Set<String> standing, boolean unschedulable, Set<String> said) {}

  @Test
  void drainsAsKubectlDoes() throws Exception {
    try (var plane = ControlPlane.start(directory.resolve("plane"))) {
      AgentIdentity.grant(plane);
      String agent = plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS).toString();
      // Made before the threads come, who share it.
      plane.adminKubeconfig();
      var differences = new ArrayList<String>();
      try (var threads = Executors.newFixedThreadPool(AT_ONCE)) {
        var running = new ArrayList<Future<List<String>>>();
        for (long seed : seeds()) {
          running.add(threads.submit(() -> differences(plane, agent, new GeneratedNode(seed))));
        }
        for (Future<List<String>> each : running) {
          differences.addAll(get(each));
        }
      }
      assertThat(differences).isEmpty();
    }
  }

  private static List<Long> seeds() {
    String one = System.getProperty("nodeward.seed", "");
    if (!one.isEmpty()) {
      return List.of(Long.valueOf(one));
    }
    var all = new ArrayList<Long>();
    for (long seed = 1; seed <= CASES; seed++) {
      all.add(seed);
    }
    return all;
  }

  /** A difference counts when it is there with ten times the time too: machines can be slow. */
  private static List<String> differences(ControlPlane plane, String kubeconfig, GeneratedNode node)
      throws Exception {
    List<String> hasty = compare(plane, kubeconfig, node, "h", node.mayBlock() ? 3 : 20);
    return hasty.isEmpty() ? hasty : compare(plane, kubeconfig, node, "s", 30);
  }

  private static List<String> compare(
      ControlPlane plane, String kubeconfig, GeneratedNode node, String round, int seconds)
      throws Exception {
    String theirs = "k-" + round + node.seed;
    String ours = "a-" + round + node.seed;
    node.create(plane, theirs);
    node.create(plane, ours);
    if (node.flags.stream().anyMatch(f -> f.startsWith("--skip-wait"))) {
      // Deletions that are due need some age.
      LockSupport.parkNanos(TimeUnit.SECONDS.toNanos(4));
    }
    String timeout = "--timeout=" + seconds + "s";
    Outcome kubectl;
    Outcome agent;
    try (var both = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Outcome> first =
          both.submit(
              () -> withKubelet(plane, theirs, () -> kubectl(plane, node, theirs, timeout)));
      Future<Outcome> second =
          both.submit(
              () -> withKubelet(plane, ours, () -> agent(plane, kubeconfig, node, ours, timeout)));
      kubectl = get(first);
      agent = get(second);
    }
    var differences = new ArrayList<String>();
    // 3 is Nodeward's word for a time limit, which kubectl does not tell apart.
    compare("exit code", Math.min(1, kubectl.code), Math.min(1, agent.code), differences);
    compare("pods", kubectl.standing, agent.standing, differences);
    compare("unschedulable", kubectl.unschedulable, agent.unschedulable, differences);
    if (kubectl.code == 0) {
      // A pod that ends is gone before the slower of the two looks, or after.
      compare("output", node.lasting(kubectl.said), node.lasting(agent.said), differences);
    }
    return differences.stream().map(d -> d + " of " + node + " timeout=" + seconds).toList();
  }

  private static void compare(String what, Object kubectl, Object agent, List<String> differences) {
    if (!kubectl.equals(agent)) {
      differences.add("%s: kubectl %s, agent %s".formatted(what, kubectl, agent));
    }
  }

  /** Ends pods while it runs, then looks at what is there. */
  private static Outcome withKubelet(ControlPlane plane, String node, Callable<Outcome> drain)
      throws Exception {
    try (var thread = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Outcome> running = thread.submit(drain);
      while (!running.isDone()) {
        GeneratedNode.endPods(plane, node);
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(100));
      }
      Outcome outcome = get(running);
      return new Outcome(
          outcome.code,
          GeneratedNode.standing(plane, node),
          plane.get("/api/v1/nodes/" + node).at("/spec/unschedulable").asBoolean(),
          outcome.said);
    }
  }

  private static Outcome kubectl(
      ControlPlane plane, GeneratedNode node, String name, String timeout)
      throws IOException, InterruptedException {
    var args = new ArrayList<>(List.of("drain", name, timeout));
    args.addAll(node.flags);
    Path out = Files.createTempFile(directory, name, ".out");
    Process process =
        ControlPlane.exec(
            new ProcessBuilder(plane.kubectlCommand(args.toArray(String[]::new)))
                .redirectOutput(out.toFile())
                .redirectError(out.resolveSibling(out.getFileName() + ".err").toFile()));
    if (!process.waitFor(KUBECTL_LIMIT_SECONDS, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IOException("kubectl does not end: " + node);
    }
    return outcome(process.exitValue(), Files.readString(out), name);
  }

  private static Outcome agent(
      ControlPlane plane, String kubeconfig, GeneratedNode node, String name, String timeout) {
    var args = new ArrayList<>(List.of("drain", name, timeout, "--kubeconfig", kubeconfig));
    args.addAll(node.flags);
    String[] given = args.toArray(String[]::new);
    var out = new StringWriter();
    var line = Cli.commandLine(given);
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(new StringWriter(), true));
    return outcome(line.execute(given), out.toString(), name);
  }

  /** The lines that scripts read. That a pod is being evicted kubectl says also of ending ones. */
  private static Outcome outcome(int code, String out, String node) {
    var said = new TreeSet<String>();
    Pattern scripts = Pattern.compile("^(node/|pod/).*|.*\\(dry run\\)$|.*\\(server dry run\\)$");
    out.lines()
        .map(l -> l.replaceAll("\\b" + node + "\\b", "NODE"))
        .filter(l -> scripts.matcher(l).matches())
        .forEach(said::add);
    return new Outcome(code, Set.of(), false, said);
  }

  private static <T> T get(Future<T> future) throws Exception {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception cause ? cause : e;
    }
  }
}
