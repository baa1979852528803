package nodeward.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/**
 * A real Kubernetes control plane on free ports of this machine: etcd, kube-apiserver and the parts
 * asked for, with certificates, Node and RBAC authorization and an audit log of its own. All state
 * and the log of every process is in the directory it was started in; nothing outlives {@link
 * #close} or the JVM. Not for use by several threads.
 */
public final class ControlPlane implements AutoCloseable {

  /** What runs besides etcd and the API server. */
  public enum Part {
    /** Makes pods from DaemonSets and Deployments, service accounts, taints by condition. */
    CONTROLLERS,
    SCHEDULER,
    /** Plays the kubelet of the nodes made by {@link #addFakeNode}. */
    KWOK
  }

  /** Where a node in a namespace of its own finds this machine, and so the API server. */
  static final String HOST_ADDRESS = "10.213.0.1";

  private static final String SERVICE_ADDRESSES = "10.96.0.0/16";
  private static final String API_SERVICE_ADDRESS = "10.96.0.1";
  private static final String ADMINISTRATORS = "system:masters";
  private static final String ADMINISTRATOR = "admin";

  private static final Duration START_LIMIT = Duration.ofSeconds(60);
  private static final Duration REQUEST_LIMIT = Duration.ofSeconds(30);

  // Below the kernel's ephemeral ports: while the API server is down between two starts, one of
  // those could become some client's own port.
  private static final int FIRST_PORT = 20_000;
  private static final int PORTS = 10_000;

  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path directory;
  private final Set<Part> parts;
  private final Map<String, Daemon> daemons = new LinkedHashMap<>();
  private final int etcdPort = freePort();
  private final int apiPort = freePort();
  private final Pki pki;
  private final HttpClient http;

  private ControlPlane(Path directory, Set<Part> parts) throws IOException {
    this.directory = Files.createDirectories(directory).toAbsolutePath();
    this.parts = parts;
    pki = new Pki(this.directory.resolve("pki"));
    pki.issueServer(
        "kube-apiserver",
        "DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:%s,IP:%s"
            .formatted(HOST_ADDRESS, API_SERVICE_ADDRESS));
    pki.issueClient("service-accounts", "service-accounts", List.of());
    pki.issueClient(ADMINISTRATOR, ADMINISTRATOR, List.of(ADMINISTRATORS));
    http =
        HttpClient.newBuilder()
            .sslContext(pki.tls(ADMINISTRATOR))
            .connectTimeout(REQUEST_LIMIT)
            .build();
  }

  public static ControlPlane start(Path directory, Part... parts) throws IOException {
    var plane = new ControlPlane(directory, Set.copyOf(Arrays.asList(parts)));
    try {
      plane.startEtcd();
      plane.startApiServer();
      plane.startParts();
      return plane;
    } catch (Throwable e) {
      try (plane) {
        throw e;
      }
    }
  }

  public URI server() {
    return URI.create("https://127.0.0.1:" + apiPort);
  }

  /** The API server as {@link RealNode}s and their pods reach it. */
  URI serverFromNodes() {
    return URI.create("https://" + HOST_ADDRESS + ":" + apiPort);
  }

  Path directory() {
    return directory;
  }

  public Path auditLog() {
    return directory.resolve("audit.log");
  }

  public Path caCertificate() {
    return pki.certificate("ca");
  }

  public Path adminKubeconfig() throws IOException {
    return kubeconfig(ADMINISTRATOR, List.of(ADMINISTRATORS));
  }

  /**
   * A kubeconfig, complete in itself, with a client certificate for the user. For use on this
   * machine.
   */
  public Path kubeconfig(String user, List<String> groups) throws IOException {
    return kubeconfig(user, groups, server());
  }

