package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nodeward.drain.DrainReport;
import nodeward.drain.DrainReport.End;
import nodeward.drain.Left;
import nodeward.node.FakeNode;
import nodeward.termination.LifecycleHook.Hook;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Plan.Cordoner;
import nodeward.termination.Termination.Step;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

final class TerminationTest {
  private static final Instant NOW = Instant.parse("2026-11-21T08:00:00Z");
  private static final Duration ASG_DEADLINE = Duration.ofMinutes(15);
  private static final String BOOT = "boot-1";
  private static final Duration LEAD = Duration.ofMinutes(20);

  private static final Notice ASG =
      new Notice(Kind.AUTO_SCALING, "autoscaling:Terminated", "Terminated", Instant.MAX);
  private static final Notice SPOT =
      new Notice(Kind.SPOT, "spot:terminate", "terminate", NOW.plusSeconds(120));
  private static final Notice REBOOT =
      new Notice(Kind.MAINTENANCE, "maintenance:e-1", "system-reboot", NOW.plus(LEAD));
  private static final Notice HAND =
      new Notice(Kind.MANUAL, "manual:1", "requested", NOW.plusSeconds(60));
  private static final Notice REPAIR =
      new Notice(Kind.REPAIR, "repair:1", "requested", NOW.plusSeconds(60));
  private static final Notice REBALANCE =
      new Notice(Kind.REBALANCE, "rebalance:1", "recommended", Instant.MAX);
  private static final Notice SHUTDOWN =
      new Notice(Kind.SHUTDOWN, "shutdown:boot-1", "requested", NOW.plusSeconds(110));
  private static final Hook HOOK =
      new Hook("group", "hook", Duration.ofMinutes(5), Duration.ofHours(8));
  private static final List<Left> LEFT =
      List.of(new Left(FakeNode.pod("default", "web", ""), "blocked"));

  private static final Plan ASG_PLAN = plan(ASG, NOW.plus(ASG_DEADLINE));
  private static final Plan SPOT_PLAN = plan(SPOT, NOW.plusSeconds(110));
  private static final Plan OURS = ASG_PLAN.cordonedBy(Cordoner.NODEWARD);

  private static final Predicate<Effect> MARKS = e -> e instanceof Effect.Mark;

  private final Termination machine = machine("maintenance.lead", "20m");

  static Stream<Arguments> table() {
    var inService = new State.InService();
    var noticed = new State.Noticed(ASG_PLAN);
    var cordoned = new State.Cordoned(OURS, NOW);
    var draining = new State.Draining(OURS, LEFT);
    var detaching = new State.Detaching(OURS, LEFT);
    var completed = new State.Completed(OURS, LEFT);
    var returned = new State.Returned(OURS);
    var nothing = new Event.Seen(List.of());
    var asg = new Event.Seen(List.of(ASG));
    var marked = new Event.Marked(Cordoner.NODEWARD);
    var progressed = new Event.Progressed(LEFT);
    var drained = new Event.Drained(report(End.DRAINED, List.of()));
    var detached = new Event.Detached("completed");
    return Stream.of(
        Arguments.of(inService, nothing, inService),
        Arguments.of(inService, asg, noticed),
        Arguments.of(
            inService, new Event.Requested(HAND), new State.Noticed(plan(HAND, HAND.at()))),
        Arguments.of(inService, new Event.Found(OURS, List.of()), returned),
        Arguments.of(inService, new Event.Found(OURS, List.of(ASG)), new State.Noticed(OURS)),
        Arguments.of(
            inService,
            new Event.Found(OURS, List.of(SPOT)),
            new State.Noticed(SPOT_PLAN.cordonedBy(Cordoner.NODEWARD))),
        Arguments.of(inService, marked, inService),
        Arguments.of(inService, drained, inService),
        Arguments.of(inService, detached, inService),
        Arguments.of(inService, new Event.Hooked(HOOK), inService),
        Arguments.of(inService, new Event.Undone(), inService),
        Arguments.of(inService, new Event.Tick(), inService),
        Arguments.of(noticed, asg, noticed),
        Arguments.of(noticed, marked, cordoned),
        Arguments.of(noticed, nothing, new State.Returned(ASG_PLAN)),
        Arguments.of(noticed, drained, noticed),
        Arguments.of(noticed, new Event.Found(SPOT_PLAN, List.of()), noticed),
        Arguments.of(noticed, new Event.Tick(), noticed),
        Arguments.of(cordoned, asg, cordoned),
        Arguments.of(cordoned, progressed, draining),
        Arguments.of(cordoned, drained, new State.Detaching(OURS, List.of())),
        Arguments.of(cordoned, nothing, returned),
        Arguments.of(draining, asg, draining),
        Arguments.of(
            draining, new Event.Progressed(List.of()), new State.Draining(OURS, List.of())),
        Arguments.of(draining, drained, new State.Detaching(OURS, List.of())),
        Arguments.of(draining, new Event.Drained(report(End.DEADLINE, LEFT)), detaching),
        Arguments.of(draining, new Event.Hooked(HOOK), new State.Draining(OURS.with(HOOK), LEFT)),
        Arguments.of(draining, detached, draining),
        Arguments.of(draining, nothing, returned),
        Arguments.of(detaching, asg, detaching),
        Arguments.of(detaching, progressed, detaching),
        Arguments.of(detaching, detached, completed),
        Arguments.of(detaching, nothing, returned),
        Arguments.of(completed, asg, completed),
        Arguments.of(completed, detached, completed),
        Arguments.of(completed, nothing, returned),
        Arguments.of(returned, nothing, returned),
        Arguments.of(returned, new Event.Undone(), inService),
        Arguments.of(returned, drained, returned),
        Arguments.of(returned, asg, new State.Noticed(OURS)));
  }

