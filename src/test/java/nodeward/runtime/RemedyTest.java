package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nodeward.runtime.Probed.ContainersHung;
import nodeward.runtime.Probed.Failed;
import nodeward.runtime.Probed.Hung;
import nodeward.runtime.Probed.Slow;
import nodeward.runtime.Remedy.Rules;
import nodeward.runtime.Remedy.Seen;
import nodeward.runtime.Remedy.Step;
import nodeward.runtime.Remedy.Trouble;
import nodeward.runtime.Remedy.Verdict.Act;
import nodeward.runtime.Remedy.Verdict.GiveUp;
import nodeward.runtime.Remedy.Verdict.Rest;
import nodeward.runtime.Remedy.Verdict.Wait;
import nodeward.runtime.RuntimeRecord.Broken;
import nodeward.runtime.RuntimeRecord.Gone;
import nodeward.runtime.RuntimeRecord.Undecided;
import nodeward.runtime.RuntimeRecord.Working;
import org.junit.jupiter.api.Test;

class RemedyTest {
  private static final Set<Step> MENDING = EnumSet.of(Step.DUMP, Step.RESTART, Step.KILL);
  private static final Rules RULES =
      new Rules(Duration.ofMinutes(2), Duration.ofMinutes(5), 3, MENDING);
  private static final RuntimeRecord HUNG = new Broken(new Hung("frozen"));
  private static final RuntimeRecord WELL = new Working("docker", 0);

  private Instant now = Instant.parse("2026-11-21T08:00:00Z");
  private Remedy remedy = Remedy.NONE;
  private Rules rules = RULES;
  private Optional<Instant> started = Optional.empty();
  private boolean drained;

  @Test
  void aRuntimeThatWorksOrIsNotThereNeedsNothing() {
    assertThat(look(WELL)).isEqualTo(new Rest());
    assertThat(look(new Gone("stopped"))).isEqualTo(new Rest());
    assertThat(look(new Undecided(2))).isInstanceOf(Wait.class);
  }

  @Test
  void itMayMendItselfFirst() {
    assertThat(look(HUNG)).isInstanceOf(Wait.class);
    now = now.plusSeconds(119);
    assertThat(look(HUNG)).isInstanceOf(Wait.class);
    now = now.plusSeconds(1);
    assertThat(look(HUNG)).isEqualTo(new Act(Step.DUMP));
  }

  @Test
  void theStepsFollowEachOtherAndThenItIsLeftAlone() {
    assertThat(run(Duration.ofMinutes(60), HUNG))
        .containsExactly("DUMP +120", "RESTART +125", "KILL +425");
    assertThat(look(HUNG)).isEqualTo(new GiveUp("every step was tried"));
  }

  @Test
  void onlyARuntimeThatDoesNotAnswerIsTouched() {
    assertThat(run(Duration.ofHours(1), new Broken(new Slow("late")))).isEmpty();
    assertThat(run(Duration.ofHours(1), new Broken(new ContainersHung("web")))).isEmpty();
    assertThat(run(Duration.ofHours(1), new Broken(new Failed("refused")))).isNotEmpty();
  }

  @Test
  void oneThatRecoversForGoodBeginsAnewTheNextTime() {
    run(Duration.ofMinutes(3), HUNG);
    run(Duration.ofHours(1), WELL);

    assertThat(run(Duration.ofMinutes(3), HUNG)).containsExactly("DUMP +120", "RESTART +125");
  }

  @Test
  void theCoolDownHoldsOverARecovery() {
    run(Duration.ofMinutes(3), HUNG);
    look(WELL);
    now = now.plusSeconds(5);

    assertThat(run(Duration.ofMinutes(3), HUNG)).isEmpty();
  }

  @Test
  void oneThatBreaksAgainSoonAfterAStepGoesOnWithTheNextOne() {
    run(Duration.ofMinutes(3), HUNG);
    assertThat(run(Duration.ofSeconds(115), WELL)).isEmpty();
    assertThat(remedy.trouble()).isInstanceOf(Trouble.Proving.class);

    assertThat(run(Duration.ofMinutes(10), HUNG)).containsExactly("KILL +130");
  }

  @Test
  void oneThatBreaksNowAndThenIsGivenTheWholeTimeEachTime() {
    for (int i = 0; i < 100; i++) {
      assertThat(run(Duration.ofSeconds(115), HUNG)).isEmpty();
      look(WELL);
    }
  }

  @Test
  void oneThatWasStartedByPeopleJustNowGetsItsTime() {
    look(HUNG);
    now = now.plusSeconds(100);
    started = Optional.of(now);

    assertThat(run(Duration.ofMinutes(10), HUNG)).containsExactly("DUMP +300", "RESTART +305");
  }

