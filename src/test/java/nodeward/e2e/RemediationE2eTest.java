package nodeward.e2e;

import static nodeward.e2e.TerminationScene.SOON;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import nodeward.aws.FakeImds;
import nodeward.cluster.ControlPlane;
import nodeward.cluster.Machine;
import nodeward.component.Time;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * Debian's containerd and docker under a real systemd, with a container that runs, frozen by
 * SIGSTOP; the packaged agent probes them, asks that systemd over its bus, and states what it finds
 * on a Node of a real API server. What is done is seen in the machine and not only told.
 */
@Tag("e2e")
final class RemediationE2eTest {
  private static final String DOCKER = "docker.service";
  private static final String CONTAINERD = "containerd.service";
  private static final String CONDITION = "ContainerRuntimeUnhealthy";

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;
  private static Machine machine;

  private TerminationScene scene;

  @BeforeAll
  static void boot() throws Exception {
    plane = ControlPlane.start(directory.resolve("plane"), ControlPlane.Part.KWOK);
    AgentIdentity.grant(plane);
    machine = Machine.create(directory, "runtimes");
    for (String file : List.of("/usr/sbin/dockerd", "/usr/bin/docker")) {
      machine.bind(Path.of(file), file);
    }
    for (String unit : List.of(DOCKER, "docker.socket")) {
      machine.unit(unit, Files.readString(Path.of("/lib/systemd/system", unit)));
    }
    machine.write(
        "/etc/docker/daemon.json",
        """
        {"storage-driver": "vfs", "bridge": "none", "iptables": false, "live-restore": true}
        """);
    machine.enable(CONTAINERD);
    machine.boot();
    machine.awaitBooted();
    machine.run("groupadd", "--system", "docker");
    // runc makes a cgroup in each controller of cgroup v1, which nspawn mounts for reading.
    machine.run(
        "sh",
        "-ec",
        "for at in $(findmnt -rno TARGET -t cgroup); do mount -o remount,bind,rw \"$at\"; done");
    machine.run("systemctl", "start", DOCKER);
    runContainer();
  }

  /** From an image that is one static program. */
  private static void runContainer() throws Exception {
    Path image = directory.resolve("image.tar");
    int code =
        new ProcessBuilder("tar", "-C", "/", "-chf", image.toString(), "bin/busybox")
            .inheritIO()
            .start()
            .waitFor();
    assertThat(code).isZero();
    machine.copy(image, "/root/image.tar");
    machine.run("docker", "import", "/root/image.tar", "sleeper");
    machine.run(
        "docker",
        "run",
        "--detach",
        "--name=web",
        "--network=none",
        "sleeper",
        "/bin/busybox",
        "sleep",
        "9000");
  }

  @AfterAll
  static void stop() {
    try (ControlPlane first = plane;
        Machine second = machine) {
      plane = null;
    }
  }

  /** Whatever a test left behind. */
  @AfterEach
  void recover() throws Exception {
    if (scene != null) {
      scene.close();
      plane.delete("/apis/coordination.k8s.io/v1/namespaces/nodeward/leases");
    }
    for (String unit : List.of(CONTAINERD, DOCKER)) {
      if (machine.property(unit, "ActiveState").equals("active")) {
        signal("CONT", unit);
      } else {
        machine.run("systemctl", "start", unit);
      }
    }
  }

  @Test
  void aFrozenDockerIsDumpedRestartedAndProvenAndThenLeftToCoolDown() throws Exception {
    begin("remediation: {enabled: true, after: 2s, coolDown: 20s, minHealthyShare: 0}");
    awaitHealthy();
    ProcessHandle before = machine.mainProcess(DOCKER);

    signal("STOP", DOCKER);

    awaitCondition("True", "DockerHung");
    scene.awaitEvent("DockerHung: ContainerRuntimeUnhealthy is True: GET /_ping at ");
    scene.awaitEvent("RuntimeRemediation: dump docker.service, for docker does not work");
    scene.awaitEvent("RuntimeRemediation: restart docker.service, for docker does not work");
    scene.awaitEvent("RuntimeRemediated: docker works again after: restart docker.service");
    awaitHealthy();
    assertThat(before.isAlive()).isFalse();
    assertThat(machine.property(DOCKER, "ActiveState")).isEqualTo("active");
    assertThat(machine.run("docker", "ps", "--format={{.Names}} {{.Status}}")).startsWith("web Up");
    assertThat(machine.journal("-u", DOCKER, "-g", "Sent signal SIGUSR1 to main")).isNotEmpty();
    assertThat(List.of(steps("docker", "dump", "done"), steps("docker", "restart", "done")))
        .containsExactly(1.0, 1.0);
    assertThat(steps("docker", "restart", "helped")).isEqualTo(1);

    // Over a restart of the agent, and longer than this test may take.
    scene.agent.stop();
    Path config = scene.directory.resolve("config.yaml");
    Files.writeString(config, Files.readString(config).replace("coolDown: 20s", "coolDown: 1h"));
    scene.agent.start();
    awaitHealthy();
    ProcessHandle restarted = machine.mainProcess(DOCKER);
    signal("STOP", DOCKER);
    awaitCondition("True", "DockerHung");
    awaitRemediation("docker", "cool-down until ");
    awaitProbes("containerd", 3);
    assertThat(machine.mainProcess(DOCKER)).isEqualTo(restarted);
    assertThat(scene.agent.page("/metrics").body())
        .doesNotContain("remediation_steps_total{runtime=\"docker\"");

    signal("CONT", DOCKER);
    awaitHealthy();
  }

