package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.LongRange;
import nodeward.conntrack.PressureRule.Level;
import nodeward.conntrack.PressureRule.Sample;
import nodeward.conntrack.PressureRule.State;

class PressureRuleProperties {
  private static final long LIMIT = 1000;
  private static final long SECOND = 1_000_000_000L;

  private final PressureRule rule = new PressureRule(0.90, 0.95, 1, 5);

  @Provide
  Arbitrary<List<Sample>> histories() {
    var steps =
        Combinators.combine(
                Arbitraries.longs().between(1, 120),
                Arbitraries.longs().between(0, LIMIT),
                Arbitraries.longs().between(0, 200),
                Arbitraries.longs().between(0, 2000))
            .as((s, entries, dropped, failed) -> new Sample(s, entries, LIMIT, dropped, failed));
    return steps.list().ofMaxSize(60).map(PressureRuleProperties::inTime);
  }

  /** Turns the times between samples into times. */
  private static List<Sample> inTime(List<Sample> steps) {
    long[] now = {0};
    return steps.stream()
        .map(
            s -> {
              now[0] += s.nanos() * SECOND;
              return new Sample(now[0], s.entries(), s.limit(), s.dropped(), s.failed());
            })
        .toList();
  }

  @Property
  void theLevelIsThatOfTheShareWithinTheMargin(@ForAll("histories") List<Sample> history) {
    State state = State.NEW;
    for (Sample sample : history) {
      state = rule.next(state, sample);
      double share = (double) sample.entries() / LIMIT;
      Level level = state.level();
      if (share >= 0.95) {
        assertThat(level).isEqualTo(Level.CRITICAL);
      }
      if (share < 0.85) {
        assertThat(level).isEqualTo(Level.ROOM);
      }
      if (level == Level.CRITICAL) {
        assertThat(share).isGreaterThanOrEqualTo(0.90 - 1e-9);
      }
      if (level == Level.ROOM) {
        assertThat(share).isLessThan(0.90);
      }
    }
  }

  @Property
  void theStateIsBoundedHoweverLongItRuns(@ForAll("histories") List<Sample> history) {
    State state = State.NEW;
    for (Sample sample : history) {
      state = rule.next(state, sample);
      assertThat(state.points().size()).isLessThanOrEqualTo(302);
      assertThat(state.growth().orElse(0)).isFinite();
      assertThat(state.dropRate()).isFinite().isNotNegative();
    }
  }

  @Property
  void theSameSampleAgainChangesNoVerdict(
      @ForAll("histories") List<Sample> history, @ForAll @LongRange(min = 1, max = 30) long wait) {
    State state = State.NEW;
    for (Sample sample : history) {
      state = rule.next(state, sample);
    }
    if (history.isEmpty()) {
      return;
    }
    Sample last = history.getLast();
    var again = new Sample(last.nanos() + wait * SECOND, last.entries(), LIMIT, 0, 0);

    assertThat(rule.next(state, again).level()).isEqualTo(state.level());
  }

  @Property
  void aMinuteWithoutDropsEndsThem(@ForAll("histories") List<Sample> history) {
    State state = State.NEW;
    long now = 0;
    for (Sample sample : history) {
      state = rule.next(state, sample);
      now = sample.nanos();
    }
    for (int i = 0; i <= 6; i++) {
      now += 10 * SECOND;
      state = rule.next(state, new Sample(now, 10, LIMIT, 0, 0));
    }

    assertThat(state.dropping()).isFalse();
    assertThat(state.failing()).isFalse();
    assertThat(state.pressure()).isEqualTo(Pressure.OK);
  }
}
