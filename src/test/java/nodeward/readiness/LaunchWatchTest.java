package nodeward.readiness;

import static nodeward.readiness.FakeLaunchHook.WAITING;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.function.Consumer;
import java.util.stream.Stream;
import nodeward.component.FakeTime;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.readiness.LaunchHook.Standing;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

final class LaunchWatchTest {
  private static final Duration LIMIT = Duration.ofSeconds(20);

  private final FakeTime time = new FakeTime();
  private final FakeLaunchHook hook = new FakeLaunchHook();
  private final CollectorRegistry registry = new CollectorRegistry();
  private final LaunchWatch watch = new LaunchWatch(hook, time, registry);

  @Test
  void nothingIsAskedBeforeTheGateIsKnown() throws Exception {
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(hook.calls()).isEmpty();
    assertThat(watch.status()).containsEntry("hook", "nobody has asked yet");
  }

  @Test
  void anActionIsKeptAliveWhileTheGateIsClosedAndContinuedWhenItOpens() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    assertThat(pass()).isEqualTo(Duration.ofSeconds(150));
    assertThat(hook.calls()).containsExactly("standing", "heartbeat");
    assertThat(watch.status()).containsEntry("hook", "ready of group workers waits for the gate");

    time.advance(Duration.ofSeconds(100));
    assertThat(pass()).isEqualTo(Duration.ofSeconds(50));
    assertThat(hook.count("heartbeat")).isEqualTo(1);
    time.advance(Duration.ofSeconds(50));
    pass();
    assertThat(hook.count("heartbeat")).isEqualTo(2);