  @Test
  void aFrozenContainerdIsRestartedAndItsContainersLive() throws Exception {
    begin("remediation: {enabled: true, after: 2s, coolDown: 20s, minHealthyShare: 0}");
    awaitHealthy();
    ProcessHandle before = machine.mainProcess(CONTAINERD);

    signal("STOP", CONTAINERD);

    awaitCondition("True", "ContainerdUnhealthy");
    scene.awaitEvent("RuntimeRemediation: dump containerd.service");
    scene.awaitEvent("RuntimeRemediated: containerd works again after: restart containerd.service");
    awaitHealthy();
    assertThat(before.isAlive()).isFalse();
    assertThat(machine.journal("-u", CONTAINERD, "-g", "Sent signal SIGUSR1 to main")).isNotEmpty();
    assertThat(machine.run("docker", "ps", "--format={{.Names}} {{.Status}}")).startsWith("web Up");
  }

  /** A frozen one cannot write before it goes; this one only does not answer. */
  @Test
  void aDockerThatHangsWritesDownWhatItsThreadsWaitForBeforeItIsRestarted() throws Exception {
    Path mute = directory.resolve("mute.sock");
    try (var silent = new SlowSocket(mute, inside("/run/docker.sock"), Duration.ofHours(1))) {
      begin(
          "remediation: {enabled: true, after: 1s, coolDown: 20s, minHealthyShare: 0}",
          mute,
          "2s, slowAfter: 3s");
      ProcessHandle before = machine.mainProcess(DOCKER);

      scene.awaitEvent("RuntimeRemediation: dump docker.service, for docker does not work");
      scene.agent.await(
          "docker has written its goroutines",
          SOON,
          () -> {
            try (Stream<Path> files = Files.list(machine.path("/run/docker"))) {
              return files.anyMatch(f -> f.getFileName().toString().startsWith("goroutine-"));
            }
          });
      scene.awaitEvent("RuntimeRemediation: restart docker.service, for docker does not work");
      scene.agent.await(
          "another docker runs",
          SOON,
          () ->
              machine.property(DOCKER, "ActiveState").equals("active")
                  && !machine.mainProcess(DOCKER).equals(before));
    }
  }

  @Test
  void aDryRunTellsAndTouchesNothing() throws Exception {
    begin(
        "remediation: {enabled: true, dryRun: true, after: 2s, coolDown: 1s, minHealthyShare: 0,"
            + " drain: true, replace: true}");
    scene.pods(2);
    awaitHealthy();
    ProcessHandle before = machine.mainProcess(DOCKER);

    signal("STOP", DOCKER);

    for (String step :
        List.of(
            "dump docker.service",
            "restart docker.service",
            "kill docker.service",
            "drain the node",
            "replace the machine")) {
      scene.awaitEvent("RuntimeRemediationDryRun: would " + step + ", dry run");
    }
    assertThat(machine.mainProcess(DOCKER)).isEqualTo(before);
    assertThat(scene.cordoned()).isFalse();
    assertThat(scene.podsLeft()).isEqualTo(2);
    assertThat(scene.autoScaling.calls("SetInstanceHealth")).isZero();
    assertThat(scene.events()).noneMatch(event -> event.startsWith("RuntimeRemediation: "));

    signal("CONT", DOCKER);
    awaitHealthy();
  }