  Path kubeconfig(String user, List<String> groups, URI server) throws IOException {
    String identity = user + String.join("", groups.stream().map(group -> "+" + group).toList());
    String file = identity.replaceAll("[^A-Za-z0-9.+-]", "_");
    Path kubeconfig = directory.resolve(file + "@" + server.getHost() + ".kubeconfig");
    if (Files.exists(kubeconfig)) {
      return kubeconfig;
    }
    pki.issueClient(file, user, groups);
    return Files.writeString(
        kubeconfig,
        """
        apiVersion: v1
        kind: Config
        clusters:
        - name: test
          cluster:
            server: %s
            certificate-authority-data: %s
        users:
        - name: test
          user:
            client-certificate-data: %s
            client-key-data: %s
        contexts:
        - name: test
          context: {cluster: test, user: test}
        current-context: test
        """
            .formatted(
                server,
                base64(Files.readString(caCertificate())),
                base64(Files.readString(pki.certificate(file))),
                base64(pki.kubeletStyleKey(file))));
  }

  /** Starts a process on this machine that does not outlive the JVM; its owner ends it before. */
  public static Process exec(ProcessBuilder builder) throws IOException {
    return Daemon.spawn(builder);
  }

  /** Runs kubectl as administrator and returns what it prints. */
  public String kubectl(String... arguments) throws IOException {
    return kubectlWith("", arguments);
  }

  /** {@code kubectl apply} of the manifests. */
  public String apply(String yaml) throws IOException {
    return kubectlWith(yaml, "apply", "-f", "-");
  }

  /**
   * The object or list at a path of the API, asked for as administrator; much cheaper than kubectl.
   */
  public JsonNode get(String path) throws IOException {
    return JSON.readTree(read(path));
  }

  /** Creates an object in a collection of the API, as administrator. */
  public JsonNode post(String path, String json) throws IOException {
    return JSON.readTree(
        send("POST", path, HttpRequest.BodyPublishers.ofString(json), "application/json"));
  }

  /** kubectl as administrator, for those who run it themselves. */
  public List<String> kubectlCommand(String... arguments) throws IOException {
    var command =
        new ArrayList<>(
            List.of(
                binary("kubectl").toString(),
                "--kubeconfig=" + adminKubeconfig(),
                "--cache-dir=" + directory.resolve("kubectl-cache")));
    command.addAll(List.of(arguments));
    return command;
  }

  /** A merge patch of the object at a path of the API, as administrator. */
  public JsonNode patch(String path, String json) throws IOException {
    return JSON.readTree(
        send(
            "PATCH",
            path,
            HttpRequest.BodyPublishers.ofString(json),
            "application/merge-patch+json"));
  }

  /**
   * The lines of a watch, as administrator, until the stream is closed; reading it waits for more.
   */
  public Stream<String> watch(String path) throws IOException {
    HttpRequest request =
        HttpRequest.newBuilder(server().resolve(path))
            .header("User-Agent", "test-control-plane")
            .build();
    try {
      HttpResponse<Stream<String>> response =
          http.send(request, HttpResponse.BodyHandlers.ofLines());
      if (response.statusCode() != 200) {
        throw new IOException("watch of " + path + ": " + response.statusCode());
      }
      return response.body();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted in the watch of " + path, e);
    }
  }

  public void delete(String path) throws IOException {
    send("DELETE", path, HttpRequest.BodyPublishers.noBody(), "application/json");
  }

  /**
   * The requests of clients whose User-Agent starts so, each once, in the order of their arrival.
   */
  public List<AuditEntry> audit(String userAgentPrefix) throws IOException {
    String wanted = "\"userAgent\":\"" + userAgentPrefix;
    var entries = new LinkedHashMap<String, AuditEntry>();
    try (Stream<String> lines = Files.lines(auditLog())) {
      for (String line : (Iterable<String>) lines.filter(l -> l.contains(wanted))::iterator) {
        // The last line may be half written.
        if (line.endsWith("}")) {
          AuditEntry entry = AuditEntry.of(JSON.readTree(line));
          entries.put(entry.id(), entry);
        }
      }
    }
    return List.copyOf(entries.values());
  }

  /** A node that {@link Part#KWOK} keeps Ready and whose pods it runs and ends. */
  public void addFakeNode(String name) throws IOException {
    apply(
        """
        apiVersion: v1
        kind: Node
        metadata:
          name: %s
          labels: {kubernetes.io/hostname: %1$s}
          annotations: {kwok.x-k8s.io/node: fake}
        """
            .formatted(name));
  }