  @ParameterizedTest(name = "{0} + {1}")
  @MethodSource("table")
  void leadsFromStateToState(State from, Event event, State to) {
    assertThat(machine.next(from, event, NOW).state()).isEqualTo(to);
  }

  @Test
  void thePlanIsStoredBeforeTheNodeIsTouched() {
    Step step = machine.next(new State.InService(), seen(ASG), NOW);

    assertThat(step.effects())
        .containsExactly(
            new Effect.Announce(ASG),
            new Effect.StopWork(),
            new Effect.Store(new State.Noticed(ASG_PLAN)),
            new Effect.KeepHook(ASG_PLAN),
            new Effect.Mark(ASG_PLAN));
  }

  @Test
  void theSameNoticeSeenAgainLeavesEverythingAsItIs() {
    for (State state : states(OURS)) {
      assertThat(machine.next(state, seen(ASG), NOW.plusSeconds(5)))
          .isEqualTo(new Step(state, List.of()));
    }
  }

  @Test
  void aStricterNoticeTightensTheRunningPlanAndRestartsNothing() {
    Step step = machine.next(new State.Draining(OURS, LEFT), seen(ASG, SPOT), NOW);

    Plan tightened = OURS.joinedBy(SPOT, NOW.plusSeconds(110));
    assertThat(step.state()).isEqualTo(new State.Draining(tightened, LEFT));
    assertThat(step.effects())
        .containsExactly(
            new Effect.Announce(SPOT),
            new Effect.Store(step.state()),
            new Effect.KeepHook(tightened),
            new Effect.Drain(tightened),
            new Effect.Mark(tightened));
  }

  @Test
  void aLooserNoticeJoinsAndLeavesTheDeadline() {
    State spot = new State.Draining(SPOT_PLAN, LEFT);

    Plan plan = machine.next(spot, seen(SPOT, ASG), NOW).state().planned().orElseThrow();

    assertThat(plan.deadline()).isEqualTo(SPOT_PLAN.deadline());
    assertThat(plan.of(Kind.AUTO_SCALING)).isTrue();
  }

  @Test
  void aNoticeWhoseTimeMovesEarlierTightens() {
    Notice earlier = new Notice(Kind.SPOT, SPOT.id(), "terminate", NOW.plusSeconds(60));
    State spot = new State.Draining(SPOT_PLAN, LEFT);

    Step step = machine.next(spot, seen(earlier), NOW);

    assertThat(step.state().planned().orElseThrow().deadline()).isEqualTo(NOW.plusSeconds(50));
    assertThat(step.effects()).noneMatch(e -> e instanceof Effect.Announce);
  }