    watch.opened();
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    assertThat(hook.calls())
        .containsExactly("standing", "heartbeat", "standing", "heartbeat", "CONTINUE");
    assertThat(outcome("continue")).isEqualTo(1);
    assertThat(watch.status())
        .containsEntry("hook", "completed ready of group workers with CONTINUE");
  }

  @ParameterizedTest(name = "timeout {0} beats every {1}")
  @CsvSource({"PT1H, PT30M", "PT60S, PT30S", "PT50S, PT20S", "PT45S, PT15S", "PT30S, PT10S"})
  void beatsInTime(Duration timeout, Duration between) throws Exception {
    hook.standing(new Standing.Waiting("workers", "ready", timeout, LaunchHook.Into.SERVICE));
    watch.closed();

    assertThat(pass()).isEqualTo(between);
  }

  @Test
  void aPendingInstanceIsLookedAtAgainUntilItWaits() throws Exception {
    watch.opened();

    assertThat(pass()).isEqualTo(Duration.ofSeconds(5));
    assertThat(watch.status()).containsEntry("hook", "the instance is Pending");
    time.advance(Duration.ofSeconds(5));
    assertThat(pass()).isEqualTo(Duration.ofSeconds(5));
    hook.standing(WAITING);
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(hook.calls()).containsExactly("standing", "standing", "standing", "CONTINUE");
  }

  @Test
  void anInstanceThatStaysPendingIsLeftAfterTenMinutes() throws Exception {
    watch.closed();
    pass();
    time.advance(Duration.ofMinutes(10).minusSeconds(1));
    assertThat(pass()).isEqualTo(Duration.ofSeconds(5));

    time.advance(Duration.ofSeconds(5));
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    watch.opened();
    pass();

    assertThat(hook.calls()).hasSize(3).containsOnly("standing");
    assertThat(outcome("unseen")).isEqualTo(1);
    assertThat(watch.status()).containsEntry("hook", "the instance stayed Pending");
  }

  @ParameterizedTest
  @MethodSource("gateWords")
  void whereThereIsNothingToDoNobodyAsksAgainInThisBoot(Consumer<LaunchWatch> word)
      throws Exception {
    hook.standing(new Standing.Nothing("group workers has no launch hook"));

    word.accept(watch);
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    watch.opened();
    pass();
    watch.closed();
    time.advance(Duration.ofHours(5));
    pass();

    assertThat(hook.calls()).containsExactly("standing");
    assertThat(outcome("nothing")).isEqualTo(1);
    assertThat(watch.status()).containsEntry("hook", "group workers has no launch hook");
  }

  static Stream<Named<Consumer<LaunchWatch>>> gateWords() {
    return Stream.of(
        Named.of("closed", LaunchWatch::closed),
        Named.of("opened", LaunchWatch::opened),
        Named.of("abandoned", LaunchWatch::abandoned));
  }

  @Test
  void anActionThatSomebodyElseEndedIsNotBeatenAnyMore() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    time.advance(pass());

    hook.standing(new Standing.Nothing("the instance is InService in group workers"));
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(hook.count("heartbeat")).isEqualTo(1);
    assertThat(outcome("nothing")).isEqualTo(1);
  }

  @Test
  void aGateThatClosesAgainAsksNothing() throws Exception {
    hook.standing(WAITING);
    watch.opened();
    pass();
    hook.standing(WAITING);

    watch.closed();
    pass();
    watch.opened();
    pass();

    assertThat(hook.calls()).containsExactly("standing", "CONTINUE");
  }

  // --- given up

  @Test
  void aGateThatIsGivenUpLetsTheActionRunOut() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    pass();

    watch.givenUp();
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    time.advance(Duration.ofHours(1));
    pass();

    assertThat(hook.calls()).containsExactly("standing", "heartbeat");
    assertThat(watch.status()).containsEntry("hook", "left to run out");
  }

  @Test
  void aGateThatOpensAfterItWasGivenUpIsContinued() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    pass();
    watch.givenUp();
    pass();

    watch.opened();
    pass();

    assertThat(hook.count("CONTINUE")).isEqualTo(1);
  }

  @Test
  void anAbandonedLaunchIsEndedOnce() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    pass();

    watch.abandoned();
    pass();
    watch.opened();
    pass();

    assertThat(hook.calls()).containsExactly("standing", "heartbeat", "ABANDON");
    assertThat(outcome("abandon")).isEqualTo(1);
    assertThat(outcome("continue")).isNull();
  }

  // --- no call at all

  @Test
  void aGateThatWasOpenedLongAgoAsksNothing() throws Exception {
    hook.standing(WAITING);
    watch.restored(time.now().minus(Duration.ofHours(1)).minusSeconds(1));

    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    watch.opened();
    pass();

    assertThat(hook.calls()).as("of the instance alone").containsExactly("metadata");
    assertThat(watch.status())
        .containsEntry("hook", "the gate was opened by an earlier run of the agent");
  }

  // --- the warm pool

  @Test
  void anInstanceThatLeavesTheWarmPoolIsContinuedASecondTime() throws Exception {
    hook.standing(FakeLaunchHook.WAITING_TO_REST);
    watch.opened();
    assertThat(pass()).isEqualTo(LaunchWatch.LOOK_AGAIN);
    assertThat(hook.calls()).containsExactly("standing", "CONTINUE");

    for (int i = 0; i < 1000; i++) {
      time.advance(LaunchWatch.REST);
      assertThat(pass()).isEqualTo(LaunchWatch.REST);
    }
    assertThat(watch.status()).containsEntry("hook", "the instance rests in the warm pool");
    assertThat(hook.count("standing")).as("no API while it rests").isEqualTo(1);

    hook.resting(false);
    hook.standing(new Standing.NotYet("Pending"));
    assertThat(pass()).isEqualTo(LaunchWatch.LOOK_AGAIN);
    hook.standing(WAITING);
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(hook.calls()).endsWith("standing", "metadata", "standing", "CONTINUE");
    assertThat(outcome("continue")).isEqualTo(2);
    assertThat(watch.status())
        .containsEntry("hook", "completed ready of group workers with CONTINUE");
  }

  @Test
  void anInstanceThatLeavesTheWarmPoolWithAClosedGateIsKeptAliveUntilItOpens() throws Exception {
    hook.standing(FakeLaunchHook.WAITING_TO_REST);
    watch.opened();
    pass();
    watch.closed();
    hook.resting(false);
    hook.standing(WAITING);

    assertThat(pass()).isEqualTo(Duration.ofSeconds(150));
    assertThat(hook.count("heartbeat")).isEqualTo(1);
    watch.opened();
    pass();

    assertThat(hook.count("CONTINUE")).isEqualTo(2);
  }

  @Test
  void anAgentThatStartsInTheWarmPoolLongAfterTheOpeningCompletesTheSecondAction()
      throws Exception {
    hook.resting(true);
    watch.restored(time.now().minus(Duration.ofHours(9)));
    assertThat(pass()).isEqualTo(LaunchWatch.LOOK_AGAIN);
    assertThat(pass()).isEqualTo(LaunchWatch.REST);

    hook.resting(false);
    hook.standing(WAITING);
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(hook.count("CONTINUE")).isEqualTo(1);
  }

  @Test
  void aWarmPoolThatOnlyAutoScalingKnowsOfIsAskedForSeldom() throws Exception {
    hook.standing(new Standing.Resting("Warmed:Running"));
    watch.opened();

    for (int i = 0; i < 5; i++) {
      assertThat(pass()).isEqualTo(LaunchWatch.REST_UNSURE);
      assertThat(watch.status()).containsEntry("hook", "the instance is Warmed:Running");
    }
  }

  @Test
  void anAbandonedLaunchDoesNotRest() throws Exception {
    hook.standing(FakeLaunchHook.WAITING_TO_REST);
    watch.abandoned();

    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(outcome("abandon")).isEqualTo(1);
  }

  @Test
  void aGateThatIsGivenUpInTheWarmPoolStillRests() throws Exception {
    hook.standing(FakeLaunchHook.WAITING_TO_REST);
    watch.closed();
    pass();
    watch.givenUp();
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    // The hook ran out with CONTINUE.
    hook.resting(true);
    hook.standing(new Standing.Resting("Warmed:Running"));

    watch.opened();
    pass();
    assertThat(pass()).isEqualTo(LaunchWatch.REST);
    hook.resting(false);
    hook.standing(WAITING);
    pass();

    // The first of them came after the action's end, which is no failure.
    assertThat(hook.count("CONTINUE")).isEqualTo(2);
  }

  @Test
  void anAgentKilledBetweenTheGateAndTheHookCompletesItWhenItIsBack() throws Exception {
    hook.standing(WAITING);

    watch.restored(time.now().minusSeconds(3));
    pass();

    assertThat(hook.calls()).containsExactly("standing", "CONTINUE");
  }

  @Test
  void aHookThatIsNotWantedIsSaidToBeSo() throws Exception {
    var off = new LaunchWatch(LaunchHook.disabled(), time, new CollectorRegistry());

    off.opened();
    assertThat(off.pass(time.now())).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(off.status()).containsEntry("hook", "gate.launchHook.enabled is false");
  }

  // --- failures

  @Test
  void aFailureIsTheLoopsAndTriedAgainUntilItIsDone() throws Exception {
    hook.standing(WAITING);
    hook.fail("autoscaling: down");
    watch.opened();
    assertThatThrownBy(this::pass).isInstanceOf(IOException.class).hasMessage("autoscaling: down");
    assertThatThrownBy(this::pass).isInstanceOf(IOException.class);

    hook.recover();
    pass();

    assertThat(hook.calls()).containsExactly("standing", "standing", "standing", "CONTINUE");
  }

  @Test
  void aCompletionThatFailedIsBegunWithALook() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    pass();
    hook.fail("hook not found");
    watch.opened();
    assertThatThrownBy(this::pass).isInstanceOf(IOException.class);

    hook.recover();
    hook.standing(new Standing.Nothing("group workers has no launch hook"));
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(hook.calls()).containsExactly("standing", "heartbeat", "CONTINUE", "standing");
  }

  @Test
  void aHeartbeatThatFailedIsRepeatedAtTheNextPass() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    time.advance(pass());
    hook.fail("throttled");
    assertThatThrownBy(this::pass).isInstanceOf(IOException.class);

    hook.recover();
    assertThat(pass()).isEqualTo(Duration.ofSeconds(150));

    assertThat(hook.count("heartbeat")).isEqualTo(2);
  }

  @Test
  void afterTheLongestActionFailuresAreGivenUp() throws Exception {
    hook.fail("AccessDenied");
    watch.opened();
    assertThatThrownBy(this::pass).isInstanceOf(IOException.class);
    time.advance(Duration.ofHours(2).minusSeconds(1));
    assertThatThrownBy(this::pass).isInstanceOf(IOException.class);

    time.advance(Duration.ofSeconds(1));
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    pass();

    assertThat(hook.calls()).hasSize(3);
    assertThat(outcome("failed")).isEqualTo(1);
  }

  @Test
  void aClockThatJumpsChangesNothing() throws Exception {
    hook.standing(WAITING);
    watch.closed();
    pass();

    time.jump(Duration.ofDays(3));
    assertThat(pass()).isEqualTo(Duration.ofSeconds(150));
    time.jump(Duration.ofDays(-6));
    assertThat(pass()).isEqualTo(Duration.ofSeconds(150));

    assertThat(hook.calls()).containsExactly("standing", "heartbeat");
  }

  // --- the loop

  @Test
  void theWordOfTheGateWakesTheLoopAndAFailureShowsInItsHealth() throws Exception {
    try (var live = new LaunchWatch(hook, Time.SYSTEM, new CollectorRegistry())) {
      hook.standing(WAITING);
      live.start();
      poll(() -> live.health().isHealthy());

      live.closed();
      poll(() -> hook.count("heartbeat") == 1);
      hook.fail("autoscaling: down");
      live.opened();
      poll(() -> live.health().equals(Health.degraded("autoscaling: down")));
      hook.recover();
      poll(() -> live.health().isHealthy());

      assertThat(hook.calls()).endsWith("standing", "CONTINUE");
    }
  }

  private Duration pass() throws IOException {
    return watch.pass(time.now());
  }

  private @Nullable Double outcome(String label) {
    return registry.getSampleValue(
        "nodeward_gate_launch_hook_total", new String[] {"outcome"}, new String[] {label});
  }

  @FunctionalInterface
  private interface Question {
    boolean ask();
  }

  private static void poll(Question question) throws InterruptedException {
    long deadline = System.nanoTime() + LIMIT.toNanos();
    while (!question.ask()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
      Thread.sleep(10);
    }
  }
}