  public void startApiServer() throws IOException {
    Path policy =
        Files.writeString(
            directory.resolve("audit-policy.yaml"),
            """
            apiVersion: audit.k8s.io/v1
            kind: Policy
            omitStages: [RequestReceived]
            rules: [{level: Metadata}]
            """);
    var arguments =
        new ArrayList<>(
            List.of(
                "--etcd-servers=http://127.0.0.1:" + etcdPort,
                "--bind-address=0.0.0.0",
                "--advertise-address=" + HOST_ADDRESS,
                "--secure-port=" + apiPort,
                "--tls-cert-file=" + pki.certificate("kube-apiserver"),
                "--tls-private-key-file=" + pki.key("kube-apiserver"),
                "--client-ca-file=" + pki.certificate("ca"),
                "--kubelet-client-certificate=" + pki.certificate(ADMINISTRATOR),
                "--kubelet-client-key=" + pki.key(ADMINISTRATOR),
                "--kubelet-preferred-address-types=InternalIP",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-key-file=" + pki.certificate("service-accounts"),
                "--service-account-signing-key-file=" + pki.key("service-accounts"),
                "--service-cluster-ip-range=" + SERVICE_ADDRESSES,
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                // SIGTERM ends open watches after this; without it, it waits for them for a minute.
                "--shutdown-watch-termination-grace-period=1s",
                "--audit-policy-file=" + policy,
                "--audit-log-path=" + auditLog(),
                "--audit-log-maxsize=2000"));
    if (!parts.contains(Part.CONTROLLERS)) {
      // Nobody makes the service accounts that the plugin would ask every pod for.
      arguments.add("--disable-admission-plugins=ServiceAccount");
    }
    Daemon apiServer = launch("kube-apiserver", arguments);
    apiServer.awaitReady(START_LIMIT, () -> "ok".equals(read("/readyz")));
    // Made by the API server itself, some time after it is ready for the first time.
    apiServer.awaitReady(START_LIMIT, () -> !get("/api/v1/namespaces/default").isEmpty());
  }

  public void stopApiServer() {
    daemons.get("kube-apiserver").stop();
  }

  /** SIGKILL: no goodbye to any client. */
  public void killApiServer() {
    daemons.get("kube-apiserver").kill();
  }

  /**
   * Starts the API server anew on an etcd that has forgotten all that was before the last write: a
   * watch from before that is answered with 410 Gone.
   */
  public void forgetHistory() throws IOException {
    String revision = get("/api/v1/namespaces").at("/metadata/resourceVersion").asText();
    killApiServer();
    send(
        URI.create("http://127.0.0.1:" + etcdPort + "/v3/kv/compaction"),
        "POST",
        HttpRequest.BodyPublishers.ofString(
            "{\"revision\": \"%s\", \"physical\": true}".formatted(revision)),
        "application/json");
    startApiServer();
  }