  @Test
  void aHookThatComesAfterASpotDrainIsCompletedWithoutAnotherDrain() {
    State completed = new State.Completed(SPOT_PLAN, LEFT);

    Step step = machine.next(completed, seen(SPOT, ASG), NOW);

    assertThat(step.state()).isInstanceOf(State.Detaching.class);
    assertThat(step.effects()).noneMatch(e -> e instanceof Effect.Drain);
    assertThat(step.effects().getLast()).isInstanceOf(Effect.Detach.class);
  }

  @Test
  void aNodeThatWasCompletedAndComesUnderAnotherNoticeIsDrainedAnew() {
    State completed = new State.Completed(OURS, LEFT);

    Step step = machine.next(completed, seen(SPOT), NOW);

    assertThat(step.state()).isEqualTo(new State.Noticed(SPOT_PLAN.cordonedBy(Cordoner.NODEWARD)));
    assertThat(step.effects()).contains(new Effect.StopWork());
  }

  @Test
  void aWithdrawnNoticeStopsTheWorkAndUndoes() {
    for (State state : states(OURS)) {
      State returned = new State.Returned(OURS);
      assertThat(machine.next(state, new Event.Seen(List.of()), NOW))
          .isEqualTo(
              new Step(
                  returned,
                  List.of(
                      new Effect.StopWork(), new Effect.Store(returned), new Effect.Undo(OURS))));
    }
  }

  @Test
  void oneOfTwoNoticesWithdrawnChangesNothing() {
    Plan both = OURS.joinedBy(SPOT, NOW.plusSeconds(110));
    State state = new State.Draining(both, LEFT);

    assertThat(machine.next(state, seen(ASG), NOW)).isEqualTo(new Step(state, List.of()));
  }

  @Test
  void maintenanceBeginsItsLeadBeforeTheTimeAndNotEarlier() {
    Notice later = new Notice(Kind.MAINTENANCE, "m", "system-reboot", NOW.plus(LEAD).plusNanos(1));

    assertThat(machine.next(new State.InService(), seen(later), NOW).state())
        .isEqualTo(new State.InService());
    assertThat(machine.next(new State.InService(), seen(REBOOT), NOW).state())
        .isEqualTo(new State.Noticed(plan(REBOOT, REBOOT.at())));
  }

  @Test
  void maintenanceThatIsDueAlreadyGetsItsLead() {
    Notice due = new Notice(Kind.MAINTENANCE, "m", "system-reboot", NOW.minusSeconds(60));

    Plan plan = machine.next(new State.InService(), seen(due), NOW).state().planned().orElseThrow();

    assertThat(plan.deadline()).isEqualTo(NOW.plus(LEAD));
  }

  @Test
  void aSpotNoticeWithoutATimeHasTwoMinutes() {
    Notice spot = new Notice(Kind.SPOT, "spot", "hibernate", Instant.MAX);

    Plan plan =
        machine.next(new State.InService(), seen(spot), NOW).state().planned().orElseThrow();

    assertThat(plan.deadline()).isEqualTo(NOW.plusSeconds(110));
  }

  @Test
  void noticesOfAKindThatIsOffAreNotActedUpon() {
    Termination off =
        machine(
            "spot.enabled",
            "false",
            "autoScaling.enabled",
            "false",
            "maintenance.enabled",
            "false");

    assertThat(off.next(new State.InService(), seen(ASG, SPOT, REBOOT), NOW).state())
        .isEqualTo(new State.InService());
    assertThat(off.next(new State.InService(), seen(HAND), NOW).state())
        .isInstanceOf(State.Noticed.class);
  }

  @Test
  void aNodeThatCannotBeCordonedUntilTheDeadlineStillGetsItsHookCompleted() {
    Step step = machine.next(new State.Noticed(ASG_PLAN), new Event.Tick(), ASG_PLAN.deadline());

    assertThat(step.state()).isEqualTo(new State.Detaching(ASG_PLAN, List.of()));
    assertThat(step.effects()).contains(new Effect.Detach(ASG_PLAN, List.of()));
  }

