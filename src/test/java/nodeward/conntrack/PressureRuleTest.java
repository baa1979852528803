package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.TreeMap;
import nodeward.conntrack.ConntrackTable.Known;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PressureRuleTest {
  private final PressureRule rule = new PressureRule(0.90, 0.95);

  @ParameterizedTest
  @CsvSource({
    "OK,        0,   OK",
    "OK,        899, OK",
    "OK,        900, NEAR_FULL",
    "OK,        949, NEAR_FULL",
    "OK,        950, CRITICAL",
    "OK,       1000, CRITICAL",
    "NEAR_FULL, 899, NEAR_FULL",
    "NEAR_FULL, 850, NEAR_FULL",
    "NEAR_FULL, 849, OK",
    "NEAR_FULL, 949, NEAR_FULL",
    "NEAR_FULL, 950, CRITICAL",
    "CRITICAL,  949, CRITICAL",
    "CRITICAL,  900, CRITICAL",
    "CRITICAL,  899, NEAR_FULL",
    "CRITICAL,  850, NEAR_FULL",
    "CRITICAL,  849, OK",
    "UNKNOWN,   899, OK",
    "UNKNOWN,   900, NEAR_FULL",
  })
  void aLevelIsReachedAtItsShareAndLeftBelowIt(Pressure before, long entries, Pressure after) {
    assertThat(rule.next(before, table(entries, 1000))).isEqualTo(after);
  }

  @Test
  void aTableThatHoversAroundAShareDoesNotFlap() {
    Pressure pressure = Pressure.OK;
    int changes = 0;
    for (int i = 0; i < 100; i++) {
      Pressure next = rule.next(pressure, table(i % 2 == 0 ? 905 : 895, 1000));
      changes += next == pressure ? 0 : 1;
      pressure = next;
    }

    assertThat(changes).isEqualTo(1);
  }

  @Test
  void aTableWithoutALimitIsNeverFull() {
    assertThat(rule.next(Pressure.OK, table(1_000_000, 0))).isEqualTo(Pressure.OK);
  }

  @Test
  void aLimitThatIsRaisedRelievesThePressure() {
    Pressure full = rule.next(Pressure.OK, table(1000, 1000));

    assertThat(rule.next(full, table(1000, 4000))).isEqualTo(Pressure.OK);
  }

  private static Known table(long entries, long limit) {
    return new Known(entries, limit, new TreeMap<>(), "test");
  }
}