  @Override
  public void close() {
    boolean interrupted = Thread.interrupted();
    for (Daemon daemon : daemons.values()) {
      daemon.kill();
    }
    http.shutdownNow();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static String base64(String text) {
    return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.US_ASCII));
  }

  private void startEtcd() throws IOException {
    String peers = "http://127.0.0.1:" + freePort();
    String clients = "http://127.0.0.1:" + etcdPort;
    Daemon etcd =
        launch(
            "etcd",
            List.of(
                "--data-dir=" + directory.resolve("etcd"),
                "--unsafe-no-fsync",
                "--listen-client-urls=" + clients,
                "--advertise-client-urls=" + clients,
                "--listen-peer-urls=" + peers,
                "--initial-advertise-peer-urls=" + peers,
                "--initial-cluster=default=" + peers));
    etcd.awaitReady(
        START_LIMIT,
        () -> {
          try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), etcdPort)) {
            return socket.isConnected();
          }
        });
  }

  private void startParts() throws IOException {
    String kubeconfig = "--kubeconfig=" + adminKubeconfig();
    if (parts.contains(Part.CONTROLLERS)) {
      launch("kube-controller-manager", controllerArguments(kubeconfig));
    }
    if (parts.contains(Part.SCHEDULER)) {
      launch(
          "kube-scheduler",
          List.of(
              kubeconfig,
              kubeconfig.replace("--", "--authentication-"),
              kubeconfig.replace("--", "--authorization-"),
              "--bind-address=127.0.0.1",
              "--secure-port=" + freePort(),
              "--leader-elect=false",
              "--kube-api-qps=300",
              "--kube-api-burst=300"));
    }
    if (parts.contains(Part.KWOK)) {
      launch(
          "kwok",
          List.of(
              kubeconfig,
              "--config=" + binary("kwok-stages.yaml"),
              "--manage-all-nodes=false",
              "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
              "--node-lease-duration-seconds=0"));
    }
    if (parts.contains(Part.CONTROLLERS)) {
      daemons
          .get("kube-controller-manager")
          .awaitReady(
              START_LIMIT,
              () -> !get("/api/v1/namespaces/default/serviceaccounts/default").isEmpty());
    }
  }

  private List<String> controllerArguments(String kubeconfig) throws IOException {
    var arguments =
        new ArrayList<>(
            List.of(
                kubeconfig,
                kubeconfig.replace("--", "--authentication-"),
                kubeconfig.replace("--", "--authorization-"),
                "--bind-address=127.0.0.1",
                "--secure-port=" + freePort(),
                "--leader-elect=false",
                "--root-ca-file=" + pki.certificate("ca"),
                "--service-account-private-key-file=" + pki.key("service-accounts"),
                // The default of 20 a second makes 100 pods appear over 30 s.
                "--kube-api-qps=300",
                "--kube-api-burst=300"));
    if (parts.contains(Part.KWOK)) {
      // Nobody renews the leases of fake nodes; without this their pods turn unready after 50 s.
      arguments.add("--node-monitor-grace-period=24h");
    }
    return arguments;
  }

  private Daemon launch(String name, List<String> arguments) throws IOException {
    var command = new ArrayList<>(List.of(binary(name).toString()));
    command.addAll(arguments);
    Daemon daemon = Daemon.start(name, directory, command);
    daemons.put(name, daemon);
    return daemon;
  }

  private String kubectlWith(String input, String... arguments) throws IOException {
    return Command.run(kubectlCommand(arguments), input);
  }

  private String read(String path) throws IOException {
    return send("GET", path, HttpRequest.BodyPublishers.noBody(), "application/json");
  }

  private String send(
      String method, String path, HttpRequest.BodyPublisher body, String contentType)
      throws IOException {
    return send(server().resolve(path), method, body, contentType);
  }

  private String send(
      URI address, String method, HttpRequest.BodyPublisher body, String contentType)
      throws IOException {
    HttpRequest request =
        HttpRequest.newBuilder(address)
            .method(method, body)
            .header("Content-Type", contentType)
            .header("User-Agent", "test-control-plane")
            .timeout(REQUEST_LIMIT)
            .build();
    try {
      HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
      if (response.statusCode() >= 300) {
        throw new IOException(
            "%s %s: %d %s"
                .formatted(method, address.getPath(), response.statusCode(), response.body()));
      }
      return response.body();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted in " + method + " " + address.getPath(), e);
    }
  }

  /** A file of the directory that {@code src/test/cluster/build} fills. */
  static Path binary(String name) throws IOException {
    String directory =
        Optional.ofNullable(System.getProperty("CLUSTER_BIN"))
            .or(() -> Optional.ofNullable(System.getenv("CLUSTER_BIN")))
            .orElseThrow(
                () -> new IOException("CLUSTER_BIN is not set: build with src/test/cluster/build"));
    Path file = Path.of(directory, name);
    if (!Files.isReadable(file)) {
      throw new IOException(file + " is missing: build with src/test/cluster/build");
    }
    return file;
  }

  private static int freePort() throws IOException {
    while (true) {
      int port = FIRST_PORT + ThreadLocalRandom.current().nextInt(PORTS);
      try (var socket = new ServerSocket(port)) {
        return socket.getLocalPort();
      } catch (java.net.BindException e) {
        // Taken: the next draw.
      }
    }
  }
}
