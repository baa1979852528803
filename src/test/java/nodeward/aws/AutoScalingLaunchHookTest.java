package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.function.BooleanSupplier;
import nodeward.aws.FakeAutoScaling.Transition;
import nodeward.component.FakeTime;
import nodeward.component.Time;
import nodeward.readiness.LaunchHook.Into;
import nodeward.readiness.LaunchHook.Result;
import nodeward.readiness.LaunchHook.Standing;
import nodeward.readiness.LaunchWatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AutoScalingLaunchHookTest {
  private static final String ID = FakeImds.INSTANCE_ID;
  private static final String GROUP = "workers";
  private static final Duration BEAT = Duration.ofMinutes(5);
  private static final Standing.Waiting WAITING =
      new Standing.Waiting(GROUP, "ready", BEAT, Into.SERVICE);
  private static final Standing.Waiting WAITING_TO_REST =
      new Standing.Waiting(GROUP, "ready", BEAT, Into.WARM_POOL);

  private FakeAws aws;
  private FakeAutoScaling server;
  private AutoScalingLaunchHook hook;

  @BeforeEach
  void start() throws IOException {
    aws = new FakeAws(Time.SYSTEM);
    server = aws.autoScaling;
    hook = new AutoScalingLaunchHook(aws.clients, aws.imds, "");
  }

  @AfterEach
  void close() {
    aws.close();
  }

  @Test
  void nothingIsAskedBeforeTheFirstCall() {
    assertThat(aws.metadata.requests()).isZero();
    assertThat(server.calls("DescribeAutoScalingInstances")).isZero();
  }

  @Test
  void anInstanceOutsideAnyGroupHasNothingToWaitFor() throws IOException {
    assertThat(hook.standing())
        .isEqualTo(new Standing.Nothing("the instance is in no Auto Scaling group"));
  }

  @Test
  void aGroupWithTerminationHooksAloneHasNothingToWaitFor() throws IOException {
    server.hook(GROUP, "drain", Transition.TERMINATING, BEAT).instance(GROUP, ID).launching(ID);

    assertThat(hook.standing()).isEqualTo(new Standing.Nothing("group workers has no launch hook"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "InService",
        "Pending:Proceed",
        "Warmed:Terminating:Wait",
        "Terminating:Wait",
        "Standby",
        "Beamed:Up"
      })
  void pastTheLaunchTheHooksAreNotEvenAskedFor(String state) throws IOException {
    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID).state(ID, state);

    assertThat(hook.standing())
        .isEqualTo(new Standing.Nothing("the instance is " + state + " in group workers"));
    assertThat(server.calls("DescribeLifecycleHooks")).isZero();
  }

  @Test
  void theHookIsKeptAliveAndContinuedIntoService() throws IOException {
    server
        .hook(GROUP, "drain", Transition.TERMINATING, BEAT)
        .hook(GROUP, "ready", Transition.LAUNCHING, BEAT)
        .instance("other", "i-0aaaaaaaaaaaaaaaa")
        .instance(GROUP, ID);

    server.launching(ID);
    assertThat(hook.standing()).isEqualTo(new Standing.NotYet("Pending"));
    server.waiting(ID);
    assertThat(hook.standing()).isEqualTo(WAITING);
    hook.heartbeat(WAITING);
    hook.complete(WAITING, Result.CONTINUE);

    assertThat(server.state(ID)).isEqualTo("InService");
    assertThat(hook.standing()).isInstanceOf(Standing.Nothing.class);
    assertThat(server.heartbeats())
        .extracting(FakeAutoScaling.Action::hook)
        .containsExactly("ready");
    assertThat(server.completions())
        .extracting(FakeAutoScaling.Action::result)
        .containsExactly("CONTINUE");
    assertThat(server.calls("DescribeLifecycleHooks")).isEqualTo(1);
    assertThat(server.calls("DescribeAutoScalingInstances")).isEqualTo(3);
  }

  @Test
  void anAbandonedLaunchIsTerminated() throws IOException {
    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID);
    server.launching(ID).waiting(ID);

    hook.complete(WAITING, Result.ABANDON);

    assertThat(server.state(ID)).isEqualTo("Terminating");
    assertThat(hook.standing()).isInstanceOf(Standing.Nothing.class);
  }

  @Test
  void anInstanceOnItsWayIntoTheWarmPoolWaitsToo() throws IOException {
    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID);

    server.state(ID, "Warmed:Pending");
    assertThat(hook.standing()).isEqualTo(new Standing.NotYet("Warmed:Pending"));
    server.waiting(ID);
    assertThat(server.state(ID)).isEqualTo("Warmed:Pending:Wait");
    assertThat(hook.standing()).isEqualTo(WAITING_TO_REST);
    hook.complete(WAITING_TO_REST, Result.CONTINUE);

    assertThat(server.state(ID)).isEqualTo("Warmed:Stopped");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"Warmed:Pending:Proceed", "Warmed:Running", "Warmed:Stopped", "Warmed:Hibernated"})
  void anInstanceInTheWarmPoolRestsWhereAHookWillHoldItOnceMore(String state) throws IOException {
    server.instance(GROUP, ID).state(ID, state);
    assertThat(hook.standing()).isEqualTo(new Standing.Nothing("group workers has no launch hook"));

    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT);
    assertThat(hook.standing()).isEqualTo(new Standing.Resting(state));
  }

  @Test
  void whetherItRestsIsAskedOfTheInstanceAlone() throws IOException {
    assertThat(hook.isResting()).isFalse();
    for (String state : List.of("Warmed:Running", "Warmed:Hibernated\n", "Warmed:Stopped")) {
      aws.metadata.targetState(state);
      assertThat(hook.isResting()).isTrue();
    }
    aws.metadata.targetState("InService");
    assertThat(hook.isResting()).isFalse();
    assertThat(server.calls("DescribeAutoScalingInstances")).isZero();
  }

  @Test
  void theWatchCompletesBothActionsOfAWarmInstance() throws Exception {
    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID);
    server.state(ID, "Warmed:Pending").waiting(ID);
    aws.metadata.targetState("Warmed:Running");
    try (var watch = new LaunchWatch(hook, Time.SYSTEM, new CollectorRegistry())) {
      watch.start();
      watch.opened();
      poll(() -> server.completions().size() == 1);
      assertThat(server.state(ID)).startsWith("Warmed:");

      aws.metadata.targetState("InService");
      server.state(ID, "Pending").waiting(ID);
      // Wakes the loop.
      watch.closed();
      watch.opened();
      poll(() -> server.state(ID).equals("InService"));
    }

    assertThat(server.completions())
        .extracting(FakeAutoScaling.Action::result)
        .containsExactly("CONTINUE", "CONTINUE");
  }

  @Test
  void anActionThatIsOverIsNoFailure() throws IOException {
    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID);

    hook.heartbeat(WAITING);
    hook.complete(WAITING, Result.CONTINUE);

    assertThat(server.completions())
        .extracting(FakeAutoScaling.Action::outcome)
        .containsExactly("No active Lifecycle Action found with instance ID " + ID);
  }

  @Test
  void severalHooksAskForTheConfiguredNameAndAreAllNamed() {
    server
        .hook(GROUP, "ready", Transition.LAUNCHING, BEAT)
        .hook(GROUP, "backup", Transition.LAUNCHING, BEAT)
        .instance(GROUP, ID)
        .launching(ID);

    assertThatThrownBy(() -> hook.standing())
        .isInstanceOf(IOException.class)
        .hasMessage(
            "autoscaling: group=workers has several launch hooks [backup, ready]: set"
                + " gate.launchHook.name to the agent's own");
  }

  @Test
  void theConfiguredHookIsChosenAndOthersAreLeftAlone() throws IOException {
    server
        .hook(GROUP, "ready", Transition.LAUNCHING, BEAT)
        .hook(GROUP, "backup", Transition.LAUNCHING, BEAT)
        .instance(GROUP, ID)
        .launching(ID)
        .waiting(ID);
    var named = new AutoScalingLaunchHook(aws.clients, aws.imds, "ready");

    assertThat(named.standing()).isEqualTo(WAITING);
    named.complete(WAITING, Result.CONTINUE);

    assertThat(server.state(ID)).isEqualTo("Pending:Wait");
  }

  @Test
  void aConfiguredNameThatIsNoLaunchHookIsAnError() {
    server
        .hook(GROUP, "ready", Transition.LAUNCHING, BEAT)
        .hook(GROUP, "drain", Transition.TERMINATING, BEAT)
        .instance(GROUP, ID)
        .launching(ID);
    var named = new AutoScalingLaunchHook(aws.clients, aws.imds, "drain");

    assertThatThrownBy(named::standing)
        .isInstanceOf(IOException.class)
        .hasMessage(
            "autoscaling: group=workers has no launch hook \"drain\" (gate.launchHook.name);"
                + " it has [ready]");
  }

  @Test
  void aRefusalIsToldWithWhatWasAsked() {
    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID).launching(ID);
    server.waiting(ID).refuse(1, 403, "AccessDenied", "not authorized to perform Complete");

    assertThatThrownBy(() -> hook.complete(WAITING, Result.CONTINUE))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("CompleteLifecycleAction group=workers hook=ready instance=" + ID)
        .hasMessageContaining("AccessDenied (403): not authorized");
  }

  @Test
  void theWatchTakesALaunchThroughAnOutageIntoService() throws Exception {
    server.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID);
    server.launching(ID).waiting(ID);
    try (var watch = new LaunchWatch(hook, Time.SYSTEM, new CollectorRegistry())) {
      watch.start();
      watch.closed();
      poll(() -> server.heartbeats().size() == 1);

      server.refuse(1, 403, "AccessDenied", "not yet");
      watch.opened();
      poll(() -> server.state(ID).equals("InService"));

      poll(() -> watch.health().isHealthy());
      assertThat(watch.status())
          .containsEntry("hook", "completed ready of group workers with CONTINUE");
      assertThat(server.completions()).hasSize(1);
    }
  }

  private static void poll(BooleanSupplier question) throws InterruptedException {
    long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
    while (!question.getAsBoolean()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
      Thread.sleep(10);
    }
  }

  @Test
  void theFakeStartsTheInstanceAndEndsTheWaitByItsClock() throws IOException {
    FakeTime time = new FakeTime();
    try (FakeAutoScaling slow =
        FakeAutoScaling.start(new InetSocketAddress("127.0.0.1", 0), time)) {
      slow.hook(GROUP, "ready", Transition.LAUNCHING, BEAT).instance(GROUP, ID);

      slow.launching(ID, Duration.ofSeconds(40));
      assertThat(slow.state(ID)).isEqualTo("Pending");
      time.advance(Duration.ofSeconds(40));
      assertThat(slow.state(ID)).isEqualTo("Pending:Wait");
      time.advance(BEAT);
      assertThat(slow.state(ID)).isEqualTo("Terminating");
    }
  }

  @Test
  void theFakeGoesIntoServiceAtOnceWithoutAHook() {
    server.instance(GROUP, ID).launching(ID).waiting(ID);

    assertThat(server.state(ID)).isEqualTo("InService");
  }
}
