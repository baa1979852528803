package nodeward.simulator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import nodeward.aws.FakeAutoScaling;
import nodeward.aws.FakeImds;
import nodeward.aws.FakeSts;
import nodeward.kube.FakeApiServer;
import nodeward.linux.FakeCri;
import nodeward.linux.FakeProc;
import nodeward.linux.FakeUnixServer;

/**
 * The world around one real agent: an API server, instance metadata, STS, Auto Scaling, docker and
 * containerd, all served over real sockets of this machine, and the agent itself as a process of
 * its own whose configuration points at them. Needs no root; leaves nothing behind but the agent's
 * log.
 */
public final class SimulatedNode implements AutoCloseable {
  public static final String NAME = "ip-10-0-1-17";
  public static final String GROUP = "workers";
  static final String HOOK = "drain";

  /** The status line and the body of an answer. */
  public record Answer(int code, String body) {}

  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final Duration LIMIT = Duration.ofSeconds(3);

  public final FakeApiServer api;
  public final FakeImds imds;
  public final FakeSts sts;
  public final FakeAutoScaling autoScaling;
  final FakeUnixServer docker;
  final FakeUnixServer containerd;
  public final SimulatedKubelet kubelet;

  private final Path dir;
  private final Path sockets;
  private final Path log;
  private final List<String> command;
  private final FakeProc proc;
  private final int adminPort;
  private final int proxyPort;
  private Process agent;
  private int boots;

  /** Starts everything but the agent. {@code command} is how the agent is run. */
  public SimulatedNode(Path dir, List<String> command) throws IOException {
    this.dir = dir;
    this.command = command;
    this.log = dir.resolve("agent.log");
    this.api = FakeApiServer.start();
    api.put("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}");
    this.imds = FakeImds.start();
    this.sts = FakeSts.start();
    this.autoScaling =
        FakeAutoScaling.start()
            .hook(
                GROUP,
                HOOK,
                FakeAutoScaling.Transition.TERMINATING,
                Duration.ofSeconds(300),
                FakeAutoScaling.Result.CONTINUE)
            .instance(GROUP, FakeImds.INSTANCE_ID);
    this.proc = new FakeProc(Files.createDirectories(dir.resolve("proc")));
    // Socket paths are short by the kernel's rule, which a build directory may be too long for.
    this.sockets = Files.createTempDirectory("nodeward");
    this.docker = FakeUnixServer.docker(sockets.resolve("docker.sock"));
    this.containerd = FakeUnixServer.containerd(sockets.resolve("containerd.sock"));
    this.kubelet = new SimulatedKubelet(api, NAME);
    kubelet.daemonSet("kube-proxy");
    kubelet.daemonSet("kube2iam");
    this.adminPort = free(9821);
    this.proxyPort = free(8181);
    Files.deleteIfExists(log);
    Files.writeString(dir.resolve("docker.pid"), ProcessHandle.current().pid() + "\n");
    Files.writeString(dir.resolve("kubeconfig"), api.kubeconfig());
    Files.writeString(dir.resolve("config.yaml"), configuration());
  }

  private String configuration() {
    return """
    node: {name: %1$s, procRoot: %2$s/proc, criSocket: %7$s/containerd.sock}
    kubernetes: {kubeconfig: %2$s/kubeconfig}
    aws:
      metadataEndpoint: %3$s
      stsEndpoint: %4$s
      autoScalingEndpoint: %5$s
    gate:
      require:
        - {namespace: kube-system, daemonSet: kube-proxy}
        - {namespace: kube-system, daemonSet: kube2iam}
    metadata: {listen: "127.0.0.1:%6$d"}
    conntrack: {interval: 1s}
    runtime:
      interval: 1s
      timeout: 1s
      failures: 2
      dockerSocket: %7$s/docker.sock
      dockerPidFile: %2$s/docker.pid
      kubeletHealth: ""
      systemBus: %2$s/no.bus
      containerdSocket: %7$s/containerd.sock
    termination: {pollInterval: 1s}
    admin: {listen: "127.0.0.1:%8$d"}
    control: {socket: %7$s/control.sock}
    state: {directory: %2$s/state}
    """
        .formatted(
            NAME,
            dir,
            imds.endpoint(),
            sts.endpoint(),
            autoScaling.endpoint(),
            proxyPort,
            sockets,
            adminPort);
  }

  // --- the machine

  /** A new boot of the kernel: another boot id, and the clock of its uptime begins anew. */
  public String powerOn() throws IOException {
    boots++;
    String bootId = "5a3c1b2e-0000-4000-8000-%012d".formatted(boots);
    proc.write("sys/kernel/random/boot_id", bootId + "\n");
    proc.write("stat", "cpu  0 0 0 0\nbtime " + Instant.now().getEpochSecond() + "\n");
    proc.write("uptime", "1.00 1.00\n");
    proc.conntrack(1234, 262144);
    return bootId;
  }

  /** The pods as containerd knows them; a test puts them there. */
  public FakeCri sandboxes() {
    return containerd.sandboxes();
  }

  /** Starts the agent as a process of its own. */
  long startAgent() throws IOException {
    return startAgent(Map.of());
  }

  /** As {@link #startAgent()}, with more in its environment. */
  public long startAgent(Map<String, String> environment) throws IOException {
    var all = new java.util.ArrayList<>(command);
    all.addAll(List.of("run", "--config", dir.resolve("config.yaml").toString()));
    var builder = new ProcessBuilder(all).redirectErrorStream(true);
    builder.redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
    builder.environment().keySet().removeIf(name -> name.startsWith("NODEWARD_"));
    builder.environment().putAll(environment);
    agent = builder.start();
    return agent.pid();
  }

