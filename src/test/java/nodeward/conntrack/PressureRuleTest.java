package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;

import nodeward.conntrack.PressureRule.Level;
import nodeward.conntrack.PressureRule.Sample;
import nodeward.conntrack.PressureRule.State;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PressureRuleTest {
  private static final long INTERVAL = 10_000_000_000L;

  private final PressureRule rule = new PressureRule(0.90, 0.95, 1, 5);
  private State state = State.NEW;
  private long now;

  @ParameterizedTest
  @CsvSource({
    "ROOM,        0,   ROOM",
    "ROOM,        899, ROOM",
    "ROOM,        900, NEAR_FULL",
    "ROOM,        949, NEAR_FULL",
    "ROOM,        950, CRITICAL",
    "ROOM,       1000, CRITICAL",
    "NEAR_FULL, 899, NEAR_FULL",
    "NEAR_FULL, 850, NEAR_FULL",
    "NEAR_FULL, 849, ROOM",
    "NEAR_FULL, 949, NEAR_FULL",
    "NEAR_FULL, 950, CRITICAL",
    "CRITICAL,  949, CRITICAL",
    "CRITICAL,  900, CRITICAL",
    "CRITICAL,  899, NEAR_FULL",
    "CRITICAL,  850, NEAR_FULL",
    "CRITICAL,  849, ROOM",
  })
  void aLevelIsReachedAtItsShareAndLeftBelowIt(Level before, long entries, Level after) {
    state = new State(before, false, false, 1000, state.points());

    sample(entries, 1000);

    assertThat(state.level()).isEqualTo(after);
  }

  @Test
  void aTableThatHoversAroundAShareDoesNotFlap() {
    int changes = 0;
    for (int i = 0; i < 100; i++) {
      Pressure before = state.pressure();
      sample(i % 2 == 0 ? 905 : 895, 1000);
      changes += state.pressure() == before ? 0 : 1;
    }

    assertThat(changes).isEqualTo(1);
  }

  @Test
  void aTableWithoutALimitIsNeverFull() {
    sample(1_000_000, 0);

    assertThat(state.pressure()).isEqualTo(Pressure.OK);
    assertThat(state.secondsToFull()).isEmpty();
  }

  @Test
  void aLimitThatIsRaisedRelievesThePressure() {
    sample(1000, 1000);
    sample(1000, 4000);

    assertThat(state.pressure()).isEqualTo(Pressure.OK);
  }

  @Test
  void nothingIsKnownBeforeTheFirstSample() {
    assertThat(state.pressure()).isEqualTo(Pressure.UNKNOWN);
  }

  @Test
  void whatTheKernelDroppedBeforeTheFirstSampleIsNoRate() {
    sample(1, 1000, 1_000_000, 1_000_000);

    assertThat(state.pressure()).isEqualTo(Pressure.OK);
    assertThat(state.dropRate()).isZero();
  }

  @Test
  void dropsCountOverAMinuteAndFadeWithIt() {
    sample(1, 1000);
    sample(1, 1000, 60, 0);
    assertThat(state.dropRate()).isEqualTo(6);
    assertThat(state.pressure()).isEqualTo(Pressure.DROPPING);

    for (int i = 0; i < 5; i++) {
      sample(1, 1000);
    }
    assertThat(state.dropRate()).isEqualTo(1);
    assertThat(state.pressure()).isEqualTo(Pressure.DROPPING);

    sample(1, 1000);
    assertThat(state.pressure()).isEqualTo(Pressure.OK);
  }

  @Test
  void aRateThatHoversAroundItsBoundDoesNotFlap() {
    int changes = 0;
    sample(1, 1000);
    for (int i = 0; i < 100; i++) {
      Pressure before = state.pressure();
      sample(1, 1000, i % 2 == 0 ? 12 : 7, 0);
      changes += state.pressure() == before ? 0 : 1;
    }

    assertThat(changes).isEqualTo(1);
  }

  @Test
  void whatHurtsAlreadyComesFirst() {
    sample(1, 1000);
    sample(1, 1000, 0, 100);
    assertThat(state.pressure()).isEqualTo(Pressure.INSERT_FAILING);
    sample(910, 1000, 0, 100);
    assertThat(state.pressure()).isEqualTo(Pressure.NEAR_FULL);
    sample(960, 1000);
    assertThat(state.pressure()).isEqualTo(Pressure.CRITICAL);
    sample(1000, 1000, 100, 0);
    assertThat(state.pressure()).isEqualTo(Pressure.DROPPING);
  }

  @Test
  void aSteadyGrowthIsForecast() {
    for (int i = 0; i < 4; i++) {
      sample(100 + 10 * i, 1000);
    }

    assertThat(state.growth()).hasValue(1);
    assertThat(state.secondsToFull()).hasValue(870);
  }

  @Test
  void aTableThatShrinksOrStandsStillDoesNotFill() {
    for (int i = 0; i < 4; i++) {
      sample(500, 1000);
    }
    assertThat(state.secondsToFull()).isEmpty();

    for (int i = 0; i < 4; i++) {
      sample(400 - 10 * i, 1000);
    }
    assertThat(state.secondsToFull()).isEmpty();
  }

  @Test
  void tooFewSamplesAreNoTrend() {
    sample(1, 1000);
    sample(500, 1000);
    sample(900, 1000);

    assertThat(state.growth()).isEmpty();
  }

  @Test
  void aLongGapBetweenTwoSamplesSpreadsWhatHappenedInIt() {
    sample(1, 1000);
    now += 600_000_000_000L - INTERVAL;
    sample(1, 1000, 300, 0);

    assertThat(state.dropRate()).isEqualTo(0.5);
    assertThat(state.pressure()).isEqualTo(Pressure.OK);
  }

  private void sample(long entries, long limit) {
    sample(entries, limit, 0, 0);
  }

  private void sample(long entries, long limit, long dropped, long failed) {
    now += INTERVAL;
    state = rule.next(state, new Sample(now, entries, limit, dropped, failed));
  }
}
