package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.linux.CriSocket;
import nodeward.linux.DockerSocket;
import nodeward.linux.FakeUnixServer;
import nodeward.linux.FakeUnixServer.Behaviour;
import nodeward.node.FakeConditions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RuntimeWatchTest {
  private static final String TRUE = "ContainerRuntimeUnhealthy=True ";
  private static final String HEALTHY =
      "ContainerRuntimeUnhealthy=False ContainerRuntimeIsHealthy: healthy: ";

  private static final Duration LONG = Duration.ofSeconds(20);
  private static final Duration SHORT = Duration.ofSeconds(1);

  @TempDir private Path directory;
  private Duration timeout = LONG;
  private Duration slowAfter = LONG;
  private OptionalDouble disk = OptionalDouble.empty();
  private final FakeUnits units = new FakeUnits();
  private KubeletApi kubelet =
      _ -> {
        throw new ConnectException("refused");
      };
  private final FakeTime time = new FakeTime();
  private final FakeConditions conditions = new FakeConditions();
  private final CollectorRegistry registry = new CollectorRegistry();
  private final List<AutoCloseable> toClose = new ArrayList<>();

  /** Loads the classes of both clients, so that a short limit is one for the daemon alone. */
  @BeforeAll
  static void warmUp(@TempDir Path directory) throws IOException {
    Path docker = directory.resolve("docker.sock");
    Path containerd = directory.resolve("containerd.sock");
    try (var _ = FakeUnixServer.docker(docker);
        var _ = FakeUnixServer.containerd(containerd)) {
      new DockerSocket(docker).ping(LONG);
      new CriSocket(containerd).version(LONG);
    }
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable closeable : toClose) {
      closeable.close();
    }
  }

  @Test
  void runtimesThatAnswerAreHealthy() throws Exception {
    docker();
    containerd();

    watch(2).pass(time.now());

    assertThat(conditions.stated())
        .containsExactly(HEALTHY + "docker API 1.41, containerd v1.7.24");
    assertThat(up("docker")).isEqualTo(1);
    assertThat(up("containerd")).isEqualTo(1);
    assertThat(
            registry.getSampleValue(
                "nodeward_runtime_probe_seconds_count",
                new String[] {"runtime"},
                new String[] {"containerd"}))
        .isEqualTo(1);
  }

  @Test
  void dockersSocketIsLeftAloneWithoutItsPidFile() throws Exception {
    FakeUnixServer docker = docker();
    Files.delete(pidFile());
    containerd();

    watch(2).pass(time.now());

    assertThat(docker.connections()).isZero();
    assertThat(conditions.stated()).containsExactly(HEALTHY + "containerd v1.7.24");
    assertThat(up("docker")).isNull();
  }

  @Test
  void withoutAnyRuntimeItIsUnknownWhetherItIsHealthy() throws Exception {
    watch(2).pass(time.now());

    assertThat(conditions.stated())
        .containsExactly(
            "ContainerRuntimeUnhealthy=Unknown NoContainerRuntime:"
                + " docker does not run, there is no %s; containerd does not run, there is no %s"
                    .formatted(pidFile(), containerdSocket()));
  }

  @Test
  void aFrozenDockerIsHungAfterSomeProbesAndRecoversWithOne() throws Exception {
    timeout = SHORT;
    FakeUnixServer docker = docker();
    RuntimeWatch watch = watch(2);
    watch.pass(time.now());

    docker.behave(Behaviour.SILENT);
    watch.pass(time.now());
    assertThat(last()).startsWith(HEALTHY);
    assertThat(up("docker")).isZero();
    watch.pass(time.now());
    assertThat(last())
        .isEqualTo(
            TRUE
                + "DockerHung: GET /_ping at %s was not answered within 1 s"
                    .formatted(dockerSocket()));

    docker.behave(Behaviour.WELL);
    watch.pass(time.now());
    assertThat(last()).startsWith(HEALTHY);
    assertThat(up("docker")).isEqualTo(1);
  }

  @Test
  void aDockerThatRefusesOrFailsIsUnhealthy() throws Exception {
    FakeUnixServer docker = docker();
    RuntimeWatch watch = watch(1);

    docker.behave(Behaviour.ERROR);
    watch.pass(time.now());
    assertThat(last()).startsWith(TRUE + "DockerUnhealthy: ").endsWith("docker answered 500");

    docker.kill();
    Files.write(pidFile(), new byte[0]);
    watch.pass(time.now());
    assertThat(last()).startsWith(TRUE + "DockerUnhealthy: ").endsWith("Connection refused");
  }

  @Test
  void aFrozenContainerdIsUnhealthyWhateverDockerSays() throws Exception {
    timeout = SHORT;
    docker();
    FakeUnixServer containerd = containerd();
    RuntimeWatch watch = watch(1);

    containerd.behave(Behaviour.SILENT);
    watch.pass(time.now());

    assertThat(last())
        .startsWith(TRUE + "ContainerdUnhealthy: ")
        .endsWith("was not answered within 1 s");
  }

  @Test
  void failuresThatAreTooFewToTellStateNothingAtStart() throws Exception {
    docker().behave(Behaviour.ERROR);
    containerd();
    RuntimeWatch watch = watch(3);

    watch.pass(time.now());
    watch.pass(time.now());
    assertThat(conditions.stated()).isEmpty();

    watch.pass(time.now());
    assertThat(last()).startsWith(TRUE + "DockerUnhealthy");
  }

  @Test
  void whereTheUnitIsInactiveDockersSocketIsLeftAlone() throws Exception {
    FakeUnixServer docker = docker();
    containerd();
    units.put("docker.service", "inactive");

    watch(2).pass(time.now());

    assertThat(docker.connections()).isZero();
    assertThat(conditions.stated()).containsExactly(HEALTHY + "containerd v1.7.24");
  }

  @Test
  void aUnitThatFailedOrIsForEverActivatingIsUnhealthyAndNotConnectedTo() throws Exception {
    FakeUnixServer docker = docker();
    RuntimeWatch watch = watch(2);
    units.put("docker.service", "activating");

    watch.pass(time.now());
    assertThat(conditions.stated()).isEmpty();
    watch.pass(time.now());
    assertThat(last()).isEqualTo(TRUE + "DockerUnhealthy: docker.service is activating");

    units.put("docker.service", "failed");
    watch.pass(time.now());
    assertThat(last()).isEqualTo(TRUE + "DockerUnhealthy: docker.service is failed");
    assertThat(docker.connections()).isZero();
  }

  @Test
  void aDockerThatAnswersItsPingAndHangsInItsListIsHung() throws Exception {
    timeout = SHORT;
    docker().behave(Behaviour.LIST_HANGS);

    watch(1).pass(time.now());

    assertThat(last()).startsWith(TRUE + "DockerHung: GET /containers/json at ");
  }

  @Test
  void oneContainerOfFiftyThatHangsIsNamedAndDockerIsNotBlamed() throws Exception {
    timeout = SHORT;
    FakeUnixServer docker = docker();
    for (int i = 10; i < 60; i++) {
      docker.run("aaaaaaaaaa" + i, "shop/cart-" + i);
    }
    docker.hang("aaaaaaaaaa33");
    RuntimeWatch watch = watch(3);

    for (int pass = 0; pass < 10; pass++) {
      watch.pass(time.now());
    }

    assertThat(last())
        .isEqualTo(
            TRUE
                + "ContainerHung: docker does not answer for container main of pod shop/cart-33"
                + " within 1 s");
    assertThat(up("docker")).isEqualTo(1);

    docker.answer("aaaaaaaaaa33");
    watch.pass(time.now());
    assertThat(last()).startsWith(HEALTHY);
  }

  @Test
  void containersAreAskedInTurnAFewAtATime() throws Exception {
    FakeUnixServer docker = docker();
    for (int i = 10; i < 20; i++) {
      docker.run("aaaaaaaaaa" + i, "shop/cart-" + i);
    }
    RuntimeWatch watch = watch(1);

    watch.pass(time.now());
    assertThat(docker.inspected()).hasSize(DockerProbe.AT_ONCE);
    watch.pass(time.now());
    watch.pass(time.now());

    assertThat(docker.inspected()).hasSize(10).doesNotHaveDuplicates();
  }

  @Test
  void aContainerThatHungAndEndedIsForgotten() throws Exception {
    timeout = SHORT;
    FakeUnixServer docker = docker();
    docker.run("aaaaaaaaaa10", "shop/cart");
    docker.hang("aaaaaaaaaa10");
    RuntimeWatch watch = watch(1);
    watch.pass(time.now());
    assertThat(last()).contains("ContainerHung");

    docker.end("aaaaaaaaaa10");
    watch.pass(time.now());

    assertThat(last()).startsWith(HEALTHY);
  }

  @Test
  void aContainerdThatIsNotReadyIsUnhealthyAndTellsWhy() throws Exception {
    containerd().behave(Behaviour.NOT_READY);

    watch(1).pass(time.now());

    assertThat(last())
        .isEqualTo(
            TRUE
                + "ContainerdUnhealthy: containerd v1.7.24 is not ready: SnapshotterDown overlayfs"
                + " is gone");
  }

  @Test
  void aContainerdThatHangsInItsListIsUnhealthy() throws Exception {
    timeout = SHORT;
    containerd().behave(Behaviour.LIST_HANGS);

    watch(1).pass(time.now());

    assertThat(last())
        .startsWith(
            TRUE + "ContainerdUnhealthy: POST /runtime.v1.RuntimeService/ListPodSandbox at ");
  }

  @Test
  void aRuntimeThatAnswersLateIsSlowAndADiskUnderPressureIsSaid() throws Exception {
    slowAfter = Duration.ofNanos(1);
    docker();
    RuntimeWatch watch = watch(1);

    watch.pass(time.now());
    assertThat(last())
        .isEqualTo(TRUE + "RuntimeSlow: docker API 1.41 answers later than after 0 s");
    assertThat(up("docker")).isEqualTo(1);

    disk = OptionalDouble.of(80);
    watch.pass(time.now());
    assertThat(last()).endsWith("; the disk is under pressure, see /proc/pressure/io");
  }

  @Test
  void whatDoesNotWorkAtAllComesBeforeWhatIsLate() throws Exception {
    slowAfter = Duration.ofNanos(1);
    docker();
    containerd().behave(Behaviour.ERROR);

    watch(1).pass(time.now());

    assertThat(last()).contains("ContainerdUnhealthy");
  }

  @Test
  void aKubeletThatWasNeverSeenIsNotToldOf() throws Exception {
    containerd();

    watch(1).pass(time.now());

    assertThat(conditions.stated()).noneMatch(line -> line.contains("Kubelet"));
    assertThat(up("kubelet")).isNull();
  }

  @Test
  void aKubeletThatFailsOrGoesHasAConditionOfItsOwn() throws Exception {
    containerd();
    var answer = new AtomicReference<Optional<IOException>>(Optional.empty());
    kubelet =
        _ -> {
          if (answer.get().isPresent()) {
            throw answer.get().get();
          }
        };
    RuntimeWatch watch = watch(1);
    watch.pass(time.now());
    answer.set(Optional.of(new ConnectException("Connection refused")));
    watch.pass(time.now());

    assertThat(conditions.stated())
        .contains(
            "KubeletUnhealthy=False KubeletIsHealthy: healthy: kubelet",
            "KubeletUnhealthy=True KubeletUnhealthy: Connection refused");
    assertThat(last()).contains("KubeletUnhealthy=True");
    assertThat(conditions.stated()).noneMatch(line -> line.startsWith(TRUE));
  }

  @Test
  void aProbeThatIsStuckInTheKernelCountsAsHungAndIsNotStartedAgain() throws Exception {
    timeout = Duration.ofMillis(50);
    var started = new AtomicInteger();
    var release = new CountDownLatch(1);
    RuntimeProbe stuck =
        probe(
            () -> {
              started.incrementAndGet();
              boolean interrupted = false;
              while (release.getCount() > 0) {
                try {
                  release.await();
                } catch (InterruptedException e) {
                  interrupted = true; // the kernel does not care
                }
              }
              return new Probed.Healthy(interrupted ? "late and interrupted" : "late");
            });
    var watch = new RuntimeWatch(config(2), List.of(stuck), () -> disk, conditions, registry, time);
    toClose.addFirst(watch);

    watch.pass(time.now());
    watch.pass(time.now());
    watch.pass(time.now());

    assertThat(started).hasValue(1);
    assertThat(conditions.stated())
        .containsOnly(TRUE + "DockerHung: a probe of docker is stuck since 2026-11-21T08:00:00Z");

    release.countDown();
    watch.pass(time.now());
    assertThat(last()).isEqualTo(HEALTHY + "late");
  }

  @Test
  void aStuckProbeDoesNotHoldTheOthers() throws Exception {
    timeout = SHORT;
    containerd();
    var release = new CountDownLatch(1);
    RuntimeProbe stuck =
        probe(
            () -> {
              release.await();
              return new Probed.Healthy("late");
            });
    var watch =
        new RuntimeWatch(
            config(1),
            List.of(stuck, new ContainerdProbe(config(1), new CriSocket(containerdSocket()))),
            () -> disk,
            conditions,
            registry,
            time);
    toClose.addFirst(watch);

    watch.pass(time.now());

    assertThat(up("containerd")).isEqualTo(1);
    assertThat(watch.status())
        .containsEntry("containerd", "working: containerd v1.7.24")
        .containsEntry("docker", "broken: a probe of docker is stuck since 2026-11-21T08:00:00Z");
  }

  // --- what a test makes

  private FakeUnixServer docker() throws IOException {
    Files.writeString(pidFile(), "1");
    FakeUnixServer docker = FakeUnixServer.docker(dockerSocket());
    toClose.add(docker);
    return docker;
  }

  private FakeUnixServer containerd() throws IOException {
    FakeUnixServer containerd = FakeUnixServer.containerd(containerdSocket());
    toClose.add(containerd);
    return containerd;
  }

  private RuntimeWatch watch(int failures) {
    var watch =
        new RuntimeWatch(
            config(failures),
            new RuntimeWatch.Ports(
                new DockerSocket(dockerSocket()),
                new CriSocket(containerdSocket()),
                kubelet,
                units,
                () -> disk),
            conditions,
            registry,
            time);
    toClose.addFirst(watch);
    return watch;
  }

  private Config.ContainerRuntime config(int failures) {
    return new Config.ContainerRuntime(
        true,
        Duration.ofSeconds(15),
        timeout,
        slowAfter,
        failures,
        dockerSocket(),
        pidFile(),
        "docker.service",
        containerdSocket(),
        "containerd.service",
        Optional.of(URI.create("http://127.0.0.1:1/healthz")),
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

  private Path dockerSocket() {
    return directory.resolve("docker.sock");
  }

  private Path pidFile() {
    return directory.resolve("docker.pid");
  }

  private Path containerdSocket() {
    return directory.resolve("containerd.sock");
  }

  private String last() {
    return conditions.stated().getLast();
  }

  private Double up(String runtime) {
    return registry.getSampleValue(
        "nodeward_runtime_up", new String[] {"runtime"}, new String[] {runtime});
  }

  /** A docker that is probed like this. */
  private static RuntimeProbe probe(Callable<Probed> how) {
    return new RuntimeProbe() {
      @Override
      public String runtime() {
        return "docker";
      }

      @Override
      public String reason(Probed.Bad cause) {
        return "DockerHung";
      }

      @Override
      public Probed probe(Duration limit) {
        try {
          return how.call();
        } catch (Exception e) {
          return new Probed.Failed(e.toString());
        }
      }
    };
  }
}