  public boolean agentRuns() {
    return agent != null && agent.isAlive();
  }

  /** Asks the agent to stop, as systemd does, and returns its exit code. */
  public int stopAgent() throws InterruptedException {
    return stopAgent(Duration.ofSeconds(15));
  }

  /** As {@link #stopAgent()}; -1 is an agent that was killed after this time. */
  public int stopAgent(Duration limit) throws InterruptedException {
    agent.destroy();
    if (!agent.waitFor(limit)) {
      agent.destroyForcibly();
      agent.waitFor();
      return -1;
    }
    return agent.exitValue();
  }

  /** The power fails. */
  void killAgent() throws InterruptedException {
    agent.destroyForcibly();
    agent.waitFor();
  }

  // --- what can be seen

  String statusPage() {
    return "http://127.0.0.1:" + adminPort + "/";
  }

  public Path log() {
    return log;
  }

  Path config() {
    return dir.resolve("config.yaml");
  }

  List<String> lastLines(int count) throws IOException {
    List<String> lines = Files.exists(log) ? Files.readAllLines(log) : List.of();
    return lines.subList(Math.max(0, lines.size() - count), lines.size());
  }

  /** The agent's own status, or a missing node while it does not answer. */
  JsonNode status() {
    try {
      return JSON.readTree(get("/status").body());
    } catch (IOException e) {
      return JSON.missingNode();
    }
  }

  /** A page of the agent's admin address. */
  public Answer get(String path) throws IOException {
    var connection =
        (HttpURLConnection) URI.create(statusPage() + path.substring(1)).toURL().openConnection();
    connection.setConnectTimeout((int) LIMIT.toMillis());
    connection.setReadTimeout((int) LIMIT.toMillis());
    int code = connection.getResponseCode();
    try (InputStream in = code < 400 ? connection.getInputStream() : connection.getErrorStream()) {
      return new Answer(code, new String(in.readAllBytes(), StandardCharsets.UTF_8));
    }
  }

  JsonNode node() {
    return api.get("nodes", "", NAME).orElseGet(JSON::missingNode);
  }

  public List<String> taints() {
    var taints = new java.util.ArrayList<String>();
    for (JsonNode taint : node().path("spec").path("taints")) {
      String value = taint.path("value").asText();
      taints.add(
          taint.path("key").asText()
              + (value.isEmpty() ? "" : "=" + value)
              + ":"
              + taint.path("effect").asText());
    }
    return taints;
  }

  boolean cordoned() {
    return node().path("spec").path("unschedulable").asBoolean();
  }

  JsonNode condition(String type) {
    for (JsonNode condition : node().path("status").path("conditions")) {
      if (condition.path("type").asText().equals(type)) {
        return condition;
      }
    }
    return JSON.missingNode();
  }

  // --- what a pod does

  /** Where pods' requests to instance metadata arrive. */
  public InetSocketAddress proxy() {
    return new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), proxyPort);
  }

  /** A request from a pod's own address to instance metadata, as an SDK sends it. */
  Answer fromPod(String address, String method, String path, Map<String, String> headers)
      throws IOException {
    try (var socket = new Socket()) {
      socket.setSoTimeout((int) LIMIT.toMillis());
      socket.bind(new InetSocketAddress(InetAddress.ofLiteral(address), 0));
      socket.connect(proxy(), (int) LIMIT.toMillis());
      var request = new StringBuilder(method + " " + path + " HTTP/1.1\r\n");
      request.append("Host: 169.254.169.254\r\nConnection: close\r\n");
      headers.forEach((name, value) -> request.append(name + ": " + value + "\r\n"));
      OutputStream out = socket.getOutputStream();
      out.write(request.append("\r\n").toString().getBytes(StandardCharsets.US_ASCII));
      out.flush();
      return answer(socket.getInputStream());
    }
  }

  private static Answer answer(InputStream in) throws IOException {
    var reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
    String status = reader.readLine();
    if (status == null) {
      throw new IOException("no answer");
    }
    while (true) {
      String header = reader.readLine();
      if (header == null || header.isEmpty()) {
        break;
      }
    }
    var body = new StringBuilder();
    for (int c = reader.read(); c >= 0; c = reader.read()) {
      body.append((char) c);
    }
    return new Answer(Integer.parseInt(status.split(" ", -1)[1]), body.toString());
  }

  @Override
  public void close() throws IOException {
    if (agentRuns()) {
      try {
        stopAgent();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        agent.destroyForcibly();
      }
    }
    kubelet.close();
    docker.close();
    containerd.close();
    autoScaling.close();
    sts.close();
    imds.close();
    api.close();
    delete(sockets);
  }

  /** Removes the directory with all it holds. */
  public static void delete(Path dir) throws IOException {
    if (Files.exists(dir)) {
      try (var paths = Files.walk(dir)) {
        paths.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
      }
    }
  }

  /** The usual port, or any other where that is taken. */
  private static int free(int usual) throws IOException {
    for (int port : new int[] {usual, 0}) {
      try (var socket = new ServerSocket()) {
        socket.setReuseAddress(true);
        socket.bind(new InetSocketAddress("127.0.0.1", port));
        return socket.getLocalPort();
      } catch (java.net.BindException e) {
        if (port == 0) {
          throw e;
        }
      }
    }
    throw new IOException("no free port");
  }
}