  @Test
  void oneThatIsStartedOverAndOverIsNotLeftForEver() {
    var done = new ArrayList<String>();
    for (int i = 0; i < 240; i++) {
      started = Optional.of(now);
      done.addAll(run(Duration.ofSeconds(5), HUNG));
    }

    assertThat(done).hasSize(3);
  }

  @Test
  void whatNothingMendsIsDrainedAndThenReplaced() {
    rules = rules(Step.DRAIN, Step.REPLACE);

    assertThat(run(Duration.ofHours(1), HUNG))
        .containsExactly("DUMP +120", "RESTART +125", "KILL +425", "DRAIN +725");
    assertThat(look(HUNG)).isEqualTo(new Wait("the node is drained before it is replaced"));
    assertThat(remedy.drain()).isPresent();
    drained = true;
    // One is enough, but Auto Scaling may have refused it.
    assertThat(run(Duration.ofHours(1), HUNG))
        .containsExactly("REPLACE +0", "REPLACE +300", "REPLACE +600");
    assertThat(look(HUNG)).isEqualTo(new GiveUp("every step was tried"));
  }

  @Test
  void eachOfTheLastTwoStepsHasASwitchOfItsOwn() {
    rules = rules(Step.DRAIN);
    assertThat(run(Duration.ofHours(1), HUNG)).endsWith("KILL +425", "DRAIN +725");

    remedy = Remedy.NONE;
    rules = rules(Step.REPLACE);
    assertThat(run(Duration.ofMinutes(15), HUNG)).endsWith("KILL +425", "REPLACE +725");
  }

  @Test
  void aNodeStaysDrainedUntilItsRuntimeHasProvenItself() {
    rules = rules(Step.DRAIN);
    run(Duration.ofHours(1), HUNG);
    assertThat(remedy.drain()).isPresent();

    run(Duration.ofSeconds(115), WELL);
    assertThat(remedy.drain()).isPresent();
    run(Duration.ofSeconds(30), WELL);
    assertThat(remedy.drain()).isEmpty();
    assertThat(look(WELL)).isEqualTo(new Rest());
  }

  @Test
  void aNodeThatIsBrokenForDaysStaysDrained() {
    rules = rules(Step.DRAIN, Step.REPLACE);
    run(Duration.ofHours(100), HUNG);

    assertThat(remedy.drain()).isPresent();
  }

  @Test
  void whoseRestartsAreUsedUpIsDrainedAtOnce() {
    rules = rules(Step.DRAIN);
    for (int episode = 0; episode < 3; episode++) {
      assertThat(run(Duration.ofMinutes(3), HUNG)).containsExactly("DUMP +120", "RESTART +125");
      run(Duration.ofMinutes(30), WELL);
    }

    assertThat(run(Duration.ofMinutes(3), HUNG)).containsExactly("DRAIN +120");
  }

  @Test
  void thereAreNoMoreThanSoManyInADay() {
    var all = new ArrayList<String>();
    for (int episode = 0; episode < 10; episode++) {
      all.addAll(run(Duration.ofMinutes(3), HUNG));
      run(Duration.ofMinutes(30), WELL);
    }
    assertThat(all).filteredOn(step -> step.startsWith("RESTART")).hasSize(3);
    assertThat(all).filteredOn(step -> step.startsWith("KILL")).isEmpty();

    now = now.plus(Duration.ofHours(25));
    assertThat(run(Duration.ofMinutes(3), HUNG)).contains("RESTART +125");
  }

  @Test
  void aClockThatIsSetBackDoesNotMakeItWaitForEver() {
    look(HUNG);
    now = now.minus(Duration.ofHours(10));

    assertThat(run(Duration.ofMinutes(3), HUNG)).containsExactly("DUMP +120", "RESTART +125");
  }

  private static Rules rules(Step... more) {
    Set<Step> steps = EnumSet.copyOf(MENDING);
    steps.addAll(List.of(more));
    return new Rules(RULES.after(), RULES.coolDown(), RULES.mostPerDay(), steps);
  }

  private Remedy.Verdict look(RuntimeRecord held) {
    var decision = remedy.decide(new Seen(held, started, drained), rules, now);
    remedy = decision.next();
    return decision.verdict();
  }

  /** Looks every five seconds and does what is told; the steps with the seconds that passed. */
  private List<String> run(Duration duration, RuntimeRecord held) {
    var done = new ArrayList<String>();
    Instant began = now;
    Instant end = now.plus(duration);
    for (; now.isBefore(end); now = now.plusSeconds(5)) {
      if (look(held) instanceof Act(Step step)) {
        remedy = remedy.did(step, now);
        done.add(step + " +" + Duration.between(began, now).toSeconds());
      }
    }
    return done;
  }
}
