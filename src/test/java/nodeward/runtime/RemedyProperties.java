package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
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
  private static final Duration AFTER = Duration.ofMinutes(2);
  private static final Duration COOL_DOWN = Duration.ofMinutes(5);
  private static final int MOST = 3;

  /** What is seen of the runtime for so many minutes; it was started at their beginning or not. */
  record Stretch(RuntimeRecord held, int minutes, boolean started, boolean drained) {
    boolean isDead() {
      return held instanceof Broken(Probed.Bad cause)
          && (cause instanceof Probed.Hung || cause instanceof Probed.Failed);
    }
  }

  @Provide
  Arbitrary<List<Stretch>> lives() {
    Arbitrary<RuntimeRecord> held =
        Arbitraries.of(
            new RuntimeRecord.Working("docker", 0),
            new RuntimeRecord.Working("docker", 2),
            new RuntimeRecord.Undecided(1),
            new RuntimeRecord.Gone("stopped"),
            new Broken(new Probed.Hung("frozen")),
            new Broken(new Probed.Failed("refused")),
            new Broken(new Probed.Slow("late")),
            new Broken(new Probed.ContainersHung("web")));
    return Combinators.combine(
            held,
            Arbitraries.integers().between(1, 300),
            Arbitraries.of(true, false),
            Arbitraries.of(true, false))
        .as(Stretch::new)
        .list()
        .ofMaxSize(25);
  }

  @Provide
  Arbitrary<Set<Step>> switches() {
    return Arbitraries.of(
        EnumSet.of(Step.DUMP, Step.RESTART, Step.KILL),
        EnumSet.of(Step.DUMP, Step.RESTART, Step.KILL, Step.DRAIN),
        EnumSet.of(Step.DUMP, Step.RESTART, Step.KILL, Step.REPLACE),
        EnumSet.allOf(Step.class));
  }

  @Property(tries = 300)
  void theBoundsHoldWhateverHappens(
      @ForAll("lives") List<Stretch> life, @ForAll("switches") Set<Step> switches) {
    var rules = new Rules(AFTER, COOL_DOWN, MOST, switches);
    Instant now = Instant.parse("2026-11-21T08:00:00Z");
    Remedy remedy = Remedy.NONE;
    var hard = new ArrayList<Deed>();
    Instant brokenSince = Instant.MAX;
    for (Stretch stretch : life) {
      if (!stretch.isDead()) {
        // An agent that has just come does not know yet.
        boolean unknown = stretch.held() instanceof RuntimeRecord.Undecided;
        brokenSince = unknown ? brokenSince : Instant.MAX;
      } else if (brokenSince.equals(Instant.MAX)) {
        brokenSince = now;
      }
      Optional<Instant> started = stretch.started() ? Optional.of(now) : Optional.empty();
      for (int i = 0; i < stretch.minutes(); i++, now = now.plusSeconds(60)) {
        var seen = new Remedy.Seen(stretch.held(), started, stretch.drained());
        Remedy before = remedy;
        var decision = remedy.decide(seen, rules, now);
        remedy = decision.next();
        if (decision.verdict() instanceof Act(Step step)) {
          assertThat(stretch.isDead()).isTrue();
          assertThat(switches).contains(step);
          assertThat(Duration.between(brokenSince, now)).isGreaterThanOrEqualTo(AFTER);
          if (step == Step.REPLACE && switches.contains(Step.DRAIN)) {
            assertThat(stretch.drained()).isTrue();
            assertThat(before.drain()).isPresent();
          }
          // The next step, or from the beginning when a day has passed.
          assertThat(before.last().filter(l -> l.compareTo(step) > 0)).isEmpty();
          if (step != Step.DUMP) {
            hard.add(new Deed(step, now));
          }
          remedy = remedy.did(step, now);
        }
        assertThat(remedy.deeds()).hasSizeLessThanOrEqualTo(20);
        if (before.drain().isPresent() && remedy.drain().isEmpty()) {
          assertThat(stretch.isDead()).isFalse(); // only one that works goes back into service
        }
      }
    }
    for (int i = 1; i < hard.size(); i++) {
      assertThat(Duration.between(hard.get(i - 1).at(), hard.get(i).at()))
          .isGreaterThanOrEqualTo(COOL_DOWN);
    }
    Map<String, List<Instant>> kinds = new TreeMap<>();
    for (Deed deed : hard) {
      String kind = deed.step() == Step.KILL ? Step.RESTART.name() : deed.step().name();
      kinds.computeIfAbsent(kind, k -> new ArrayList<>()).add(deed.at());
    }
    kinds
        .values()
        .forEach(
            times -> {
              for (int i = MOST; i < times.size(); i++) {
                assertThat(Duration.between(times.get(i - MOST), times.get(i)))
                    .isGreaterThan(Duration.ofDays(1));
              }
            });
  }

  @Property(tries = 200)
  void whatIsReadFromItsFileIsWhatWasWritten(@ForAll("lives") List<Stretch> life)
      throws IOException {
    var rules = new Rules(AFTER, COOL_DOWN, MOST, EnumSet.allOf(Step.class));
    Instant now = Instant.parse("2026-11-21T08:00:00Z");
    Remedy remedy = Remedy.NONE;
    Path directory = Files.createTempDirectory("remedy");
    var file = new RemedyFile(directory, false);
    for (Stretch stretch : life) {
      now = now.plus(Duration.ofMinutes(stretch.minutes()));
      var decision =
          remedy.decide(
              new Remedy.Seen(stretch.held(), Optional.empty(), stretch.drained()), rules, now);
      remedy = decision.next();
      if (decision.verdict() instanceof Act(Step step)) {
        remedy = remedy.did(step, now);
      }
    }

    file.write(Map.of("docker", remedy));

    assertThat(file.read()).isEqualTo(Map.of("docker", remedy));
    Files.delete(directory.resolve("remediation.json"));
    Files.delete(directory);
  }
}
