package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import nodeward.runtime.Remedy.Deed;
import nodeward.runtime.Remedy.Rules;
import nodeward.runtime.Remedy.Step;
import nodeward.runtime.Remedy.Verdict.Act;
import nodeward.runtime.RuntimeRecord.Broken;

class RemedyProperties {
  private static final Rules RULES = new Rules(Duration.ofMinutes(2), Duration.ofMinutes(5), 3);

  /** What is held of the runtime for so many minutes. */
  record Stretch(RuntimeRecord held, int minutes) {}

  @Provide
  Arbitrary<List<Stretch>> lives() {
    Arbitrary<RuntimeRecord> held =
        Arbitraries.of(
            new RuntimeRecord.Working("docker", 0),
            new RuntimeRecord.Gone("stopped"),
            new Broken(new Probed.Hung("frozen")),
            new Broken(new Probed.Failed("refused")),
            new Broken(new Probed.Slow("late")),
            new Broken(new Probed.ContainersHung("web")));
    return Combinators.combine(held, Arbitraries.integers().between(1, 300))
        .as(Stretch::new)
        .list()
        .ofMaxSize(25);
  }

  @Property(tries = 200)
  void theBoundsHoldWhateverHappens(@ForAll("lives") List<Stretch> life) {
    Instant now = Instant.parse("2026-11-21T08:00:00Z");
    Remedy remedy = Remedy.NONE;
    var hard = new ArrayList<Deed>();
    Instant brokenSince = Instant.MAX;
    for (Stretch stretch : life) {
      boolean dead =
          stretch.held() instanceof Broken(Probed.Bad cause)
              && (cause instanceof Probed.Hung || cause instanceof Probed.Failed);
      if (!dead) {
        brokenSince = Instant.MAX;
      } else if (brokenSince.equals(Instant.MAX)) {
        brokenSince = now;
      }
      for (int i = 0; i < stretch.minutes(); i++, now = now.plusSeconds(60)) {
        var decision = remedy.decide(stretch.held(), RULES, now);
        remedy = decision.next();
        if (decision.verdict() instanceof Act(Step step)) {
          assertThat(dead).isTrue();
          assertThat(Duration.between(brokenSince, now)).isGreaterThanOrEqualTo(RULES.after());
          if (step != Step.DUMP) {
            hard.add(new Deed(step, now));
          }
          remedy = remedy.did(step, now);
        }
        assertThat(remedy.deeds()).hasSizeLessThanOrEqualTo(10);
      }
    }

    for (int i = 1; i < hard.size(); i++) {
      assertThat(Duration.between(hard.get(i - 1).at(), hard.get(i).at()))
          .isGreaterThanOrEqualTo(RULES.coolDown());
    }
    for (int i = RULES.mostPerDay(); i < hard.size(); i++) {
      assertThat(Duration.between(hard.get(i - RULES.mostPerDay()).at(), hard.get(i).at()))
          .isGreaterThan(Duration.ofDays(1));
    }
  }
}
