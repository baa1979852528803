package nodeward.bench;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.TimeUnit;
import nodeward.aws.FakeImds;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import nodeward.e2e.AgentIdentity;

/**
 * From a spot notice in instance metadata to the cordon and to the last of thirty pods gone, each
 * of which ends one second after its eviction: the agent with all kinds of notice on beside
 * aws-node-termination-handler as it comes, on the same API server, in turns. The cordon's time is
 * the API server's own.
 */
final class GoingAway implements Area {
  private static final int PODS = 30;
  private static final int ROUNDS = 3;
  private static final Duration IDLE = Duration.ofMinutes(2);
  private static final Duration LIMIT = Duration.ofMinutes(2);
  private static final Duration POLL = Duration.ofSeconds(5);
  private static final String IN_CLUSTER = "/run/secrets/kubernetes.io/serviceaccount";
  private static final String PEER = Peers.TERMINATION_HANDLER;

  private int nodes;

  /** One node's end; times are milliseconds since the notice was there to be read. */
  private record Run(double cordoned, double gone, int requests, OptionalDouble metadata) {}

  @Override
  public String name() {
    return "termination";
  }

  @Override
  public List<Figure> measure(Setting setting) throws IOException, InterruptedException {
    var figures = new ArrayList<Figure>();
    if (!Setting.hasCluster()) {
      setting.say("the termination is not measured: there is no real API server");
      return figures;
    }
    boolean peer = Files.isExecutable(setting.peers().resolve(PEER));
    if (!peer) {
      setting.say("%s is not measured: there is no binary of it", PEER);
    }
    var ours = new ArrayList<Run>();
    var theirs = new ArrayList<Run>();
    try (var plane = ControlPlane.start(setting.directory().resolve("plane"))) {
      AgentIdentity.grant(plane);
      plane.apply(
          """
          apiVersion: v1
          kind: ServiceAccount
          metadata: {name: peer, namespace: default}
          ---
          apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRoleBinding
          metadata: {name: peer}
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
          subjects: [{kind: ServiceAccount, name: peer, namespace: default}]
          """);
      for (int round = 0; round < ROUNDS; round++) {
        setting.say("a spot notice for %d pods, round %d of %d", PODS, round + 1, ROUNDS);
        ours.add(run(setting, plane, AgentIdentity.USER_AGENT, round));
        if (peer) {
          theirs.add(run(setting, plane, PEER, round));
        }
      }
    }
    figures.add(
        figure("notice visible to cordoned, slowest", "ms", ours, theirs, Run::cordoned)
            .atMost(POLL.toMillis() + 300));
    figures.add(
        figure("cordoned to 30 pods gone, slowest", "ms", ours, theirs, r -> r.gone - r.cordoned)
            .atMost(2000));
    figures.add(figure("notice visible to 30 pods gone, slowest", "ms", ours, theirs, Run::gone));
    figures.add(
        figure("API requests for that, most", "", ours, theirs, r -> r.requests).atMost(45));
    figures.add(
        figure(
                "requests to instance metadata in an idle minute",
                "",
                ours,
                theirs,
                r -> r.metadata.orElse(0))
            .atMost(48));
    return figures;
  }

  /** A number of one run. */
  private interface Number {
    double of(Run run);
  }

  private static Figure figure(
      String name, String unit, List<Run> ours, List<Run> theirs, Number number) {
    Figure figure =
        Figure.of(name, unit, ours.stream().mapToDouble(number::of).max().orElseThrow());
    return theirs.isEmpty()
        ? figure
        : figure.beside(PEER, theirs.stream().mapToDouble(number::of).max());
  }

