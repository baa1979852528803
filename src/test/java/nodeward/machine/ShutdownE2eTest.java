package nodeward.machine;

import static nodeward.machine.GuardedMachine.UNGATED;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import nodeward.cluster.Machine;
import nodeward.kube.FakeApiServer.Request;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The machine goes down, in every way there is; the kubelet and the pods are stubs. */
@Tag("e2e")
final class ShutdownE2eTest {
  private static final Duration LIMIT = Duration.ofSeconds(60);
  private static final Duration POD_STOPS = Duration.ofSeconds(1);

  @TempDir private Path directory;
  private GuardedMachine node;

  @BeforeEach
  void furnish() throws IOException {
    node = new GuardedMachine(directory);
    node.machine.unit(
        "nodeward-drain.service.d/looks.conf",
        """
        [Service]
        ExecStopPost=sh -c 'echo "meanwhile active:" $(systemctl is-active \\
          nodeward kubelet containerd dbus systemd-logind systemd-resolved machine-network)'
        """);
  }

  @AfterEach
  void end() throws IOException {
    node.close();
  }

  @Test
  void s5PoweroffDrainsFirst() throws Exception {
    pods();
    node.boot();
    node.machine.run("systemctl", "poweroff");
    drainedFirst(Machine.POWERED_OFF);
  }

  @Test
  void s5RebootDrainsFirstAndTheNextBootTakesTheCordonBack() throws Exception {
    pods();
    node.boot();
    node.machine.run("systemctl", "reboot");
    drainedFirst(Machine.REBOOTS);
    assertThat(node.cordoned()).isTrue();

    node.boot();
    node.machine.await("returned", () -> !node.cordoned());
  }

  @Test
  void s5HaltDrainsFirst() throws Exception {
    pods();
    node.boot();
    node.machine.run("systemctl", "halt");
    drainedFirst(Machine.POWERED_OFF);
  }

  @Test
  void s5ShutdownNowDrainsFirst() throws Exception {
    pods();
    node.boot();
    node.machine.run("shutdown", "-h", "now");
    drainedFirst(Machine.POWERED_OFF);
  }

  @Test
  void s5ASignalToSystemdDrainsFirst() throws Exception {
    pods();
    node.boot();
    node.machine.signal("RTMIN+4");
    drainedFirst(Machine.POWERED_OFF);
  }

  @Test
  void s6AnUnfinishedBootIsDrainedToo() throws Exception {
    node.machine.unit(
        "slow.service",
        """
        [Service]
        Type=oneshot
        ExecStart=sleep 600
        [Install]
        WantedBy=multi-user.target
        """);
    node.machine.enable("slow.service");
    pods();
    node.machine.boot();
    node.machine.awaitSystemd();
    node.awaitActive("nodeward-drain.service");
    node.machine.run("systemctl", "poweroff");
    drainedFirst(Machine.POWERED_OFF);
  }

  @Test
  void s6WithoutADaemonTheCommandDrainsAlone() throws Exception {
    node.machine.unit("nodeward.service.d/broken.conf", "[Service]\nExecStart=\nExecStart=false\n");
    pods();
    node.machine.boot();
    node.machine.awaitSystemd();
    node.awaitActive("nodeward-drain.service");
    node.machine.run("systemctl", "poweroff");
    assertThat(node.machine.awaitEnd(LIMIT)).isEqualTo(Machine.POWERED_OFF);

    assertThat(node.lines("drain: no daemon, draining alone")).hasSize(1);
    evictedBefore(node.said("kubelet: SIGTERM"));
  }

  @Test
  void s11AFrozenDaemonDoesNotKeepTheNodeFromBeingDrained() throws Exception {
    node.machine.unit(
        "nodeward.service.d/impatient.conf", "[Service]\nWatchdogSec=5\nTimeoutAbortSec=2\n");
    pods();
    node.boot();
    node.machine.run("systemctl", "kill", "-s", "STOP", "nodeward.service");
    node.machine.run("systemctl", "poweroff");
    assertThat(node.machine.awaitEnd(LIMIT)).isEqualTo(Machine.POWERED_OFF);

    evictedBefore(node.said("kubelet: SIGTERM"));
    assertThat(lastPodGone()).isBefore(node.said("kubelet: SIGTERM"));
  }

  @Test
  void s7RescueIsAShutdownOfTheNode() throws Exception {
    // A password prompt on no terminal is not what this is about.
    node.machine.unit(
        "rescue.service.d/quiet.conf", "[Service]\nExecStart=\nExecStart=sleep infinity\n");
    pods();
    node.boot();
    node.machine.run("systemctl", "isolate", "--no-block", "rescue.target");
    node.machine.await(
        "the kubelet is told to stop", () -> !node.lines("kubelet: SIGTERM").isEmpty());

    evictedBefore(node.said("kubelet: SIGTERM"));
    assertThat(node.lines("systemd is maintenance")).hasSize(1);
  }

