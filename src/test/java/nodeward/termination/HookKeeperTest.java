package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nodeward.component.FakeTime;
import nodeward.component.Loop;
import nodeward.termination.LifecycleHook.Hook;
import nodeward.termination.LifecycleHook.Result;
import nodeward.termination.LifecycleHook.Standing;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class HookKeeperTest {
  private static final Duration POLL = Duration.ofSeconds(5);

  private final FakeTime time = new FakeTime();
  private final FakeHook hook = new FakeHook();
  private final List<Event> told = new ArrayList<>();
  private final HookKeeper keeper = new HookKeeper(hook, POLL, time, told::add);

  @Test
  void asksNothingBeforeThereIsAPlan() throws Exception {
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    assertThat(hook.calls()).isEmpty();
    assertThat(keeper.health().isHealthy()).isTrue();
  }

  @Test
  void asksUnhurriedUntilTheWaitAndThenBeatsAtOnceAndAtHalfTheTimeout() throws Exception {
    keeper.keep(Optional.empty());
    assertThat(pass()).isEqualTo(Duration.ofSeconds(15));
    assertThat(hook.calls()).containsExactly("standing");
    assertThat(told).containsExactly(new Event.Hooked(FakeHook.HOOK));

    hook.lifecycleState("Terminating:Wait");
    Duration wait = pass();
    assertThat(hook.calls()).containsExactly("standing", "standing", "heartbeat");
    assertThat(wait).isEqualTo(Duration.ofSeconds(150));

    time.advance(wait.minusSeconds(1));
    assertThat(pass()).isEqualTo(Duration.ofSeconds(1));
    assertThat(hook.count("heartbeat")).isEqualTo(1);
    time.advance(Duration.ofSeconds(1));
    pass();
    assertThat(hook.count("heartbeat")).isEqualTo(2);
    assertThat(hook.count("standing")).isEqualTo(2);
    assertThat(keeper.standing()).isEqualTo("drain of workers: Terminating:Wait");
  }

  @ParameterizedTest(name = "timeout {0} beats every {1}")
  @CsvSource({"PT1H, PT30M", "PT60S, PT30S", "PT50S, PT20S", "PT45S, PT15S", "PT30S, PT10S"})
  void beatsInTime(Duration timeout, Duration between) throws Exception {
    var other = new Hook("workers", "drain", timeout, Duration.ofHours(8));
    hook.standing(new Standing.Hooked(other, "Terminating:Wait"));
    keeper.keep(Optional.empty());

    assertThat(pass()).isEqualTo(between);
  }

  @Test
  void completesOnceAndStopsBeating() throws Exception {
    hook.lifecycleState("Warmed:Terminating:Wait");
    keeper.keep(Optional.empty());
    pass();

    keeper.complete(Result.CONTINUE);
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    time.advance(Duration.ofHours(1));
    pass();

    assertThat(hook.calls()).containsExactly("standing", "heartbeat", "complete");
    assertThat(told).last().isEqualTo(new Event.Detached("completed drain of group workers"));
    assertThat(told).filteredOn(e -> e instanceof Event.Detached).hasSize(1);
  }

  @Test
  void tellsOnceThatTheLoadBalancersAreDone() throws Exception {
    keeper.keep(Optional.empty());
    pass();
    assertThat(told).doesNotContain(new Event.OutOfBalancers());

    hook.lifecycleState("Terminating:Wait");
    pass();
    pass();

    assertThat(told).filteredOn(e -> e instanceof Event.OutOfBalancers).hasSize(1);
  }

  @Test
  void beatsNoLongerThanTheGlobalTimeout() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    keeper.keep(Optional.empty());
    pass();
    time.advance(FakeHook.HOOK.globalTimeout().minusSeconds(1));
    pass();
    assertThat(hook.count("heartbeat")).isEqualTo(2);

    time.advance(Duration.ofSeconds(1));
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    assertThat(keeper.standing()).isEqualTo("the global timeout of drain is over");
    keeper.complete(Result.CONTINUE);
    pass();

    assertThat(hook.count("heartbeat")).isEqualTo(2);
    assertThat(told).last().isInstanceOf(Event.Detached.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Terminating:Proceed",
        "Warmed:Terminating:Proceed",
        "Terminated",
        "Terminating:Retained",
        "Warmed:Pending",
        "Warmed:Stopped"
      })
  void anInstanceThatItsGroupHoldsNoMoreIsDone(String state) throws Exception {
    hook.lifecycleState(state);
    keeper.keep(Optional.empty());
    keeper.complete(Result.CONTINUE);

    pass();

    assertThat(hook.calls()).containsExactly("standing");
    assertThat(keeper.state()).isEqualTo("over");
    assertThat(told).last().isInstanceOf(Event.Detached.class);
  }

  @Test
  void abandonsWhenToldTo() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    keeper.keep(Optional.empty());
    pass();
    keeper.complete(Result.ABANDON);
    pass();

    assertThat(hook.calls()).last().isEqualTo("abandon");
    assertThat(told).last().isEqualTo(new Event.Detached("abandoned drain of group workers"));
  }

  @Test
  void aDrainThatIsDoneBeforeTheWaitIsCompletedWhenTheWaitBegins() throws Exception {
    keeper.keep(Optional.empty());
    keeper.complete(Result.CONTINUE);
    assertThat(pass()).isEqualTo(POLL);
    assertThat(hook.count("complete")).isZero();

    hook.lifecycleState("Terminating:Wait");
    pass();

    assertThat(hook.calls()).containsExactly("standing", "standing", "complete");
    assertThat(told).last().isInstanceOf(Event.Detached.class);
  }

  @Test
  void anActionThatSomebodyElseCompletedCountsAsDone() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    keeper.keep(Optional.empty());
    pass();

    hook.lifecycleState("Terminating:Proceed");
    keeper.complete(Result.CONTINUE);
    pass();

    assertThat(told)
        .last()
        .isEqualTo(new Event.Detached("the action of drain is over, state Terminating:Proceed"));
  }

  @Test
  void anActionThatRanOutDuringTheDrainIsNotBeatenAnyMore() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    keeper.keep(Optional.empty());
    time.advance(pass());

    hook.lifecycleState("Terminating:Proceed");
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);
    assertThat(told).noneMatch(e -> e instanceof Event.Detached);

    keeper.complete(Result.CONTINUE);
    pass();
    assertThat(told).last().isInstanceOf(Event.Detached.class);
    assertThat(hook.count("complete")).isZero();
  }

  @Test
  void noGroupAndNoHookAreAskedForOnce() throws Exception {
    for (Standing standing :
        List.of(new Standing.NoGroup(), new Standing.NoHook("workers", "Terminating"))) {
      told.clear();
      hook.standing(standing);
      long before = hook.count("standing");
      keeper.keep(Optional.empty());
      pass();
      pass();
      keeper.complete(Result.CONTINUE);
      pass();

      assertThat(hook.count("standing")).isEqualTo(before + 1);
      assertThat(told).hasSize(1).first().isInstanceOf(Event.Detached.class);
      keeper.leave();
      pass();
    }
  }

  @Test
  void failedCallsAreThrownForTheLoopToRetry() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    keeper.keep(Optional.empty());
    hook.failWith(Optional.of(new IOException("Throttling")));
    assertThatThrownBy(this::pass).hasMessage("Throttling");
    hook.failWith(Optional.empty());
    pass();
    keeper.complete(Result.CONTINUE);
    hook.failWith(Optional.of(new IOException("ResourceContention")));
    assertThatThrownBy(this::pass).hasMessage("ResourceContention");
    assertThat(told).noneMatch(e -> e instanceof Event.Detached);

    hook.failWith(Optional.empty());
    pass();

    assertThat(told).last().isInstanceOf(Event.Detached.class);
  }

  @Test
  void aKnownHookIsCompletedEvenWhenDescribeFails() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    hook.failToDescribe(new IOException("AccessDenied"));
    keeper.keep(Optional.of(FakeHook.HOOK));
    assertThatThrownBy(this::pass).hasMessage("AccessDenied");

    keeper.complete(Result.CONTINUE);
    pass();

    assertThat(told).containsExactly(new Event.Detached("completed drain of group workers"));
  }

  @Test
  void whatIsLeftAloneIsNeitherBeatenNorCompleted() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    keeper.keep(Optional.empty());
    pass();
    int calls = hook.calls().size();

    keeper.leave();
    keeper.complete(Result.CONTINUE);
    assertThat(pass()).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(hook.calls()).hasSize(calls);
    assertThat(keeper.standing()).isEmpty();
  }

  @Test
  void anotherPlanStartsFromNothing() throws Exception {
    hook.lifecycleState("Terminating:Proceed");
    keeper.keep(Optional.empty());
    pass();
    keeper.leave();

    hook.lifecycleState("Terminating:Wait");
    keeper.keep(Optional.empty());
    keeper.complete(Result.CONTINUE);
    pass();

    assertThat(hook.count("complete")).isEqualTo(1);
  }

  private Duration pass() throws IOException {
    return keeper.pass(time.now());
  }
}
