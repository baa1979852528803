package nodeward.bench;

import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.AuditEntry.Stage;
import nodeward.cluster.ControlPlane;
import nodeward.e2e.AgentIdentity;

/**
 * {@code agent drain} beside {@code kubectl drain} on a real API server, run in turns: how long it
 * takes while each pod is gone one second after its eviction and the command's files are in memory,
 * how many requests that needs, and how soon a pod is evicted when its disruption budget lets it.
 * The requests and the time of the reaction are the API server's own, from its audit log.
 */
final class Draining implements Area {
  private static final int ROUNDS = 5;
  private static final int REACTIONS = 10;
  private static final Duration LIMIT = Duration.ofMinutes(3);
  private static final String KUBECTL = "kubectl";

  private int nodes;

  /** One drain: from exec to exit, and its requests by verb. */
  private record Run(double seconds, Map<String, Integer> requests) {
    int all() {
      return requests.values().stream().mapToInt(Integer::intValue).sum();
    }
  }

  @Override
  public String name() {
    return "drain";
  }

  @Override
  public List<Figure> measure(Setting setting) throws IOException, InterruptedException {
    var figures = new ArrayList<Figure>();
    if (!Setting.hasCluster()) {
      setting.say("the drain is not measured: there is no real API server");
      return figures;
    }
    try (var plane = ControlPlane.start(setting.directory().resolve("plane"))) {
      AgentIdentity.grant(plane);
      // Not counted: the API server and this JVM are slower the first time.
      drain(setting, plane, 30, AgentIdentity.USER_AGENT);
      drains(setting, plane, 30, 0.25, figures);
      drains(setting, plane, 100, 1 / 6.0, figures);
      reactions(setting, plane, figures);
    }
    return figures;
  }

  private void drains(
      Setting setting, ControlPlane plane, int pods, double share, List<Figure> figures)
      throws IOException, InterruptedException {
    var agent = new ArrayList<Run>();
    var kubectl = new ArrayList<Run>();
    for (int round = 0; round < ROUNDS; round++) {
      setting.say("drain of %d pods, round %d of %d", pods, round + 1, ROUNDS);
      agent.add(drain(setting, plane, pods, AgentIdentity.USER_AGENT));
      kubectl.add(drain(setting, plane, pods, KUBECTL));
    }
    setting.say("seconds: agent %s, %s %s", seconds(agent), KUBECTL, seconds(kubectl));
    Run ours = median(agent);
    Run theirs = median(kubectl);
    String of = "drain of " + pods + " pods";
    figures.add(
        Figure.of(of, "s", ours.seconds).beside(KUBECTL, OptionalDouble.of(theirs.seconds)));
    figures.add(
        Figure.of(of + ", share of kubectl's time", "", ours.seconds / theirs.seconds)
            .atMost(share));
    figures.add(
        Figure.of(of + ", requests", "", ours.all())
            .atMost(pods + 10)
            .beside(KUBECTL, OptionalDouble.of(theirs.all())));
    Stream.concat(ours.requests.keySet().stream(), theirs.requests.keySet().stream())
        .distinct()
        .sorted()
        .forEach(
            verb ->
                figures.add(
                    Figure.of(of + ", " + verb, "", ours.requests.getOrDefault(verb, 0))
                        .beside(
                            KUBECTL, OptionalDouble.of(theirs.requests.getOrDefault(verb, 0)))));
  }

  private Run drain(Setting setting, ControlPlane plane, int pods, String who)
      throws IOException, InterruptedException {
    String node = node(plane);
    for (int i = 0; i < pods; i++) {
      pod(plane, node, "p" + i);
    }
    warmPageCache(setting, plane, who);
    Instant begun = Instant.now();
    double seconds;
    try (var _ = new EndingPods(plane, node, pods)) {
      long exec = System.nanoTime();
      end(start(setting, plane, node, who), node, who);
      seconds = (System.nanoTime() - exec) / 1e9;
    }
    var requests = new TreeMap<String, Integer>();
    for (AuditEntry entry : since(plane, who, begun)) {
      requests.merge(entry.verb(), 1, Integer::sum);
    }
    return new Run(seconds, requests);
  }

  /** A pod alone with a budget that lets it go a while after it was blocked. */
  private void reactions(Setting setting, ControlPlane plane, List<Figure> figures)
      throws IOException, InterruptedException {
    for (String who : List.of(AgentIdentity.USER_AGENT, KUBECTL)) {
      int rounds = who.equals(KUBECTL) ? ROUNDS : REACTIONS;
      setting.say("%d times a disruption budget lets a pod go", rounds);
      double slowest = 0;
      for (int round = 0; round < rounds; round++) {
        slowest = Math.max(slowest, reaction(setting, plane, who, round));
      }
      String name = "disruption budget freed to eviction, slowest";
      if (who.equals(KUBECTL)) {
        Figure ours = figures.removeLast();
        figures.add(ours.beside(KUBECTL, OptionalDouble.of(slowest)));
      } else {
        figures.add(Figure.of(name, "ms", slowest).atMost(500));
      }
    }
  }

