package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.LongSummaryStatistics;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import nodeward.aws.FakeImds;
import nodeward.aws.FakeSts;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Manifests;
import nodeward.cluster.Poll;
import nodeward.cluster.RealNode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** Who asks, on a real kubelet and containerd: a burst, an API server that is gone, restarts. */
@Tag("e2e")
final class IdentityE2eTest {
  private static final Duration SOON = Duration.ofSeconds(90);
  private static final int ADMIN_PORT = 9821;
  private static final int PROXY_PORT = 8181;
  private static final int BURST = 20;
  private static final String NODE = "identity";
  private static final String KEYS =
      "http://169.254.169.254/latest/meta-data/iam/security-credentials";
  private static final JsonMapper JSON = JsonMapper.builder().build();

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private FakeImds imds;
  private FakeSts sts;
  private RealNode node;
  private PackagedAgent agent;

  @BeforeEach
  void start() throws IOException {
    plane =
        ControlPlane.start(
            directory.resolve("plane"), ControlPlane.Part.CONTROLLERS, ControlPlane.Part.SCHEDULER);
    AgentIdentity.grant(plane);
    var everywhere = new InetSocketAddress("0.0.0.0", 0);
    imds = FakeImds.start(everywhere);
    sts = FakeSts.start(everywhere);
    node = RealNode.start(plane, NODE, List.of());
    agent = PackagedAgent.on(node, directory.resolve("agent.log"), ADMIN_PORT);
    Path etc = Files.createDirectories(node.path("/etc/nodeward"));
    Files.copy(
        node.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS), etc.resolve("kubeconfig"));
    Files.writeString(
        etc.resolve("config.yaml"),
        """
        node: {name: %1$s}
        kubernetes: {kubeconfig: /etc/nodeward/kubeconfig}
        aws: {metadataEndpoint: "http://%2$s:%3$d", stsEndpoint: "http://%2$s:%4$d"}
        gate: {enabled: false}
        termination: {enabled: false}
        metadata: {interceptInterfaces: [%5$s]}
        admin: {listen: "%6$s:%7$d"}
        """
            .formatted(
                NODE,
                node.hostAddress(),
                imds.port(),
                sts.port(),
                node.podBridge(),
                node.nodeAddress(),
                ADMIN_PORT));
    agent.start();
    agent.await("the agent is ready", SOON, agent::isReady);
    agent.await("the node is Ready", SOON, node::isReady);
  }

  @AfterEach
  void stop() {
    List<AutoCloseable> all = new ArrayList<>();
    for (AutoCloseable each : new AutoCloseable[] {agent, node, plane, sts, imds}) {
      if (each != null) {
        all.add(each);
      }
    }
    assertThat(all).allSatisfy(AutoCloseable::close);
  }

  @Test
  void aBurstOfPodsIsServedAtTheFirstTryAndStillWithoutApiServerAndAfterRestarts()
      throws Exception {
    twentyPodsWhoseFirstActIsToAsk();
    theRuntimeIsAskedCheaply();
    restarts();
    startWithoutApiServer();
    restartsWithTheSocketHeld();
  }

  private void twentyPodsWhoseFirstActIsToAsk() throws Exception {
    plane.apply(
        IntStream.rangeClosed(1, BURST).mapToObj(this::pod).collect(Collectors.joining("---\n")));
    var slowest = new TreeMap<String, LongSummaryStatistics>();
    int again = 0;
    for (int i = 1; i <= BURST; i++) {
      JsonNode session = logOf("burst-" + i);
      for (String request : List.of("token", "role", "credentials")) {
        JsonNode answer = session.path(request);
        assertThat(answer.path("status").asInt())
            .as("%s of %d: %s", request, i, session)
            .isEqualTo(200);
        again += answer.path("tries").asInt() - 1;
        slowest
            .computeIfAbsent(request, r -> new LongSummaryStatistics())
            .accept(answer.path("millis").asLong());
      }
      assertThat(session.at("/role/body").asText()).isEqualTo("role-" + i);
    }
    // A machine that does more than this starts twenty pods too slowly for one or the other.
    assertThat(again).as("tries after the first, of %d requests", 3 * BURST).isLessThanOrEqualTo(2);
    var keys = new HashSet<String>();
    sts.assumptions().forEach(a -> keys.add(a.role() + " " + a.sessionName()));
    assertThat(keys).hasSize(BURST);
    assertThat(sts.assumptions()).hasSize(BURST);
    System.out.printf("identity: %d pods in a burst, %d second tries%n", BURST, again);
    slowest.forEach(
        (request, ms) ->
            System.out.printf(
                "identity: %s ms least %d, mean %.0f, most %d%n",
                request, ms.getMin(), ms.getAverage(), ms.getMax()));
    System.out.printf(
        "identity: %.0f held, %.0f questions for the runtime, on average %.1f ms%n",
        agent.metric("nodeward_metadata_hold_seconds_count"),
        agent.metric("nodeward_metadata_runtime_seconds_count"),
        1000
            * agent.metric("nodeward_metadata_runtime_seconds_sum")
            / agent.metric("nodeward_metadata_runtime_seconds_count"));
  }

  /** What a question for the runtime costs once nothing is starting. */
  private void theRuntimeIsAskedCheaply() throws Exception {
    double count = agent.metric("nodeward_metadata_runtime_seconds_count");
    double sum = agent.metric("nodeward_metadata_runtime_seconds_sum");
    for (int i = 1; i <= 10; i++) {
      assertThat(ask("burst-" + i, KEYS + "/")).startsWith("200 role-" + i);
    }
    count = agent.metric("nodeward_metadata_runtime_seconds_count") - count;
    sum = agent.metric("nodeward_metadata_runtime_seconds_sum") - sum;
    System.out.printf(
        "identity: %.0f more questions, on average %.1f ms%n", count, 1000 * sum / count);
    assertThat(count).isBetween(1.0, 20.0);
  }

  /** Without a socket that is held: refused from the end of one agent to the start of the next. */
  private void restarts() throws Exception {
    for (String how : List.of("SIGTERM", "SIGKILL")) {
      var refused = new Refusals(new InetSocketAddress(node.nodeAddress(), PROXY_PORT));
      if (how.equals("SIGTERM")) {
        assertThat(agent.stop()).isZero();
      } else {
        agent.close();
      }
      agent.start();
      agent.await("pods are served again after " + how, SOON, refused::areOver);
      System.out.printf("identity: %s and start: refused for %s%n", how, refused.longest());
      agent.await("the agent is ready", SOON, agent::isReady);
      assertThat(ask("burst-1", KEYS + "/role-1")).startsWith("200 {");
    }
  }

  /** Only the runtime can tell who asks; the pods are asked to ask past the API server too. */
  private void startWithoutApiServer() throws Exception {
    String container =
        plane
            .get("/api/v1/namespaces/default/pods/burst-7")
            .at("/status/containerStatuses/0/containerID")
            .asText()
            .replace("containerd://", "");
    plane.stopApiServer();
    assertThat(agent.stop()).isZero();
    int before = sts.assumptions().size();
    agent.start();
    agent.await(
        "the agent serves", SOON, () -> agent.part("metadata").path("pods").asInt() >= BURST);
    assertThat(agent.part("pods").path("watching").asBoolean()).isFalse();

    String answer =
        node.run(
            "ctr",
            "-n",
            "k8s.io",
            "tasks",
            "exec",
            "--exec-id",
            "ask",
            container,
            "/podtool",
            "http-get",
            KEYS + "/",
            KEYS + "/role-7",
            KEYS + "/role-8");

    assertThat(answer.lines().filter(line -> !line.isBlank()))
        .satisfiesExactly(
            list -> assertThat(list).startsWith("200 role-7"),
            own -> assertThat(own).startsWith("200 {").contains("AccessKeyId"),
            other -> assertThat(other).startsWith("404 "));
    assertThat(agent.page("/healthz").code()).isEqualTo(200);
    assertThat(sts.assumptions().size()).isGreaterThan(before);
  }

  /**
   * As nodeward.socket and Restart=always do: whoever connects is never refused, and is answered by
   * the next agent.
   */
  private void restartsWithTheSocketHeld() throws Exception {
    assertThat(agent.stop()).isZero();
    List<String> command = PackagedAgent.command("run", List.of());
    var held = new ArrayList<>(command.subList(0, 4));
    held.addAll(List.of("LISTEN_FDS=1", "LISTEN_PID=$$"));
    held.addAll(command.subList(4, command.size()));
    String once = "echo $$ >/run/agent.pid; exec " + String.join(" ", held);
    Files.writeString(node.path("/etc/nodeward/once"), once);
    ProcessBuilder holder =
        node.command(
            "systemd-socket-activate",
            "-l",
            "0.0.0.0:" + PROXY_PORT,
            "sh",
            "-c",
            "while :; do sh /etc/nodeward/once; done");
    holder
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(directory.resolve("held.log").toFile()));
    Process systemd = node.exec(holder);
    try {
      var proxy = new InetSocketAddress(node.nodeAddress(), PROXY_PORT);
      Poll.until("the agent that systemd started answers", SOON, () -> Refusals.answered(proxy));
      for (String signal : List.of("TERM", "KILL")) {
        String pid = Files.readString(node.path("/run/agent.pid")).strip();
        var refused = new Refusals(proxy);
        node.run("kill", "-" + signal, pid);
        Poll.until(
            "the next agent runs",
            SOON,
            () -> !Files.readString(node.path("/run/agent.pid")).strip().equals(pid));
        Poll.until("the next agent answers", SOON, () -> Refusals.answered(proxy));
        System.out.printf(
            "identity: SIG%s with the socket held: refused for %s, slowest answer %s%n",
            signal, refused.longest(), refused.slowest());
        assertThat(refused.longest()).isZero();
      }
    } finally {
      systemd.destroyForcibly();
      Poll.until(
          "the last agent is gone",
          SOON,
          () -> {
            String pid = Files.readString(node.path("/run/agent.pid")).strip();
            node.exec("kill", "-KILL", pid).waitFor();
            return !Files.exists(node.path("/proc/" + pid));
          });
    }
  }

  /** Connects every few milliseconds and remembers for how long that was refused. */
  private static final class Refusals {
    private final InetSocketAddress address;
    private final Thread thread;
    // Written by the thread, read by the test.
    private volatile Duration longest = Duration.ZERO;
    private volatile Duration slowest = Duration.ZERO;
    private volatile boolean refusing;
    private volatile boolean over;

    Refusals(InetSocketAddress address) {
      this.address = address;
      this.thread = Thread.ofPlatform().daemon().start(this::run);
    }

    boolean areOver() {
      return over && !refusing;
    }

    Duration longest() throws InterruptedException {
      thread.interrupt();
      thread.join();
      return longest;
    }

    /** The longest that anybody waited from connecting to the answer. */
    Duration slowest() {
      return slowest;
    }

    /** Whether a request that is refused whoever sends it has an answer. */
    static boolean answered(InetSocketAddress proxy) throws IOException {
      try (var socket = new Socket()) {
        socket.connect(proxy, 5_000);
        return answered(socket);
      }
    }

    private static boolean answered(Socket socket) throws IOException {
      socket.setSoTimeout(20_000);
      socket
          .getOutputStream()
          .write("GET / HTTP/1.1\r\nHost: foreign\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      return socket.getInputStream().read() == 'H';
    }

    private void run() {
      long since = 0;
      while (!Thread.currentThread().isInterrupted()) {
        try (var socket = new Socket()) {
          long began = System.nanoTime();
          socket.connect(address, 5_000);
          if (!refusing && answered(socket)) {
            var taken = Duration.ofNanos(System.nanoTime() - began);
            slowest = taken.compareTo(slowest) > 0 ? taken : slowest;
          }
          if (refusing) {
            var gap = Duration.ofNanos(System.nanoTime() - since);
            longest = gap.compareTo(longest) > 0 ? gap : longest;
            over = true;
            refusing = false;
          }
        } catch (ConnectException e) {
          if (!refusing) {
            since = System.nanoTime();
            refusing = true;
          }
        } catch (IOException cutOff) {
          // The agent was stopped while it answered; that is no refusal.
          continue;
        }
        try {
          TimeUnit.MILLISECONDS.sleep(5);
        } catch (InterruptedException e) {
          return;
        }
      }
    }
  }

  private String pod(int number) {
    return """
    apiVersion: v1
    kind: Pod
    metadata:
      name: burst-%1$d
      annotations: {iam.amazonaws.com/role: role-%1$d}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations: [{operator: Exists}]
      containers:
      - {name: main, image: %2$s, imagePullPolicy: Never, args: [imds]}
    """
        .formatted(number, Manifests.PODTOOL_IMAGE);
  }

  private JsonNode logOf(String pod) throws IOException {
    Poll.until(
        pod + " has logged",
        SOON,
        () -> {
          try {
            return !plane.kubectl("logs", pod).isEmpty();
          } catch (IOException notStartedYet) {
            return false;
          }
        });
    return JSON.readTree(plane.kubectl("logs", pod));
  }

  private String ask(String pod, String url) throws IOException {
    return plane.kubectl("exec", pod, "--", "/podtool", "http-get", url);
  }
}
