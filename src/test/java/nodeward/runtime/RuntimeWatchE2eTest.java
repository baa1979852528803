package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.linux.CriSocket;
import nodeward.linux.DockerSocket;
import nodeward.linux.KubeletHealth;
import nodeward.linux.Procfs;
import nodeward.linux.SystemBus;
import nodeward.node.FakeConditions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Real daemons with directories and sockets of their own, stopped and continued. Needs root and the
 * packages containerd and docker.io.
 */
@Tag("e2e")
class RuntimeWatchE2eTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(3);

  @TempDir private Path directory;
  private final FakeConditions conditions = new FakeConditions();
  private final List<Process> daemons = new ArrayList<>();

  @BeforeEach
  void needsRootAndTheDaemons() {
    assertThat(System.getProperty("user.name")).isEqualTo("root");
    assertThat(List.of("containerd", "dockerd")).allMatch(RuntimeWatchE2eTest::has);
  }

  private static boolean has(String tool) {
    return Stream.of("/usr/bin", "/usr/sbin", "/usr/local/bin")
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, tool)));
  }

  @AfterEach
  void stop() throws InterruptedException {
    for (Process daemon : daemons.reversed()) {
      daemon.destroy();
      if (!daemon.waitFor(20, TimeUnit.SECONDS)) {
        daemon.destroyForcibly().waitFor();
      }
    }
  }

  @Test
  void frozenDaemonsAreNamedAndRecover() throws Exception {
    Process containerd = containerd();
    Process docker = docker();
    try (var watch = watch()) {
      watch.pass(Instant.now());
      assertThat(last())
          .matches(".*=False ContainerRuntimeIsHealthy: healthy: docker API 1.*, containerd .*");

      signal(docker, "STOP");
      watch.pass(Instant.now());
      watch.pass(Instant.now());
      assertThat(last()).contains("=True DockerHung: GET /_ping at ").endsWith("within 3 s");

      signal(containerd, "STOP");
      signal(docker, "CONT");
      watch.pass(Instant.now());
      watch.pass(Instant.now());
      assertThat(last()).contains("=True ContainerdUnhealthy: ").endsWith("within 3 s");

      signal(containerd, "CONT");
      watch.pass(Instant.now());
      assertThat(last()).contains("=False ContainerRuntimeIsHealthy");

      docker.destroyForcibly().waitFor();
      watch.pass(Instant.now());
      watch.pass(Instant.now());
      assertThat(last()).contains("=True DockerUnhealthy: ").endsWith("Connection refused");
    }
  }

  @Test
  void aContainerWhoseShimIsFrozenIsNamedAndItsDaemonIsNotBlamed() throws Exception {
    containerd();
    docker();
    runContainers();
    long shim = shimOf("web");
    try (var watch = watch()) {
      watch.pass(Instant.now());
      assertThat(last()).contains("=False ContainerRuntimeIsHealthy");

      signal(shim, "STOP");
      try {
        // It takes the container's lock and waits for the shim, as kubelet's stop would.
        daemons.add(docker("pause", "web"));
        awaitPasses(
            watch,
            "=True ContainerHung: docker does not answer for container main of pod"
                + " shop/cart-web within");
      } finally {
        signal(shim, "CONT");
      }

      awaitPasses(watch, "=False ContainerRuntimeIsHealthy");
    }
    assertThat(docker("unpause", "web").waitFor()).isZero();
    assertThat(docker("rm", "--force", "web", "other").waitFor()).isZero();
  }

  /** Passes until the last condition says so. */
  private void awaitPasses(RuntimeWatch watch, String text) throws InterruptedException {
    long deadline = System.nanoTime() + Duration.ofSeconds(90).toNanos();
    do {
      assertThat(System.nanoTime()).describedAs(last()).isLessThan(deadline);
      watch.pass(Instant.now());
    } while (!last().contains(text));
  }

  /** Two containers of an image that holds sleep and nothing else. */
  private void runContainers() throws Exception {
    String pack =
        """
        mkdir -p rootfs/bin
        for file in /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*'); do
          mkdir -p "rootfs$(dirname "$file")"
          cp -L "$file" "rootfs$file"
        done
        tar -C rootfs -cf rootfs.tar .
        """;
    var packing = new ProcessBuilder("sh", "-euc", pack).directory(directory.toFile()).inheritIO();
    assertThat(packing.start().waitFor()).isZero();
    assertThat(docker("import", directory.resolve("rootfs.tar").toString(), "sleeper").waitFor())
        .isZero();
    for (String name : List.of("web", "other")) {
      assertThat(
              docker(
                      "run",
                      "-d",
                      "--name=" + name,
                      "--network=none",
                      "--label=io.kubernetes.pod.namespace=shop",
                      "--label=io.kubernetes.pod.name=cart-" + name,
                      "--label=io.kubernetes.container.name=main",
                      "sleeper",
                      "/bin/sleep",
                      "900")
                  .waitFor())
          .isZero();
    }
  }

  private Process docker(String... command) throws IOException {
    var whole = new ArrayList<>(List.of("docker", "--host=unix://" + socket("docker")));
    whole.addAll(List.of(command));
    return new ProcessBuilder(whole)
        .redirectErrorStream(true)
        .redirectOutput(directory.resolve("docker-" + command[0] + ".out").toFile())
        .start();
  }

  /** The process that stands between containerd and this container. */
  private long shimOf(String name) throws Exception {
    assertThat(docker("inspect", "--format={{.State.Pid}}", name).waitFor()).isZero();
    long pid = Long.parseLong(Files.readString(directory.resolve("docker-inspect.out")).strip());
    ProcessHandle shim = ProcessHandle.of(pid).orElseThrow().parent().orElseThrow();
    assertThat(shim.info().command().orElseThrow()).contains("containerd-shim");
    return shim.pid();
  }

  private RuntimeWatch watch() {
    return new RuntimeWatch(
        config(),
        new RuntimeWatch.Ports(
            new DockerSocket(socket("docker")),
            new CriSocket(socket("containerd")),
            new KubeletHealth(URI.create("http://127.0.0.1:1/healthz")),
            new SystemBus(directory.resolve("no.bus")),
            new Procfs(Path.of("/proc"))::ioStalled),
        conditions,
        new CollectorRegistry(),
        Time.SYSTEM);
  }

  private Config.ContainerRuntime config() {
    return new Config.ContainerRuntime(
        true,
        Duration.ofSeconds(1),
        TIMEOUT,
        TIMEOUT,
        2,
        socket("docker"),
        directory.resolve("docker.pid"),
        "",
        socket("containerd"),
        "",
        Optional.empty(),
        directory.resolve("no.bus"),
        new Config.Remediation(
            false,
            false,
            Duration.ofMinutes(2),
            Duration.ofMinutes(5),
            3,
            0.9,
            false,
            Duration.ofMinutes(10),
            false));
  }

  private Process containerd() throws Exception {
    Path config = Files.writeString(directory.resolve("containerd.toml"), "version = 2\n");
    return start(
        socket("containerd"),
        "containerd",
        "--config=" + config,
        "--root=" + directory.resolve("containerd-root"),
        "--state=" + directory.resolve("containerd-state"),
        "--address=" + socket("containerd"));
  }

  private Process docker() throws Exception {
    return start(
        socket("docker"),
        "dockerd",
        "--data-root=" + directory.resolve("docker-root"),
        "--exec-root=" + directory.resolve("docker-exec"),
        "--pidfile=" + directory.resolve("docker.pid"),
        "--host=unix://" + socket("docker"),
        "--containerd=" + socket("containerd"),
        "--bridge=none",
        "--iptables=false",
        "--storage-driver=vfs");
  }

  /**
   * Starts a daemon and waits until it answers at its socket. What it mounts ends with it, even
   * when it is killed.
   */
  private Process start(Path socket, String... command) throws Exception {
    Path log = directory.resolve(command[0] + ".log");
    var unshared = new ArrayList<>(List.of("unshare", "--mount", "--propagation=private"));
    unshared.addAll(List.of(command));
    Process daemon =
        new ProcessBuilder(unshared).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    daemons.add(daemon);
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (!answers(socket)) {
      assertThat(daemon.isAlive() && System.nanoTime() < deadline)
          .withFailMessage(() -> command[0] + " does not answer: " + tail(log))
          .isTrue();
      Thread.sleep(10);
    }
    return daemon;
  }

  private boolean answers(Path socket) {
    try {
      if (socket.equals(socket("docker"))) {
        new DockerSocket(socket).ping(TIMEOUT);
      } else {
        new CriSocket(socket).version(TIMEOUT);
      }
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  private static String tail(Path log) {
    try {
      List<String> lines = Files.readAllLines(log);
      return String.join("\n", lines.subList(Math.max(0, lines.size() - 20), lines.size()));
    } catch (IOException e) {
      return e.toString();
    }
  }

  private static void signal(Process daemon, String name) throws Exception {
    signal(daemon.pid(), name);
  }

  private static void signal(long pid, String name) throws Exception {
    assertThat(new ProcessBuilder("kill", "-" + name, Long.toString(pid)).start().waitFor())
        .isZero();
  }

  private Path socket(String name) {
    return directory.resolve(name + ".sock");
  }

  private String last() {
    return conditions.stated().getLast();
  }
}