  @Test
  void aStoredStateIsResumedWithAllThatIsToBeDoneInIt() {
    assertThat(machine.resume(new State.Noticed(OURS), NOW).effects())
        .endsWith(new Effect.Mark(OURS));
    assertThat(machine.resume(new State.Cordoned(OURS, NOW), NOW).effects())
        .endsWith(new Effect.KeepHook(OURS));
    assertThat(machine.next(new State.Cordoned(OURS, NOW), new Event.Tick(), NOW).effects())
        .containsExactly(new Effect.Drain(OURS));
    assertThat(machine.resume(new State.Draining(OURS, List.of()), NOW).effects())
        .endsWith(new Effect.KeepHook(OURS), new Effect.Drain(OURS));
    assertThat(machine.resume(new State.Detaching(OURS, List.of()), NOW).effects())
        .endsWith(new Effect.KeepHook(OURS), new Effect.Detach(OURS, List.of()));
    assertThat(machine.resume(new State.Returned(OURS), NOW).effects())
        .endsWith(new Effect.Undo(OURS));
  }

  @Test
  void loadBalancersGetTheirDelayButNoMoreThanAThirdOfTheTimeLeft() {
    Termination slow = machine("loadBalancerDelay", "60s");
    Event marked = new Event.Marked(Cordoner.NODEWARD);

    State asg = slow.next(new State.Noticed(ASG_PLAN), marked, NOW).state();
    State spot = slow.next(new State.Noticed(SPOT_PLAN), marked, NOW).state();

    assertThat(asg).isEqualTo(new State.Cordoned(OURS, NOW.plusSeconds(60)));
    assertThat(((State.Cordoned) spot).drainAt())
        .isBetween(NOW.plusSeconds(36), NOW.plusSeconds(37));
    assertThat(slow.next(asg, new Event.Tick(), NOW.plusSeconds(59)).effects()).isEmpty();
    assertThat(slow.next(asg, new Event.Tick(), NOW.plusSeconds(60)).effects())
        .containsExactly(new Effect.Drain(OURS));
  }

  @Test
  void anInstanceThatIsOutOfItsLoadBalancersIsDrainedAtOnce() {
    State waiting = new State.Cordoned(OURS, NOW.plusSeconds(60));

    Step step = machine.next(waiting, new Event.OutOfBalancers(), NOW.plusSeconds(5));

    assertThat(step.state()).isEqualTo(new State.Cordoned(OURS, NOW.plusSeconds(5)));
    assertThat(step.effects()).endsWith(new Effect.Drain(OURS));
  }

  @Test
  void anInstanceThatHibernatesIsNotWaitedFor() {
    Notice hibernate = new Notice(Kind.SPOT, "spot:h", "hibernate", NOW.plusSeconds(120));
    Plan plan = plan(hibernate, NOW.plusSeconds(110));

    State next =
        machine("loadBalancerDelay", "60s")
            .next(new State.Noticed(plan), new Event.Marked(Cordoner.NODEWARD), NOW)
            .state();

    assertThat(next).isEqualTo(new State.Cordoned(plan.cordonedBy(Cordoner.NODEWARD), NOW));
  }

  @Test
  void aRecommendationHoldsTheNodeForATimeAndIsNotFollowedTwice() {
    Termination holding = machine("rebalance.action", "cordon", "rebalance.hold", "10m");

    Step noticed = holding.next(new State.InService(), seen(REBALANCE), NOW);
    assertThat(noticed.effects()).endsWith(new Effect.TakePlace()).noneMatch(MARKS);
    Step placed = holding.next(noticed.state(), new Event.Placed(true), NOW);
    assertThat(placed.effects()).anyMatch(MARKS);
    State held = holding.next(placed.state(), new Event.Marked(Cordoner.NODEWARD), NOW).state();
    assertThat(held).isInstanceOf(State.Held.class);
    assertThat(holding.next(held, seen(REBALANCE), NOW).effects()).isEmpty();
    Step over = holding.next(held, new Event.Tick(), NOW.plus(Duration.ofMinutes(10)));
    assertThat(over.effects()).contains(new Effect.LeavePlace());
    State back = holding.next(over.state(), new Event.Undone(), NOW).state();

    assertThat(back).isEqualTo(new State.InService(List.of(REBALANCE.id())));
    assertThat(holding.next(back, seen(REBALANCE), NOW)).isEqualTo(new Step(back, List.of()));
    assertThat(holding.next(back, seen(), NOW).state()).isEqualTo(new State.InService());
    assertThat(holding.next(back, seen(REBALANCE, SPOT), NOW).state())
        .isInstanceOf(State.Noticed.class);
  }