  @Test
  void whileTheApiServerIsAwayNothingIsDone() throws Exception {
    begin("remediation: {enabled: true, after: 1s, coolDown: 20s, minHealthyShare: 0}");
    awaitHealthy();
    ProcessHandle before = machine.mainProcess(DOCKER);
    plane.killApiServer();

    signal("STOP", DOCKER);

    scene.agent.await(
        "the turn is asked for in vain",
        SOON,
        () -> scene.agent.part("remediation").path("health").asText().contains("lease"));
    awaitProbes("containerd", 3);
    assertThat(machine.mainProcess(DOCKER)).isEqualTo(before);
    assertThat(scene.agent.page("/metrics").body())
        .doesNotContain("remediation_steps_total{runtime=\"docker\"");

    plane.startApiServer();
    scene.awaitEvent("RuntimeRemediated: docker works again after: restart docker.service");
    assertThat(before.isAlive()).isFalse();
  }

  @Test
  void aSlowDockerIsToldAndNotTouched() throws Exception {
    Path late = directory.resolve("late.sock");
    try (var slow = new SlowSocket(late, inside("/run/docker.sock"), Duration.ofMillis(600))) {
      begin(
          "remediation: {enabled: true, after: 1s, coolDown: 1s, minHealthyShare: 0}",
          late,
          "5s, slowAfter: 1s");
      ProcessHandle before = machine.mainProcess(DOCKER);

      awaitCondition("True", "RuntimeSlow");
      awaitProbes("docker", 5);

      assertThat(reason()).isEqualTo("RuntimeSlow");
      assertThat(scene.agent.part("remediation").path("docker").asText())
          .isEqualTo("nothing to do");
      assertThat(machine.mainProcess(DOCKER)).isEqualTo(before);
      assertThat(scene.events()).noneMatch(event -> event.startsWith("RuntimeRemediation"));
    }
  }

  @Test
  void aStoppedDockerIsNotStartedThroughItsSocketByAProbe() throws Exception {
    machine.run("systemctl", "stop", DOCKER);
    assertThat(machine.property("docker.socket", "ActiveState")).isEqualTo("active");
    begin("remediation: {enabled: true, after: 1s, coolDown: 1s, minHealthyShare: 0}");

    scene.agent.await(
        "docker is absent",
        SOON,
        () ->
            scene
                .agent
                .part("runtime")
                .path("docker")
                .asText()
                .equals("absent: docker.service is inactive"));
    awaitProbes("containerd", 10);
    assertThat(machine.property(DOCKER, "ActiveState")).isEqualTo("inactive");
    assertThat(scene.agent.run("doctor").out()).noneMatch(line -> line.contains("docker API"));
    assertThat(machine.property(DOCKER, "ActiveState")).isEqualTo("inactive");

    // Whoever asks does start it.
    machine.run("docker", "ps");
    assertThat(machine.property(DOCKER, "ActiveState")).isEqualTo("active");
  }

  @Test
  void aContainerdThatPeopleStoppedIsNotStarted() throws Exception {
    begin("remediation: {enabled: true, after: 1s, coolDown: 1s, minHealthyShare: 0}");
    awaitHealthy();

    machine.run("systemctl", "stop", CONTAINERD);

    scene.agent.await(
        "containerd is absent",
        SOON,
        () -> scene.agent.part("runtime").path("containerd").asText().startsWith("absent: "));
    awaitProbes("docker", 10);
    assertThat(machine.property(CONTAINERD, "ActiveState")).isEqualTo("inactive");
  }

  @Test
  void aNodeThatNothingMendsIsDrainedAndComesBackWhenItWorksAgain() throws Exception {
    beginWithoutSystemd("drain: true");
    awaitHealthy();

    signal("STOP", CONTAINERD);

    scene.awaitEvent("RuntimeRemediation: kill containerd.service, for containerd does not work");
    scene.awaitEvent("RuntimeRemediation: drain the node, for containerd does not work");
    scene.awaitCordon();
    assertThat(scene.taints()).contains("nodeward.dev/terminating=repair:NoSchedule");
    scene.awaitNoPods();
    scene.awaitState("completed");
    assertThat(scene.autoScaling.calls("SetInstanceHealth")).isZero();
    for (String step : List.of("dump", "restart", "kill")) {
      assertThat(steps("containerd", step, "failed")).isEqualTo(1);
    }

    // It stays away from service over a restart of the agent.
    scene.agent.stop();
    scene.agent.start();
    scene.awaitState("completed");
    awaitRemediation("containerd", "every step was tried");
    assertThat(scene.cordoned()).isTrue();

    signal("CONT", CONTAINERD);
    awaitHealthy();
    scene.awaitAsBefore();
  }