  private Run run(Setting setting, ControlPlane plane, String who, int round)
      throws IOException, InterruptedException {
    String node = "going-" + nodes++;
    plane.post(
        "/api/v1/nodes",
        """
        {"metadata":{"name":"%1$s","labels":{"kubernetes.io/hostname":"%1$s"}},
         "spec":{"providerID":"aws:///eu-west-1a/%2$s"}}
        """
            .formatted(node, FakeImds.INSTANCE_ID));
    plane.post("/api/v1/namespaces", "{\"metadata\":{\"name\":\"%s\"}}".formatted(node));
    for (int i = 0; i < PODS; i++) {
      Draining.pod(plane, node, "p" + i);
    }
    Path log = setting.directory().resolve(node + ".log");
    Files.createFile(log);
    try (var imds = FakeImds.start().targetState("InService")) {
      Process process =
          ControlPlane.exec(
              (who.equals(PEER)
                      ? peer(setting, plane, node, imds)
                      : agent(setting, plane, node, imds))
                  .redirectErrorStream(true)
                  .redirectOutput(log.toFile()));
      try {
        BenchNode.await(who + " reads notices", () -> imds.requests(FakeImds.SPOT) > 1);
        OptionalDouble metadata = OptionalDouble.empty();
        if (round == 0) {
          int before = imds.requests();
          TimeUnit.NANOSECONDS.sleep(IDLE.toNanos());
          metadata = OptionalDouble.of((imds.requests() - before) / (double) IDLE.toMinutes());
        }
        // Not in step with anybody's polling.
        TimeUnit.MILLISECONDS.sleep(700L * round);
        Instant visible;
        double gone;
        try (var pods = new EndingPods(plane, node, PODS)) {
          visible = Instant.now();
          imds.spotNotice("terminate", visible.plusSeconds(120));
          pods.awaitGone(LIMIT);
          gone = Duration.between(visible, Instant.now()).toNanos() / 1e6;
        }
        List<AuditEntry> requests =
            plane.audit(who).stream().filter(e -> !e.received().isBefore(visible)).toList();
        Optional<AuditEntry> cordon =
            requests.stream()
                .filter(e -> e.verb().equals("patch") && e.resource().equals("nodes"))
                .filter(e -> e.subresource().isEmpty())
                .filter(e -> e.name().equals(node) && e.code() == 200)
                .findFirst();
        return new Run(
            Duration.between(visible, cordon.orElseThrow().stageReached()).toNanos() / 1e6,
            gone,
            requests.size(),
            metadata);
      } finally {
        process.destroyForcibly();
        process.waitFor(10, TimeUnit.SECONDS);
      }
    }
  }

  private static ProcessBuilder agent(
      Setting setting, ControlPlane plane, String node, FakeImds imds) throws IOException {
    Path own = Files.createDirectories(setting.directory().resolve(node));
    int adminPort;
    try (var socket = new ServerSocket(0)) {
      adminPort = socket.getLocalPort();
    }
    Path config =
        Files.writeString(
            own.resolve("config.yaml"),
            """
            node: {name: %1$s}
            kubernetes: {kubeconfig: %2$s}
            aws: {metadataEndpoint: "%3$s"}
            gate: {enabled: false}
            metadata: {enabled: false}
            termination: {rebalance: {action: cordon}}
            admin: {listen: "127.0.0.1:%4$d"}
            control: {socket: %5$s/control.sock}
            state: {directory: %5$s}
            """
                .formatted(
                    node,
                    plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS),
                    imds.endpoint(),
                    adminPort,
                    own));
    return new ProcessBuilder(setting.agent().toString(), "run", "--config", config.toString());
  }

  /** Its client knows no kubeconfig, so it sees a pod's token in a mount namespace of its own. */
  private static ProcessBuilder peer(
      Setting setting, ControlPlane plane, String node, FakeImds imds) throws IOException {
    String token =
        plane
            .post("/api/v1/namespaces/default/serviceaccounts/peer/token", "{\"spec\":{}}")
            .at("/status/token")
            .asText();
    Path file = Files.writeString(setting.directory().resolve(node + ".token"), token);
    var builder =
        new ProcessBuilder(
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-euc",
            "mount -t tmpfs none /run; mkdir -p %1$s; cp %2$s %1$s/token; cp %3$s %1$s/ca.crt; exec \"$0\""
                .formatted(IN_CLUSTER, file, plane.caCertificate()),
            setting.peers().resolve(PEER).toString());
    builder
        .environment()
        .putAll(
            Map.of(
                "NODE_NAME",
                node,
                "KUBERNETES_SERVICE_HOST",
                "127.0.0.1",
                "KUBERNETES_SERVICE_PORT",
                Integer.toString(plane.server().getPort()),
                "INSTANCE_METADATA_URL",
                imds.endpoint().toString()));
    return builder;
  }
}