  @Test
  void aRecommendationIsLeftAloneWhenTooManyNodesAreHeld() {
    Termination holding = machine("rebalance.action", "cordon");
    State noticed = holding.next(new State.InService(), seen(REBALANCE), NOW).state();

    Step full = holding.next(noticed, new Event.Placed(false), NOW);

    assertThat(full.state()).isEqualTo(new State.InService(List.of(REBALANCE.id())));
    assertThat(full.effects()).noneMatch(MARKS);
  }

  @Test
  void aHeldNodeIsDrainedWithTheSamePlanWhenTheSpotNoticeComes() {
    Termination holding = machine("rebalance.action", "cordon");
    Plan plan = plan(REBALANCE, Instant.MAX).cordonedBy(Cordoner.NODEWARD);
    State held = new State.Held(plan, NOW.plusSeconds(600));

    Step step = holding.next(held, seen(REBALANCE, SPOT), NOW);

    assertThat(step.state())
        .isEqualTo(new State.Cordoned(plan.joinedBy(SPOT, NOW.plusSeconds(110)), NOW));
    assertThat(step.effects()).contains(new Effect.LeavePlace()).last().matches(MARKS);
  }

  @Test
  void aRecommendationIsNoNoticeUnlessConfigured() {
    assertThat(machine.next(new State.InService(), seen(REBALANCE), NOW).state())
        .isEqualTo(new State.InService());
    assertThat(
            machine("rebalance.action", "drain", "rebalance.hold", "10m")
                .next(new State.InService(), seen(REBALANCE), NOW)
                .state()
                .planned()
                .map(Plan::deadline))
        .contains(NOW.plus(Duration.ofMinutes(10)));
  }

  @Test
  void cordonOnlyEvictsNothingAndLeavesTheHookAlone() {
    Termination only = machine("cordonOnly", "true");

    Step step = only.next(new State.Noticed(SPOT_PLAN), new Event.Marked(Cordoner.NODEWARD), NOW);

    assertThat(step.state()).isInstanceOf(State.Held.class);
    assertThat(only.next(step.state(), new Event.Tick(), NOW.plusSeconds(3_600)).effects())
        .isEmpty();
  }

  @Test
  void aDryRunTellsOnceAndTouchesNothing() {
    Termination dry = machine("dryRun", "true");

    Step step = dry.next(new State.InService(), seen(SPOT), NOW);

    assertThat(step.state()).isEqualTo(new State.InService(List.of(SPOT.id())));
    assertThat(step.effects())
        .containsExactly(new Effect.Announce(SPOT), new Effect.Store(step.state()));
    assertThat(dry.next(step.state(), seen(SPOT), NOW).effects()).isEmpty();
  }

  @Test
  void maintenanceThatCannotWaitIsActedUponAtOnceWithItsOwnTimeAsDeadline() {
    Instant far = NOW.plus(Duration.ofDays(14));
    Notice retirement = new Notice(Kind.MAINTENANCE, "m1", "instance-retirement", far);
    Notice degraded =
        new Notice(
            Kind.MAINTENANCE, "m2", "system-reboot", far, "The instance is on degraded hardware");

    for (Notice notice : List.of(retirement, degraded)) {
      assertThat(machine.next(new State.InService(), seen(notice), NOW).state())
          .isEqualTo(new State.Noticed(plan(notice, far)));
    }
  }

  @Test
  void aNoticeThatIsFoundLateStillGetsAFewSeconds() {
    Notice late = new Notice(Kind.SPOT, "spot", "terminate", NOW.minusSeconds(3));

    Step step = machine.next(new State.InService(), seen(late), NOW);

    assertThat(step.state()).isEqualTo(new State.Noticed(plan(late, NOW.plusSeconds(5))));
    assertThat(step.effects()).anyMatch(MARKS);
  }

  @Test
  void aSpotTimeFarAheadIsAClockThatIsWrong() {
    Notice far = new Notice(Kind.SPOT, "spot", "terminate", NOW.plusSeconds(720));

    assertThat(machine.next(new State.InService(), seen(far), NOW).state())
        .isEqualTo(new State.Noticed(plan(far, NOW.plusSeconds(110))));
  }

