package nodeward.e2e;

import static nodeward.e2e.TerminationScene.SOON;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import nodeward.aws.FakeImds;
import nodeward.cluster.ControlPlane;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** Notices that meet each other, crashes at each step, and each side of the agent away. */
@Tag("e2e")
final class TerminationRacesE2eTest {
  private static final String HOLD = "nodeward.dev/test";

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;

  private TerminationScene scene;

  @BeforeAll
  static void startPlane() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"), ControlPlane.Part.KWOK);
    AgentIdentity.grant(plane);
  }

  @AfterAll
  static void stopPlane() {
    if (plane != null) {
      plane.close();
    }
  }

  @AfterEach
  void stop() {
    if (scene != null) {
      scene.close();
    }
  }

  private Instant deadline() throws IOException {
    return Instant.parse(scene.agent.part("termination").path("deadline").asText());
  }

  @Test
  void aSpotNoticeDuringADrainTightensItAndRestartsNothing() throws Exception {
    scene = new TerminationScene(plane, directory, "autoScaling: {deadline: 15m}");
    scene.pods(2, HOLD).start();
    scene.imds.targetState("Terminated");
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);
    scene.agent.await("both are evicted", SOON, () -> scene.evictions() == 2);
    assertThat(deadline()).isAfter(Instant.now().plusSeconds(600));

    Instant gone = Instant.now().plusSeconds(120);
    scene.imds.spotNotice("terminate", gone);
    scene.agent.await("tightened", SOON, () -> deadline().isBefore(gone));
    scene.finish(0);
    scene.finish(1);

    scene.awaitState("completed");
    assertThat(scene.completions()).containsExactly("CONTINUE");
    assertThat(scene.evictions()).isEqualTo(2);
  }

  @Test
  void spotThenAutoScalingIsOneDrainAndACompletedHook() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(2).start();
    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    scene.awaitState("completed");
    assertThat(scene.completions()).isEmpty();

    scene.imds.targetState("Terminated");
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);
    scene.agent.await("the hook is completed", SOON, () -> scene.completions().size() == 1);

    assertThat(scene.evictions()).isEqualTo(2);
  }

  @Test
  void aTimeThatMovesWithEachLookIsOneNotice() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(2, HOLD).start();
    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    scene.agent.await("both are evicted", SOON, () -> scene.evictions() == 2);
    Instant first = deadline();

    for (int i = 1; i <= 5; i++) {
      scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120 + i));
      scene.awaitLooks(2);
    }

    assertThat(deadline()).isEqualTo(first);
    assertThat(scene.agent.metric("nodeward_termination_notices_total{kind=\"spot\",}"))
        .isEqualTo(1);
    assertThat(scene.nodePatches()).hasSize(1);
  }

  @Test
  void aSpotNoticeThatIsWithdrawnIsUndoneButNotAnOperatorsCordon() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(1).start();
    scene.edit("{\"spec\":{\"unschedulable\":true}}");
    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    scene.awaitState("completed");

    scene.imds.withdrawSpotNotice();
    scene.awaitState("in service");

    assertThat(scene.taints()).noneMatch(t -> t.startsWith("nodeward.dev/"));
    assertThat(scene.cordoned()).isTrue();
    scene.awaitEvent("CancelDrain: ");
  }

  @Test
  void anInstanceThatGoesToTheWarmPoolIsBackInServiceWhenItReturns() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(2).start();
    scene.imds.targetState("Warmed:Stopped");
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);
    scene.awaitState("completed");
    assertThat(scene.completions()).containsExactly("CONTINUE");
    scene.agent.stop();

    scene.boot("11111111-2222-4333-8444-000000000002");
    scene.imds.targetState("InService");
    scene.agent.start();

    scene.awaitAsBefore();
  }

  @Test
  void standbyAndDetachedAreNoTermination() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(1).start();

    for (String state : List.of("Standby", "Detached", "Beamed:Up")) {
      scene.imds.targetState(state);
      scene.awaitLooks(5);
    }

    assertThat(scene.nodePatches()).isEmpty();
    assertThat(scene.podsLeft()).isEqualTo(1);
  }

  @Test
  void killedAtEachStepItGoesOnWithTheSamePlan() throws Exception {
    scene = new TerminationScene(plane, directory, "loadBalancerDelay: 5s").pods(2, HOLD).start();
    scene.imds.targetState("Terminated");
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID);
    scene.awaitState("cordoned");
    Instant first = deadline();

    again();
    scene.agent.await("both are evicted", SOON, () -> scene.evictions() == 2);
    scene.awaitState("draining");
    again();
    scene.awaitState("draining");
    scene.finish(0);
    scene.finish(1);
    scene.awaitState("detaching");
    again();
    scene.awaitState("detaching");
    assertThat(deadline()).isEqualTo(first);
    scene.autoScaling.waiting(FakeImds.INSTANCE_ID);
    scene.awaitState("completed");
    again();
    scene.awaitState("completed");

    assertThat(scene.completions()).containsExactly("CONTINUE");
    assertThat(scene.evictions()).isEqualTo(2);
    assertThat(scene.nodePatches()).hasSize(1);
  }

  /** SIGKILL, and a start right after. */
  private void again() throws IOException {
    scene.agent.close();
    scene.agent.start();
  }

  @Test
  void theSecondAgentOfANodeStandsByUntilTheFirstIsKilled() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(2, HOLD).start();
    PackagedAgent other = scene.another();
    try {
      other.start();
      other.await(
          "it stands by",
          SOON,
          () -> other.part("termination").path("state").asText().startsWith("standing by"));
      scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
      scene.agent.await("both are evicted", SOON, () -> scene.evictions() == 2);
      assertThat(other.metric("nodeward_termination_active")).isZero();

      scene.agent.close();
      scene.finish(0);
      scene.finish(1);

      other.await(
          "it has taken over",
          SOON,
          () -> other.part("termination").path("state").asText().equals("completed"));
      assertThat(scene.evictions()).isEqualTo(2);
      assertThat(scene.nodePatches()).hasSize(1);
    } finally {
      other.close();
    }
  }

  @Test
  void metadataThatHangsOrFailsDegradesAndNothingMore() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(1).start();

    for (var fault :
        List.of(
            FakeImds.Fault.HANG,
            FakeImds.Fault.FORBIDDEN,
            FakeImds.Fault.BUSY,
            FakeImds.Fault.UNAUTHORIZED)) {
      scene.imds.fail("", fault);
      scene.agent.await(
          "degraded by " + fault,
          SOON,
          () -> scene.agent.part("termination").path("health").asText().contains("metadata"));
      scene.imds.recover();
      scene.agent.await("well again after " + fault, SOON, scene.agent::isReady);
    }
    scene.imds.fail(FakeImds.SCHEDULED, FakeImds.Fault.GARBAGE);
    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));

    scene.awaitNoPods();
    assertThat(scene.agent.metric("nodeward_termination_metadata_errors_total"))
        .isGreaterThanOrEqualTo(4);
  }

  @Test
  void autoScalingThatFailsForAMinuteIsOutlasted() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(1).start();
    scene.autoScaling.fail(Integer.MAX_VALUE);
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);
    scene.imds.targetState("Terminated");
    scene.awaitState("detaching");
    Instant over = Instant.now().plusSeconds(60);
    scene.agent.await("a minute", SOON.plusSeconds(60), () -> Instant.now().isAfter(over));
    assertThat(scene.completions()).isEmpty();

    scene.autoScaling.fail(0);

    scene.awaitState("completed");
    assertThat(scene.completions()).containsExactly("CONTINUE");
  }

  @Test
  void throttlingAndAHookOfOthersAreNoObstacle() throws Exception {
    scene = new TerminationScene(plane, directory, "autoScaling: {hookName: drain}").pods(1);
    scene.autoScaling.hook(
        TerminationScene.GROUP,
        "theirs",
        nodeward.aws.FakeAutoScaling.Transition.TERMINATING,
        Duration.ofMinutes(10));
    scene.start();
    scene.autoScaling.throttle(3);
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);

    scene.imds.targetState("Terminated");
    scene.awaitState("completed");

    assertThat(scene.autoScaling.completions()).allMatch(a -> a.hook().equals("drain"));
    assertThat(scene.completions()).containsExactly("CONTINUE");
    assertThat(scene.autoScaling.state(FakeImds.INSTANCE_ID)).isEqualTo("Terminating:Wait");
  }

  @Test
  void aClockThatIsTenMinutesOffChangesNothing() throws Exception {
    for (Duration skew : List.of(Duration.ofMinutes(10), Duration.ofMinutes(-10))) {
      var there = TerminationScene.ahead(skew);
      scene = new TerminationScene(plane, directory, there, "").pods(1, HOLD).start();
      Instant begun = Instant.now();
      scene.imds.spotNotice("terminate", there.now().plusSeconds(120));
      scene.agent.await("it is evicted", SOON, () -> scene.evictions() == 1);

      assertThat(deadline()).isBetween(begun.plusSeconds(105), Instant.now().plusSeconds(115));
      scene.finish(0);
      scene.awaitState("completed");
      scene.close();
    }
  }

  @Test
  void aBudgetThatAllowsNothingIsForcedAtTheDeadline() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(1).blocked().start();

    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(25));

    scene.awaitCordon();
    assertThat(scene.podsLeft()).isEqualTo(1);
    scene.awaitNoPods();
    scene.awaitState("completed");
    assertThat(scene.evictions()).isZero();
  }

  @Test
  void podsThatAreLeftAreNamedAndTheHookIsCompletedAtTheDeadline() throws Exception {
    scene = new TerminationScene(plane, directory, "autoScaling: {deadline: 8s}");
    scene.pods(1, HOLD).start();
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);

    scene.imds.targetState("Terminated");

    scene.awaitState("completed");
    assertThat(scene.completions()).containsExactly("CONTINUE");
    scene.awaitEvent(
        "CordonAndDrainError: There was a problem while trying to cordon and drain the node: pods"
            + " left: 1 (default/web-0-");
    scene.finish(0);
  }
}