  @Test
  void s8PodsLiveUntilTheDrainIsOver() throws Exception {
    pods();
    node.boot();
    node.scope("cri-containerd-1234.scope", "pod");
    node.machine.run("systemctl", "poweroff");
    drainedFirst(Machine.POWERED_OFF);

    assertThat(node.said("pod: SIGTERM")).isAfter(lastPodGone());
  }

  @Test
  void s8WithoutTheDropInsSystemdEndsPodsAtOnce() throws Exception {
    Files.delete(node.machine.path("/etc/systemd/system/cri-containerd-.scope.d/50-nodeward.conf"));
    pods();
    node.boot();
    node.scope("cri-containerd-1234.scope", "pod");
    node.machine.run("systemctl", "poweroff");
    drainedFirst(Machine.POWERED_OFF);

    // If this fails systemd has mended its issue 34407, and the drop-ins are for older ones.
    assertThat(node.said("pod: SIGTERM")).isBefore(lastPodGone());
  }

  @Test
  void s9AnApiServerThatIsAwayDoesNotHoldTheShutdownForLong() throws Exception {
    node.configure(UNGATED + "termination: {shutdown: {deadline: 5s}}");
    pods();
    node.boot();
    node.api.stop();
    Instant asked = Instant.now();
    node.machine.run("systemctl", "poweroff");
    assertThat(node.machine.awaitEnd(LIMIT)).isEqualTo(Machine.POWERED_OFF);

    assertThat(node.said("kubelet: SIGTERM")).isAfter(asked.plusSeconds(5));
    assertThat(node.lines("nodeward-drain.service: Failed")).isEmpty();
    assertThat(node.lines("nodeward-drain.service: Deactivated successfully")).hasSize(1);
  }

  @Test
  void s9WhatABudgetHoldsIsDeletedBeforeTheDeadline() throws Exception {
    node.configure(UNGATED + "termination: {shutdown: {deadline: 8s}}\ndrain: {reserve: 3s}");
    pods();
    node.api.answer(
        r -> r.path().endsWith("/eviction"),
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.");
    node.boot();
    node.machine.run("systemctl", "poweroff");
    assertThat(node.machine.awaitEnd(LIMIT)).isEqualTo(Machine.POWERED_OFF);

    assertThat(node.api.list("pods")).isEmpty();
    assertThat(node.lines("nodeward-drain.service: Deactivated successfully")).hasSize(1);
  }

  @Test
  void s10WhereTheKubeletDelaysAShutdownTheAgentDrainsInThatDelay() throws Exception {
    node.gracefulKubelet();
    pods();
    node.boot();
    node.machine.await(
        "the agent holds a lock, too",
        () -> node.machine.run("systemd-inhibit", "--list", "--no-legend").contains("nodeward"));
    node.machine.run("systemctl", "poweroff");
    assertThat(node.machine.awaitEnd(LIMIT)).isEqualTo(Machine.POWERED_OFF);

    Instant unitsStop = node.said("Stopping nodeward-drain.service");
    assertThat(node.said("shutdown: lock held"))
        .isBefore(node.said("Started kubelet-lock.service").plusSeconds(10));
    evictedBefore(unitsStop);
    assertThat(lastPodGone()).isBefore(unitsStop);
    assertThat(node.lines("shutdown: the node is drained, letting go")).hasSize(1);
  }

  private void pods() {
    for (String name : List.of("web-1", "web-2", "web-3")) {
      node.pod(name, POD_STOPS);
    }
  }

  private void drainedFirst(int exitCode) throws IOException {
    assertThat(node.machine.awaitEnd(LIMIT)).isEqualTo(exitCode);
    Instant stopped = node.said("kubelet: SIGTERM");
    evictedBefore(stopped);
    assertThat(lastPodGone()).isBefore(stopped);
    assertThat(node.said("kubelet: ended")).isBefore(node.said("agent: stopped"));
    assertThat(node.said("agent: stopped")).isBefore(node.said("containerd: SIGTERM"));
    assertThat(node.lines("meanwhile active:").getFirst().text())
        .isEqualTo("meanwhile active:" + " active".repeat(7));
  }

  private void evictedBefore(Instant then) {
    assertThat(node.evictions()).hasSize(3);
    Instant cordoned = node.firstWriteToTheNode();
    assertThat(node.evictions())
        .extracting(Request::at)
        .allSatisfy(
            at -> {
              assertThat(at).isAfter(cordoned);
              assertThat(at).isBefore(then);
            });
  }

  private Instant lastPodGone() {
    assertThat(node.api.list("pods")).isEmpty();
    return node.lastPodGone();
  }
}