  @Test
  void aDrainedNodeThatStaysBrokenIsReplacedByItsGroup() throws Exception {
    beginWithoutSystemd("drain: true, replace: true");
    awaitHealthy();
    assertThat(scene.agent.run("doctor").out())
        .contains(
            "ok      patch leases.coordination.k8s.io nodeward/nodeward-repair",
            "ok      autoscaling:SetInstanceHealth");
    assertThat(scene.autoScaling.health(FakeImds.INSTANCE_ID)).isEqualTo("HEALTHY");

    signal("STOP", CONTAINERD);

    scene.awaitEvent("RuntimeRemediation: kill containerd.service, for containerd does not work");
    scene.awaitCordon();
    scene.awaitEvent("RuntimeRemediation: replace the machine, for containerd does not work");
    scene.agent.await(
        "it counts as unhealthy",
        SOON,
        () -> scene.autoScaling.health(FakeImds.INSTANCE_ID).equals("UNHEALTHY"));
    assertThat(scene.podsLeft()).isZero();
    assertThat(scene.completions()).isEmpty();

    // What the group then does is a notice like any other, and joins the plan.
    scene.imds.targetState("Terminated");
    scene.agent.await("the hook is completed", SOON, () -> !scene.completions().isEmpty());
    assertThat(scene.completions()).containsExactly("CONTINUE");
    assertThat(scene.autoScaling.state(FakeImds.INSTANCE_ID)).isEqualTo("Terminating:Proceed");
    assertThat(scene.evictions()).isEqualTo(2);
  }

  // --- what a test does

  private void begin(String remediation) throws IOException {
    begin(remediation, inside("/run/docker.sock"), "2s, slowAfter: 3s");
  }

  private void begin(String remediation, Path docker, String timeout) throws IOException {
    String runtime =
        """
        interval: 500ms, timeout: %s, failures: 2, kubeletHealth: "", dockerSocket: %s, dockerPidFile: %s,
          containerdSocket: %s, systemBus: %s, %s\
        """
            .formatted(
                timeout,
                docker,
                inside("/run/docker.pid"),
                inside("/run/containerd/containerd.sock"),
                inside("/run/dbus/system_bus_socket"),
                remediation);
    scene = new TerminationScene(plane, directory, Time.SYSTEM, "", runtime).start();
  }

  /** A node whose containerd nobody can restart, for nobody finds its systemd. */
  private void beginWithoutSystemd(String more) throws IOException {
    String runtime =
        """
        interval: 500ms, timeout: 2s, failures: 2, kubeletHealth: "", dockerPidFile: /nowhere,
          containerdSocket: %s, systemBus: /nowhere,
          remediation: {enabled: true, after: 1s, coolDown: 1s, minHealthyShare: 0, %s}\
        """
            .formatted(inside("/run/containerd/containerd.sock"), more);
    scene =
        new TerminationScene(plane, directory, Time.SYSTEM, "loadBalancerDelay: 1s", runtime)
            .pods(2)
            .start();
  }

  private static Path inside(String path) {
    return machine.path(path);
  }

  private static void signal(String name, String unit) throws Exception {
    String pid = Long.toString(machine.mainProcess(unit).pid());
    assertThat(new ProcessBuilder("kill", "-" + name, pid).start().waitFor()).isZero();
  }

  private void awaitHealthy() throws IOException {
    awaitCondition("False", "ContainerRuntimeIsHealthy");
  }

  private void awaitCondition(String status, String reason) throws IOException {
    scene.agent.await(
        CONDITION + " is " + status + " " + reason,
        SOON,
        () ->
            condition().path("status").asText().equals(status)
                && condition().path("reason").asText().equals(reason));
  }

  private String reason() throws IOException {
    return condition().path("reason").asText();
  }

  private JsonNode condition() throws IOException {
    for (JsonNode condition : scene.read().at("/status/conditions")) {
      if (condition.path("type").asText().equals(CONDITION)) {
        return condition;
      }
    }
    return scene.read().path("no such condition");
  }

  private void awaitRemediation(String runtime, String text) throws IOException {
    scene.agent.await(
        "remediation: " + text,
        SOON,
        () -> scene.agent.part("remediation").path(runtime).asText().contains(text));
  }

  /** Lets so many more probes of the runtime end. */
  private void awaitProbes(String runtime, int count) throws IOException {
    double before = probes(runtime);
    scene.agent.await(
        count + " probes of " + runtime, SOON, () -> probes(runtime) >= before + count);
  }

  private double probes(String runtime) throws IOException {
    return scene.agent.metric("nodeward_runtime_probe_seconds_count{runtime=\"" + runtime + "\",}");
  }

  private double steps(String runtime, String step, String outcome) throws IOException {
    return scene.agent.metric(
        "nodeward_runtime_remediation_steps_total{runtime=\"%s\",step=\"%s\",outcome=\"%s\",}"
            .formatted(runtime, step, outcome));
  }
}
