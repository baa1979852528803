package nodeward.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A real node of a {@link ControlPlane} on this machine: containerd and the kubelet in mount,
 * network, process, IPC and host name namespaces of their own, joined to the machine by one veth
 * pair. Pods have real addresses and the node has its own iptables, {@code /etc}, {@code /run} and
 * {@code /var/lib}. It reaches the machine but nothing beyond it. Not for use by several threads;
 * {@link #close} leaves nothing but the logs.
 */
public final class RealNode implements AutoCloseable {

  private static final Duration START_LIMIT = Duration.ofSeconds(60);

  private final ControlPlane plane;
  private final String name;
  private final List<String> taints;
  private final Path directory;
  private final Path disk;

  // Set by each boot, 0 or null while the node is down.
  private long initPid;
  private NodeLink link;
  private Daemon init;
  private Daemon containerd;
  private Daemon kubelet;

  private RealNode(ControlPlane plane, String name, List<String> taints) throws IOException {
    this.plane = plane;
    this.name = name;
    this.taints = List.copyOf(taints);
    directory = Files.createDirectories(plane.directory().resolve("nodes").resolve(name));
    disk = directory.resolve("disk");
  }

  /** Returns when the node is Ready. Taints are written {@code key=value:Effect}. */
  public static RealNode start(ControlPlane plane, String name, List<String> taints)
      throws IOException {
    var node = new RealNode(plane, name, taints);
    try {
      node.boot();
      node.kubelet.awaitReady(START_LIMIT, node::isReady);
      return node;
    } catch (Throwable e) {
      try (node) {
        throw e;
      }
    }
  }

  public String name() {
    return name;
  }

  /** This machine as the node and its pods reach it; servers for them bind it or all addresses. */
  public String hostAddress() {
    return ControlPlane.HOST_ADDRESS;
  }

  public String nodeAddress() {
    return link.nodeAddress();
  }

  /** The network of the node's pods; this machine has a route to it. */
  public String podNetwork() {
    return link.podNetwork();
  }

  public String podBridge() {
    return NodeFiles.BRIDGE;
  }

  public String containerdSocket() {
    return NodeFiles.CONTAINERD_SOCKET;
  }

  public String bootId() throws IOException {
    return Files.readString(path("/proc/sys/kernel/random/boot_id")).strip();
  }

  /** A file of the node as this machine sees it, while the node is up. */
  public Path path(String onTheNode) {
    return Path.of("/proc", Long.toString(initPid), "root", onTheNode);
  }

  /** A kubeconfig, as {@link ControlPlane#kubeconfig} makes, for a process on the node. */
  public Path kubeconfig(String user, List<String> groups) throws IOException {
    return plane.kubeconfig(user, groups, plane.serverFromNodes());
  }

  /** The user that the node's own kubelet is, with its group. */
  public Path kubeletKubeconfig() throws IOException {
    return kubeconfig("system:node:" + name, List.of("system:nodes"));
  }

  /** A command on the node, to be started with {@link #exec(ProcessBuilder)}. */
  public ProcessBuilder command(String... command) {
    var all =
        new ArrayList<>(
            List.of("nsenter", "-t", Long.toString(initPid), "-m", "-n", "-p", "-u", "-i", "--"));
    all.addAll(List.of(command));
    return new ProcessBuilder(all);
  }

  /**
   * Starts it; the handle is that of the process on the node, with its process id on this machine.
   * It ends with the node.
   */
  public Process exec(ProcessBuilder builder) throws IOException {
    return NodeProcess.of(Daemon.spawn(builder));
  }

  public Process exec(String... command) throws IOException {
    return exec(command(command));
  }

  /** Runs a command on the node to its end and returns what it prints. */
  public String run(String... command) throws IOException {
    return Command.run(command(command).command(), "");
  }

  public ProcessHandle kubelet() {
    return kubelet.handle();
  }

  public ProcessHandle containerd() {
    return containerd.handle();
  }

  /**
   * The way to 169.254.169.254, as an instance has it: to a server of this machine that listens on
   * all addresses. Without it the address leads nowhere. Until the node's next boot.
   */
  public void routeMetadataTo(int port) throws IOException {
    link.routeMetadataTo(port);
  }

  public void killKubelet() {
    kubelet.kill();
  }

  public void startKubelet() throws IOException {
    kubelet =
        launch(
            ControlPlane.binary("kubelet").toString(),
            "--config=/etc/kubernetes/kubelet.yaml",
            "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
            "--hostname-override=" + name,
            "--node-ip=" + nodeAddress());
  }

  /** Containers go on without it. */
  public void killContainerd() {
    containerd.kill();
  }

  public void startContainerd() throws IOException {
    containerd = launch("containerd", "--config=/etc/containerd/config.toml");
    containerd.awaitReady(START_LIMIT, () -> !run("ctr", "version").isEmpty());
  }

  /**
   * A power cut and a start on the same disk: a new boot id, an empty {@code /run}, new network.
   * The node's address may be another one. Returns when the kubelet has reported the new boot and
   * is Ready.
   */
  public void reboot() throws IOException {
    powerOff();
    boot();
    kubelet.awaitReady(START_LIMIT, this::isReady);
  }

  public boolean isReady() throws IOException {
    JsonNode status = plane.get("/api/v1/nodes/" + name).path("status");
    return status.at("/nodeInfo/bootID").asText().equals(bootId()) && isTrue(status, "Ready");
  }

  static boolean isTrue(JsonNode status, String condition) {
    for (JsonNode c : status.path("conditions")) {
      if (c.path("type").asText().equals(condition)) {
        return c.path("status").asText().equals("True");
      }
    }
    return false;
  }

  @Override
  public void close() {
    boolean interrupted = Thread.interrupted();
    try {
      powerOff();
      for (String part : List.of("lib", "etc", "etc.work")) {
        deleteTree(disk.resolve(part));
      }
    } catch (IOException e) {
      throw new UncheckedIOException("node " + name + " is not gone", e);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void boot() throws IOException {
    for (String part : List.of("lib", "log", "etc", "etc.work")) {
      Files.createDirectories(disk.resolve(part));
    }
    Path log = directory.resolve("init.log");
    Files.deleteIfExists(log);
    String isolated =
        "unshare -m -n -p -u -i --fork --kill-child --mount-proc --propagation private";
    var command = new ArrayList<>(List.of(isolated.split(" ")));
    command.addAll(List.of(ControlPlane.binary("node-init").toString(), disk.toString(), name));
    init = Daemon.start("init", directory, command);
    init.awaitReady(START_LIMIT, () -> Files.readString(log).endsWith("up\n"));
    initPid = init.handle().children().findFirst().orElseThrow().pid();
    link = NodeLink.to(initPid);
    Cgroup.deleteAbandoned();
    cgroup().make();
    configure();
    startContainerd();
    run("ctr", "-n", "k8s.io", "images", "import", ControlPlane.binary("images.tar").toString());
    startKubelet();
  }

  String link() {
    return link.name();
  }

  Cgroup cgroup() {
    return new Cgroup(initPid);
  }

  private void configure() throws IOException {
    write("/etc/containerd/config.toml", NodeFiles.containerd(NodeFiles.Cgroups.KUBELET));
    write("/etc/cni/net.d/10-pods.conflist", NodeFiles.cni(podNetwork()));
    copy(kubeletKubeconfig(), "/etc/kubernetes/kubelet.kubeconfig");
    copy(kubeconfig("system:kube-proxy", List.of()), "/etc/kubernetes/kube-proxy.kubeconfig");
    copy(plane.caCertificate(), "/etc/kubernetes/ca.crt");
    write(
        "/etc/kubernetes/kubelet.yaml",
        NodeFiles.kubelet(NodeFiles.Cgroups.KUBELET, taints, "cgroupRoot: " + cgroup().path()));
  }

  private Daemon launch(String binary, String... arguments) throws IOException {
    String program = Path.of(binary).getFileName().toString();
    Path log = directory.resolve(program + ".log");
    ProcessBuilder builder = Daemon.logged(command(binary), log);
    builder.command().addAll(List.of(arguments));
    return new Daemon(program, log, exec(builder));
  }

  private void powerOff() throws IOException {
    if (init == null) {
      return;
    }
    if (link != null) {
      link.removeRule();
      if (init.handle().isAlive()) {
        link.delete();
      }
      link = null;
    }
    // PID 1 takes everything in its namespaces along; unshare, its parent, ends after all of that.
    if (initPid != 0) {
      ProcessHandle.of(initPid).ifPresent(ProcessHandle::destroyForcibly);
      init.awaitEnd();
    }
    init.kill();
    cgroup().delete();
    init = null;
    initPid = 0;
  }

  private static void deleteTree(Path root) throws IOException {
    if (!Files.exists(root)) {
      return;
    }
    try (Stream<Path> tree = Files.walk(root)) {
      for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }

  private void write(String onTheNode, String text) throws IOException {
    Path file = path(onTheNode);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }

  private void copy(Path file, String onTheNode) throws IOException {
    write(onTheNode, Files.readString(file));
  }
}