  @Test
  void theHooksGlobalTimeoutTightensTheDeadline() {
    Termination patient = machine("autoScaling.deadline", "2h");
    Plan plan = plan(ASG, NOW.plus(Duration.ofHours(2)));
    var brief = new Hook("group", "hook", Duration.ofSeconds(30), Duration.ofMinutes(50));

    State next =
        patient.next(new State.Draining(plan, List.of()), new Event.Hooked(brief), NOW).state();

    assertThat(next.planned().map(Plan::deadline))
        .contains(NOW.plus(Duration.ofMinutes(50)).minusSeconds(30));
  }

  @Test
  void aRebootThatWasAnnouncedEndsThePlanThoughTheEventIsStillListed() {
    Plan plan = plan(REBOOT, REBOOT.at()).cordonedBy(Cordoner.NODEWARD).inBoot("boot-0");
    Instant after = REBOOT.at().plusSeconds(90);

    Step step = machine.resume(new State.Completed(plan, List.of()), after);
    assertThat(step.state()).isInstanceOf(State.Returned.class);
    assertThat(step.effects()).anyMatch(e -> e instanceof Effect.Undo);
    State back = machine.next(step.state(), new Event.Undone(), after).state();

    assertThat(back).isEqualTo(new State.InService(List.of(REBOOT.id())));
    assertThat(machine.next(back, seen(REBOOT), after).effects()).isEmpty();
  }

  @Test
  void aBootBeforeTheTimeOfTheEventIsNotTheRebootOfIt() {
    Plan plan = plan(REBOOT, REBOOT.at()).cordonedBy(Cordoner.NODEWARD).inBoot("boot-0");

    Step step = machine.resume(new State.Draining(plan, LEFT), NOW);

    assertThat(step.state()).isEqualTo(new State.Noticed(plan.inBoot(BOOT)));
  }

  @Test
  void aShutdownIsOverWithTheNextBootAndOtherNoticesAreNot() {
    Plan plan = plan(SHUTDOWN, SHUTDOWN.at()).cordonedBy(Cordoner.NODEWARD).inBoot("boot-0");

    assertThat(machine.resume(new State.Completed(plan, List.of()), NOW).state())
        .isInstanceOf(State.Returned.class);
    Step both = machine.resume(new State.Completed(plan.joinedBy(ASG, NOW), List.of()), NOW);
    assertThat(both.state().planned().orElseThrow().notices()).containsExactly(ASG);
    assertThat(both.effects()).anyMatch(MARKS);
  }

  @Test
  void theCordonStaysAfterTheRebootWhereItIsConfiguredSo() {
    Plan plan = plan(REBOOT, REBOOT.at()).cordonedBy(Cordoner.NODEWARD).inBoot("boot-0");

    Step step =
        machine("maintenance.uncordonAfterReboot", "false")
            .resume(new State.Completed(plan, List.of()), REBOOT.at());

    assertThat(step.state().planned().map(Plan::cordoner)).contains(Cordoner.OTHERS);
  }

  @Test
  void anEventNamesTheFirstPodsThatAreLeftAndCountsTheRest() {
    List<Left> many =
        IntStream.range(0, 7)
            .mapToObj(i -> new Left(FakeNode.pod("a", "p" + i, ""), "blocked"))
            .toList();

    Step step =
        machine.next(
            new State.Draining(OURS, many), new Event.Drained(report(End.DEADLINE, many)), NOW);

    assertThat(((Effect.Tell) step.effects().getFirst()).message())
        .contains("pods left: 7 (a/p0: blocked")
        .endsWith("and 2 more)");
  }

  @Test
  void holdsItsPromisesWhateverTheOrderOfEvents() {
    for (long seed = 0; seed < 1_000; seed++) {
      var random = new Random(seed);
      Termination machine =
          seed % 2 == 0
              ? machine("rebalance.action", "cordon", "loadBalancerDelay", "20s")
              : machine("rebalance.action", "drain");
      State state = new State.InService();
      Instant now = NOW;
      for (int i = 0; i < 40; i++) {
        now = now.plusSeconds(random.nextInt(60));
        Event event = anyEvent(random, now);
        Step step = machine.next(state, event, now);
        State before = state;
        String which = "seed " + seed + " step " + i;
        check(() -> which + ": " + before + " + " + event, state, step);
        state = step.state();
      }
    }
  }

