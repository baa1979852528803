package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import nodeward.runtime.Probed.ContainersHung;
import nodeward.runtime.Probed.Failed;
import nodeward.runtime.Probed.Hung;
import nodeward.runtime.Probed.Slow;
import nodeward.runtime.Remedy.Rules;
import nodeward.runtime.Remedy.Step;
import nodeward.runtime.Remedy.Verdict.Act;
import nodeward.runtime.Remedy.Verdict.Rest;
import nodeward.runtime.Remedy.Verdict.Wait;
import nodeward.runtime.RuntimeRecord.Broken;
import nodeward.runtime.RuntimeRecord.Gone;
import nodeward.runtime.RuntimeRecord.Undecided;
import nodeward.runtime.RuntimeRecord.Working;
import org.junit.jupiter.api.Test;

class RemedyTest {
  private static final Rules RULES = new Rules(Duration.ofMinutes(2), Duration.ofMinutes(5), 3);
  private static final RuntimeRecord HUNG = new Broken(new Hung("frozen"));
  private static final RuntimeRecord WELL = new Working("docker", 0);

  private Instant now = Instant.parse("2026-11-21T08:00:00Z");
  private Remedy remedy = Remedy.NONE;

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
    assertThat(look(HUNG)).isEqualTo(new Wait("every step was tried"));
  }

  @Test
  void onlyARuntimeThatDoesNotAnswerIsTouched() {
    assertThat(run(Duration.ofHours(1), new Broken(new Slow("late")))).isEmpty();
    assertThat(run(Duration.ofHours(1), new Broken(new ContainersHung("web")))).isEmpty();
    assertThat(run(Duration.ofHours(1), new Broken(new Failed("refused")))).isNotEmpty();
  }

  @Test
  void oneThatRecoversBeginsAnewTheNextTime() {
    run(Duration.ofMinutes(3), HUNG);
    look(WELL);
    now = now.plus(Duration.ofHours(1));

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
  void thereAreNoMoreThanSoManyInADay() {
    var all = new ArrayList<String>();
    for (int episode = 0; episode < 10; episode++) {
      all.addAll(run(Duration.ofMinutes(3), HUNG));
      look(WELL);
      now = now.plus(Duration.ofMinutes(30));
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

  private Remedy.Verdict look(RuntimeRecord held) {
    var decision = remedy.decide(held, RULES, now);
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
