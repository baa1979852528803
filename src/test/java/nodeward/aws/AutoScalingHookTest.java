package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import nodeward.aws.FakeAutoScaling.Transition;
import nodeward.component.FakeTime;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.termination.LifecycleHook.Answer;
import nodeward.termination.LifecycleHook.Hook;
import nodeward.termination.LifecycleHook.Result;
import nodeward.termination.LifecycleHook.Standing;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AutoScalingHookTest {
  private static final String ID = FakeImds.INSTANCE_ID;
  private static final String GROUP = "workers";
  private static final Duration BEAT = Duration.ofMinutes(5);
  private static final Hook HOOK = new Hook(GROUP, "drain", BEAT, BEAT.multipliedBy(100));

  private FakeAws aws;
  private FakeAutoScaling server;
  private AutoScalingHook hook;

  @BeforeEach
  void start() throws IOException {
    aws = new FakeAws(Time.SYSTEM);
    server = aws.autoScaling;
    hook = hook("", "", "");
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
  void anInstanceOutsideAnyGroupHasNoHook() throws IOException {
    assertThat(hook.standing()).isEqualTo(new Standing.NoGroup());
  }

  @Test
  void aGroupWithLaunchHooksAloneHasNoHook() throws IOException {
    server.hook(GROUP, "launch", Transition.LAUNCHING, BEAT).instance(GROUP, ID);

    assertThat(hook.standing()).isEqualTo(new Standing.NoHook(GROUP, "InService"));
  }

  @Test
  void theOnlyTerminationHookIsTheAgents() throws IOException {
    server
        .hook(GROUP, "launch", Transition.LAUNCHING, BEAT)
        .hook(GROUP, "drain", Transition.TERMINATING, BEAT)
        .instance("other", "i-0aaaaaaaaaaaaaaaa")
        .instance(GROUP, ID);

    assertThat(hook.standing()).isEqualTo(new Standing.Hooked(HOOK, "InService"));
  }

  @Test
  void theHookIsCompletedAsTheInstanceGoesThroughItsStates() throws IOException {
    server.hook(GROUP, "drain", Transition.TERMINATING, BEAT).instance(GROUP, ID);

    server.terminating(ID);
    Standing.Hooked terminating = (Standing.Hooked) hook.standing();
    assertThat(terminating.waiting()).isFalse();
    assertThat(hook.complete(HOOK, Result.CONTINUE))
        .isEqualTo(
            new Answer.NoAction(
                "ValidationError (400): No active Lifecycle Action found with instance ID " + ID));
    assertThat(hook.heartbeat(HOOK)).isInstanceOf(Answer.NoAction.class);

    server.waiting(ID);
    Standing.Hooked waiting = (Standing.Hooked) hook.standing();
    assertThat(waiting.waiting()).isTrue();
    assertThat(hook.heartbeat(HOOK)).isEqualTo(new Answer.Done());
    assertThat(hook.complete(HOOK, Result.CONTINUE)).isEqualTo(new Answer.Done());

    assertThat(server.state(ID)).isEqualTo("Terminating:Proceed");
    assertThat(hook.complete(HOOK, Result.CONTINUE)).isInstanceOf(Answer.NoAction.class);
    assertThat(server.completions())
        .extracting(FakeAutoScaling.Action::result)
        .containsOnly("CONTINUE");
    assertThat(server.heartbeats()).hasSize(2);
  }

  @Test
  void theHookIsLookedUpOnceButTheStateEachTime() throws IOException {
    server.hook(GROUP, "drain", Transition.TERMINATING, BEAT).instance(GROUP, ID);

    for (int i = 0; i < 4; i++) {
      hook.standing();
    }

    assertThat(server.calls("DescribeLifecycleHooks")).isEqualTo(1);
    assertThat(server.calls("DescribeAutoScalingInstances")).isEqualTo(4);
    assertThat(aws.metadata.requests("/latest/meta-data/instance-id")).isEqualTo(1);
  }

  @Test
  void severalHooksAskForTheConfiguredNameAndAreAllNamed() {
    server
        .hook(GROUP, "drain", Transition.TERMINATING, BEAT)
        .hook(GROUP, "backup", Transition.TERMINATING, BEAT)
        .instance(GROUP, ID);

    assertThatThrownBy(() -> hook.standing())
        .isInstanceOf(IOException.class)
        .hasMessageContaining("[backup, drain]")
        .hasMessageContaining("termination.autoScaling.hookName");
  }

  @Test
  void theConfiguredHookIsChosenAndOthersAreLeftAlone() throws IOException {
    server
        .hook(GROUP, "drain", Transition.TERMINATING, BEAT)
        .hook(GROUP, "backup", Transition.TERMINATING, BEAT)
        .instance(GROUP, ID)
        .terminating(ID)
        .waiting(ID);
    AutoScalingHook named = hook("drain", "", "");

    assertThat(named.standing()).isEqualTo(new Standing.Hooked(HOOK, "Terminating:Wait"));
    assertThat(named.complete(HOOK, Result.CONTINUE)).isEqualTo(new Answer.Done());

    assertThat(server.state(ID)).isEqualTo("Terminating:Wait");
  }

  @ParameterizedTest
  @ValueSource(strings = {"launch", "nonesuch"})
  void aConfiguredNameThatIsNoTerminationHookIsAnError(String name) {
    server
        .hook(GROUP, "launch", Transition.LAUNCHING, BEAT)
        .hook(GROUP, "drain", Transition.TERMINATING, BEAT)
        .instance(GROUP, ID);
    AutoScalingHook named = hook(name, "", "");

    assertThatThrownBy(named::standing)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("no termination hook \"" + name + "\"")
        .hasMessageContaining("[drain]");
  }

  @ParameterizedTest
  @ValueSource(strings = {"Warmed:Terminating:Wait", "Terminating:Retained", "Beamed:Up"})
  void statesAreDataAlsoUnknownOnes(String state) throws IOException {
    server.hook(GROUP, "drain", Transition.TERMINATING, BEAT).instance(GROUP, ID).state(ID, state);

    assertThat(hook.standing()).isEqualTo(new Standing.Hooked(HOOK, state));
  }

  @Test
  void aHookThatWasRemovedIsAnErrorAndLookedUpAgain() throws IOException {
    server.hook(GROUP, "drain", Transition.TERMINATING, BEAT).instance(GROUP, ID);
    hook.standing();
    server.removeHook(GROUP, "drain").hook(GROUP, "other", Transition.TERMINATING, BEAT);

    assertThatThrownBy(() -> hook.complete(HOOK, Result.CONTINUE))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("CompleteLifecycleAction")
        .hasMessageContaining("group=workers hook=drain instance=" + ID)
        .hasMessageContaining("ValidationError");

    assertThat(((Standing.Hooked) hook.standing()).hook().name()).isEqualTo("other");
  }

  @Test
  void throttlingAndFailuresAreTriedAgainAndThenErrors() throws IOException {
    server.hook(GROUP, "drain", Transition.TERMINATING, BEAT).instance(GROUP, ID);
    server.terminating(ID).waiting(ID);

    server.throttle(1);
    assertThat(hook.standing()).isInstanceOf(Standing.Hooked.class);
    server.fail(2);
    assertThat(hook.heartbeat(HOOK)).isEqualTo(new Answer.Done());
    server.fail(3);
    assertThatThrownBy(() -> hook.complete(HOOK, Result.CONTINUE))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("group=workers hook=drain instance=" + ID)
        .hasMessageContaining("InternalFailure (500)");

    assertThat(hook.complete(HOOK, Result.CONTINUE)).isEqualTo(new Answer.Done());
  }

  @Test
  void aRefusalNamesTheInstance() {
    server.instance(GROUP, ID).refuse(1, 403, "AccessDenied", "not authorized to perform Describe");

    assertThatThrownBy(() -> hook.standing())
        .isInstanceOf(IOException.class)
        .hasMessageContaining("DescribeAutoScalingInstances instance=" + ID)
        .hasMessageContaining("AccessDenied (403): not authorized");
  }

  // --- the fake's clock

  @Test
  void theFakeDrainsTheLoadBalancerAndEndsTheWaitByItsClock() throws IOException {
    FakeTime time = new FakeTime();
    try (FakeAutoScaling slow =
        FakeAutoScaling.start(new InetSocketAddress("127.0.0.1", 0), time)) {
      slow.hook(GROUP, "drain", Transition.TERMINATING, BEAT).instance(GROUP, ID);

      slow.terminating(ID, Duration.ofSeconds(30));
      assertThat(slow.state(ID)).isEqualTo("Terminating");
      time.advance(Duration.ofSeconds(30));
      assertThat(slow.state(ID)).isEqualTo("Terminating:Wait");
      time.advance(BEAT.minusSeconds(1));
      assertThat(slow.state(ID)).isEqualTo("Terminating:Wait");
      time.advance(Duration.ofSeconds(1));
      assertThat(slow.state(ID)).isEqualTo("Terminating:Proceed");
    }
  }

  @Test
  void theFakeTerminatesAtOnceWithoutAHook() {
    server.instance(GROUP, ID).terminating(ID).waiting(ID);

    assertThat(server.state(ID)).isEqualTo("Terminating:Proceed");
  }

  @Test
  void ofSeveralHooksThePrefixOrTheMetadataTellsOurs() throws Exception {
    aws.autoScaling
        .hook("workers", "other", Transition.TERMINATING, Duration.ofMinutes(5))
        .hook("workers", "nodeward-x", Transition.TERMINATING, Duration.ofMinutes(5))
        .hookMetadata("workers", "nodeward-x", "nodeward")
        .instance("workers", FakeImds.INSTANCE_ID);

    for (AutoScalingHook each : List.of(hook("", "nodeward-", ""), hook("", "", "nodeward"))) {
      assertThat(each.standing())
          .isInstanceOfSatisfying(
              Standing.Hooked.class, h -> assertThat(h.hook().name()).isEqualTo("nodeward-x"));
    }
    assertThatThrownBy(() -> hook("", "absent-", "").standing())
        .hasMessageContaining("has no termination hook with prefix \"absent-\"");
  }

  @Test
  void anActionIsAbandonedOnlyWhenAskedTo() throws Exception {
    aws.autoScaling
        .hook("workers", "drain", Transition.TERMINATING, Duration.ofMinutes(5))
        .instance("workers", FakeImds.INSTANCE_ID)
        .terminating(FakeImds.INSTANCE_ID)
        .waiting(FakeImds.INSTANCE_ID);
    Hook drain = new Hook("workers", "drain", Duration.ofMinutes(5), Duration.ofHours(8));

    assertThat(hook.complete(drain, Result.ABANDON)).isEqualTo(new Answer.Done());

    assertThat(aws.autoScaling.completions())
        .extracting(FakeAutoScaling.Action::result)
        .containsExactly("ABANDON");
  }

  private AutoScalingHook hook(String name, String prefix, String metadata) {
    return new AutoScalingHook(
        aws.clients,
        aws.imds,
        new Config.Termination.AutoScaling(
            true, Duration.ofMinutes(15), name, prefix, metadata, false));
  }
}