  private static void check(Supplier<String> what, State before, Step step) {
    State after = step.state();
    List<Effect> effects = step.effects();
    Optional<Plan> old = before.planned();
    Optional<Plan> plan = after.planned();
    boolean same = old.isPresent() && plan.isPresent() && !(after instanceof State.Noticed);
    if (same && !(before instanceof State.Returned)) {
      assertThat(plan.get().deadline()).as(what).isBeforeOrEqualTo(old.get().deadline());
      assertThat(plan.get().notices()).as(what).containsAll(old.get().notices());
      assertThat(plan.get().since()).as(what).isEqualTo(old.get().since());
    }
    if (!after.equals(before) && !(after instanceof State.Draining)) {
      assertThat(effects).as(what).isNotEmpty();
    }
    for (Effect effect : effects) {
      if (effect instanceof Effect.Store(State stored)) {
        assertThat(stored).as(what).isEqualTo(after);
      }
    }
    int store = first(effects, e -> e instanceof Effect.Store);
    Predicate<Effect> acts =
        e ->
            e instanceof Effect.Mark
                || e instanceof Effect.Drain
                || e instanceof Effect.Detach
                || e instanceof Effect.TakePlace
                || e instanceof Effect.Undo;
    boolean led = !after.word().equals(before.word());
    if (led && effects.stream().anyMatch(acts)) {
      assertThat(store).as(what).isBetween(0, first(effects, acts) - 1);
    }
    if (effects.stream().anyMatch(e -> e instanceof Effect.Drain)) {
      assertThat(after).as(what).isInstanceOfAny(State.Cordoned.class, State.Draining.class);
    }
    if (effects.stream().anyMatch(e -> e instanceof Effect.Undo)) {
      assertThat(after).as(what).isInstanceOf(State.Returned.class);
    }
    if (after instanceof State.Completed && !(before instanceof State.Completed)) {
      assertThat(before).as(what).isInstanceOf(State.Detaching.class);
    }
    if (after instanceof State.InService(List<String> settled)
        && !(before instanceof State.InService)) {
      assertThat(before).as(what).isInstanceOfAny(State.Returned.class, State.Noticed.class);
      assertThat(effects)
          .as(what)
          .endsWith(settled.isEmpty() ? new Effect.Forget() : new Effect.Store(after));
    }
  }

  private static int first(List<Effect> effects, Predicate<Effect> that) {
    return IntStream.range(0, effects.size())
        .filter(i -> that.test(effects.get(i)))
        .findFirst()
        .orElse(-1);
  }

  private static Event anyEvent(Random random, Instant now) {
    return switch (random.nextInt(16)) {
      case 0, 1, 2 -> new Event.Seen(some(random));
      case 3 -> new Event.Requested(HAND);
      case 4, 5 -> new Event.Marked(Cordoner.values()[random.nextInt(3)]);
      case 6, 7 -> new Event.Progressed(random.nextBoolean() ? LEFT : List.of());
      case 8, 9 -> new Event.Drained(report(End.values()[random.nextInt(4)], LEFT));
      case 10 -> new Event.Hooked(HOOK);
      case 11 -> new Event.Detached("completed");
      case 12 -> random.nextBoolean() ? new Event.Undone() : new Event.Found(OURS, some(random));
      case 13 -> new Event.Placed(random.nextBoolean());
      case 14 -> new Event.OutOfBalancers();
      default -> new Event.Tick();
    };
  }

  private static List<Notice> some(Random random) {
    var some = new ArrayList<>(List.of(ASG, SPOT, REBOOT, HAND, REBALANCE, REPAIR, SHUTDOWN));
    some.removeIf(_ -> random.nextBoolean());
    return some;
  }

  private static List<State> states(Plan plan) {
    return List.of(
        new State.Noticed(plan),
        new State.Cordoned(plan, NOW),
        new State.Draining(plan, LEFT),
        new State.Detaching(plan, LEFT),
        new State.Completed(plan, LEFT));
  }

  private static Event seen(Notice... notices) {
    return new Event.Seen(List.of(notices));
  }

  private static Plan plan(Notice notice, Instant deadline) {
    return new Plan(
        List.of(notice), NOW, deadline, Cordoner.UNKNOWN, Optional.empty(), BOOT, List.of());
  }

  private static DrainReport report(End end, List<Left> left) {
    return new DrainReport(end, List.of(), left, Duration.ofSeconds(3));
  }

  private static Termination machine(String... keysAndValues) {
    return new Termination(new Policy(Configured.termination(keysAndValues)), BOOT);
  }
}
