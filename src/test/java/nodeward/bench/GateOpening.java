package nodeward.bench;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.AuditEntry.Stage;
import nodeward.cluster.ControlPlane;
import nodeward.e2e.AgentIdentity;
import nodeward.e2e.HandMadeNode;
import nodeward.e2e.PackagedAgent;

/**
 * How long the gate stays closed after the last system pod is Ready, and what a boot costs a real
 * API server. All times are the API server's own, from its audit log.
 */
final class GateOpening implements Area {
  private static final Duration LIMIT = Duration.ofSeconds(60);
  private static final Duration CLOSED = Duration.ofMinutes(3);
  private static final int ROUNDS = 200;
  private static final int OUTAGES = 5;
  private static final Duration OUTAGE = Duration.ofSeconds(15);

  @Override
  public String name() {
    return "gate";
  }

  @Override
  public List<Figure> measure(Setting setting) throws IOException, InterruptedException {
    var figures = new ArrayList<Figure>();
    if (!Setting.hasCluster()) {
      setting.say("the gate is not measured: there is no real API server");
      return figures;
    }
    try (var plane = ControlPlane.start(setting.directory().resolve("plane"))) {
      AgentIdentity.grant(plane);
      var node = new HandMadeNode(plane, "gated");
      PackagedAgent agent = agent(setting.directory(), plane, node.name());
      try (agent) {
        boot(setting, plane, node, agent, figures);
        rounds(setting, plane, node, agent, figures);
        outages(setting, plane, node, agent, figures);
      }
    }
    return figures;
  }

  /** One boot from nothing, with the gate closed for a while. */
  private static void boot(
      Setting setting,
      ControlPlane plane,
      HandMadeNode node,
      PackagedAgent agent,
      List<Figure> figures)
      throws IOException, InterruptedException {
    setting.say("a boot with the gate closed for %d s", CLOSED.toSeconds());
    node.register();
    node.bindKubeProxy();
    node.kubeProxyIsReady("False");
    agent.start();
    awaitGate(agent, "closed");
    TimeUnit.NANOSECONDS.sleep(CLOSED.toNanos());
    open(node, agent);
    List<AuditEntry> requests = plane.audit(AgentIdentity.USER_AGENT);
    long taints = requests.stream().filter(GateOpening::isOfTaints).count();
    long watches = requests.stream().filter(e -> e.verb().equals("watch")).count();
    long reads = requests.stream().filter(e -> e.resource().equals("daemonsets")).count();
    figures.add(Figure.of("patches of the taints in a boot", "", taints).atMost(2));
    figures.add(Figure.of("watches in a boot", "", watches).atMost(2));
    figures.add(
        Figure.of(
                "GETs a minute for each DaemonSet while closed",
                "",
                reads * 60.0 / CLOSED.toSeconds())
            .atMost(1));
    figures.add(
        Figure.of(
            "requests of a boot in all, closed for %d s".formatted(CLOSED.toSeconds()),
            "",
            requests.size()));
  }

  /** The Node goes and comes back with the taint, as one that is replaced does. */
  private static void rounds(
      Setting setting,
      ControlPlane plane,
      HandMadeNode node,
      PackagedAgent agent,
      List<Figure> figures)
      throws IOException {
    setting.say("%d rounds of opening the gate", ROUNDS);
    for (int round = 0; round < ROUNDS; round++) {
      plane.delete(node.path());
      awaitGate(agent, "unregistered");
      node.kubeProxyIsReady("False");
      node.register();
      awaitGate(agent, "closed");
      open(node, agent);
    }
    double[] took = openings(plane, ROUNDS);
    figures.add(Figure.of("last system pod Ready to taint gone, p50", "ms", took[took.length / 2]));
    figures.add(
        Figure.of("last system pod Ready to taint gone, p99", "ms", took[took.length * 99 / 100])
            .atMost(250));
  }

  /** From the API server's /readyz to the taint gone, the pod being made Ready at once. */
  private static void outages(
      Setting setting,
      ControlPlane plane,
      HandMadeNode node,
      PackagedAgent agent,
      List<Figure> figures)
      throws IOException, InterruptedException {
    setting.say("%d outages of the API server, %d s each", OUTAGES, OUTAGE.toSeconds());
    double slowest = 0;
    for (int outage = 0; outage < OUTAGES; outage++) {
      plane.delete(node.path());
      awaitGate(agent, "unregistered");
      node.kubeProxyIsReady("False");
      node.register();
      awaitGate(agent, "closed");
      plane.killApiServer();
      TimeUnit.NANOSECONDS.sleep(OUTAGE.toNanos());
      plane.startApiServer();
      Instant back = Instant.now();
      open(node, agent);
      Instant opened =
          plane.audit(AgentIdentity.USER_AGENT).stream()
              .filter(GateOpening::isOfTaints)
              .map(AuditEntry::stageReached)
              .reduce(Instant.MIN, (a, b) -> a.isAfter(b) ? a : b);
      slowest = Math.max(slowest, millis(back, opened));
    }
    figures.add(Figure.of("API server back to taint gone, slowest", "ms", slowest).atMost(2000));
  }

  private static void open(HandMadeNode node, PackagedAgent agent) throws IOException {
    node.kubeProxyIsReady("True");
    awaitGate(agent, "open");
    if (node.isGated()) {
      throw new IOException("the agent says that the gate is open, but the taint is there");
    }
  }

  /** The times of the last so many openings, in rising order. */
  private static double[] openings(ControlPlane plane, int count) throws IOException {
    var took = new ArrayList<Double>();
    Instant ready = Instant.MIN;
    for (AuditEntry entry : plane.audit("")) {
      if (entry.resource().equals("pods")
          && entry.subresource().equals("status")
          && entry.verb().equals("patch")) {
        ready = entry.stageReached();
      } else if (isOfTaints(entry) && entry.code() == 200) {
        took.add(millis(ready, entry.stageReached()));
      }
    }
    return took.subList(took.size() - count, took.size()).stream()
        .mapToDouble(Double::doubleValue)
        .sorted()
        .toArray();
  }

  /** Of the Node itself, not of its status. */
  private static boolean isOfTaints(AuditEntry entry) {
    return entry.userAgent().startsWith(AgentIdentity.USER_AGENT)
        && entry.stage() == Stage.ResponseComplete
        && entry.verb().equals("patch")
        && entry.resource().equals("nodes")
        && entry.subresource().isEmpty();
  }

  private static void awaitGate(PackagedAgent agent, String state) throws IOException {
    agent.await(
        "the gate is " + state,
        LIMIT,
        () -> agent.part("gate").path("state").asText().equals(state));
  }

  private static double millis(Instant from, Instant to) {
    return Duration.between(from, to).toNanos() / 1e6;
  }

  private static PackagedAgent agent(Path directory, ControlPlane plane, String node)
      throws IOException {
    int adminPort;
    try (var socket = new ServerSocket(0)) {
      adminPort = socket.getLocalPort();
    }
    Path config =
        Files.writeString(
            directory.resolve("config.yaml"),
            """
            node: {name: %s}
            kubernetes: {kubeconfig: %s}
            gate: {require: [{namespace: kube-system, daemonSet: kube-proxy}]}
            metadata: {enabled: false}
            termination: {enabled: false}
            admin: {listen: "127.0.0.1:%d"}
            control: {socket: %s}
            state: {directory: %s}
            """
                .formatted(
                    node,
                    plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS),
                    adminPort,
                    directory.resolve("control.sock"),
                    directory.resolve("state")));
    return PackagedAgent.here(config, adminPort);
  }
}