  private double reaction(Setting setting, ControlPlane plane, String who, int round)
      throws IOException, InterruptedException {
    String node = node(plane);
    pod(plane, node, "p");
    String budget = "/apis/policy/v1/namespaces/" + node + "/poddisruptionbudgets";
    plane.post(
        budget, "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"maxUnavailable\":0,\"selector\":{}}}");
    allow(plane, budget, 0);
    Instant begun = Instant.now();
    Instant freed;
    try (var _ = new EndingPods(plane, node, 1)) {
      Process process = start(setting, plane, node, who);
      BenchNode.await(
          "the pod is blocked",
          () -> Files.readString(log(setting, node)).contains("will retry after"));
      // Not in step with kubectl's five seconds.
      TimeUnit.MILLISECONDS.sleep(1500 + round * 700L);
      allow(plane, budget, 1);
      freed = Instant.now();
      end(process, node, who);
    }
    Instant evicted =
        evictions(plane, who, begun, node).stream()
            .filter(e -> e.code() == 201)
            .findFirst()
            .orElseThrow()
            .received();
    return Math.max(0, Duration.between(freed, evicted).toNanos() / 1e6);
  }

  private static void allow(ControlPlane plane, String budgets, int disruptions)
      throws IOException {
    plane.patch(
        budgets + "/b/status",
        """
        {"status":{"observedGeneration":1,"desiredHealthy":1,"currentHealthy":1,"expectedPods":1,
          "disruptionsAllowed":%d}}
        """
            .formatted(disruptions));
  }

  private static List<AuditEntry> evictions(
      ControlPlane plane, String who, Instant begun, String node) throws IOException {
    return since(plane, who, begun).stream()
        .filter(e -> e.subresource().equals("eviction") && e.namespace().equals(node))
        .toList();
  }

  private static List<AuditEntry> since(ControlPlane plane, String who, Instant begun)
      throws IOException {
    return plane.audit(who).stream()
        .filter(e -> !e.received().isBefore(begun))
        .filter(e -> e.stage() != Stage.Panic)
        .toList();
  }

  private static Process start(Setting setting, ControlPlane plane, String node, String who)
      throws IOException {
    List<String> command =
        who.equals(KUBECTL)
            ? plane.kubectlCommand("drain", node)
            : List.of(
                setting.agent().toString(),
                "drain",
                node,
                "--kubeconfig",
                plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS).toString());
    return ControlPlane.exec(
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(log(setting, node).toFile()));
  }

  /** The command's files are in memory then, as where it has run before: no disk is measured. */
  private static void warmPageCache(Setting setting, ControlPlane plane, String who)
      throws IOException {
    Path command = Path.of(plane.kubectlCommand().getFirst());
    // The agent's package is the directory above bin.
    Path files = who.equals(KUBECTL) ? command : setting.agent().toAbsolutePath().resolve("../..");
    try (Stream<Path> all = Files.walk(files.normalize()).filter(Files::isRegularFile)) {
      for (Path file : (Iterable<Path>) all::iterator) {
        Files.copy(file, OutputStream.nullOutputStream());
      }
    }
  }

  private static Path log(Setting setting, String node) {
    return setting.directory().resolve(node + ".log");
  }

  private static void end(Process process, String node, String who)
      throws IOException, InterruptedException {
    if (!process.waitFor(LIMIT.toNanos(), TimeUnit.NANOSECONDS)) {
      process.destroyForcibly();
      throw new IOException("still draining " + node + ": " + who);
    }
    if (process.exitValue() != 0) {
      throw new IOException(
          "drain of %s by %s ended with %d, see its log".formatted(node, who, process.exitValue()));
    }
  }

  /** A fresh Node with a namespace of the same name. */
  private String node(ControlPlane plane) throws IOException {
    String node = "drained-" + nodes++;
    plane.post("/api/v1/nodes", "{\"metadata\":{\"name\":\"%s\"}}".formatted(node));
    plane.post("/api/v1/namespaces", "{\"metadata\":{\"name\":\"%s\"}}".formatted(node));
    return node;
  }

  static void pod(ControlPlane plane, String node, String name) throws IOException {
    String pods = "/api/v1/namespaces/" + node + "/pods";
    plane.post(
        pods,
        """
        {"metadata":{"name":"%s","labels":{"app":"web"},"ownerReferences":[{
          "apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","controller":true,
          "uid":"00000000-0000-0000-0000-00000000000a"}]},
         "spec":{"nodeName":"%s","containers":[{"name":"c","image":"i"}]}}
        """
            .formatted(name, node));
    plane.patch(
        pods + "/" + name + "/status",
        """
        {"status":{"phase":"Running","conditions":[
          {"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}
        """);
  }

  private static String seconds(List<Run> runs) {
    return runs.stream().map(r -> "%.2f".formatted(r.seconds)).collect(joining(" "));
  }

  private static Run median(Collection<Run> runs) {
    List<Run> sorted =
        runs.stream().sorted((a, b) -> Double.compare(a.seconds, b.seconds)).toList();
    return sorted.get(sorted.size() / 2);
  }
}
