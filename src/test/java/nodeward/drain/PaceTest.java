package nodeward.drain;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class PaceTest {
  private static final Instant BEGUN = Instant.parse("2026-11-21T08:00:00Z");
  private static final Pace SPOT = new Pace(BEGUN, BEGUN.plusSeconds(110), Duration.ofSeconds(10));
  private static final Pace ENDLESS = new Pace(BEGUN, Instant.MAX, Duration.ofSeconds(10));

  @Test
  void podsAreAskedUntilTheLongestGraceBeforeTheEnd() {
    assertThat(SPOT.politeUntil(Duration.ofSeconds(30))).isEqualTo(BEGUN.plusSeconds(70));
    assertThat(SPOT.politeUntil(Duration.ZERO)).isEqualTo(BEGUN.plusSeconds(100));
  }

  @Test
  void halfOfTheTimeIsForAskingHoweverLongTheGrace() {
    assertThat(SPOT.politeUntil(Duration.ofMinutes(10))).isEqualTo(BEGUN.plusSeconds(50));
  }

  @Test
  void withoutADeadlineNobodyIsForced() {
    assertThat(ENDLESS.politeUntil(Duration.ofSeconds(30))).isEqualTo(Instant.MAX);
    assertThat(ENDLESS.clamped(Duration.ofHours(1), BEGUN)).isEqualTo(Duration.ofHours(1));
  }

  @Test
  void theGraceEndsBeforeTheDeadlineAndIsNeverLessThanASecond() {
    assertThat(SPOT.clamped(Duration.ofSeconds(30), BEGUN)).isEqualTo(Duration.ofSeconds(30));
    assertThat(SPOT.clamped(Duration.ofMinutes(10), BEGUN)).isEqualTo(Duration.ofSeconds(100));
    assertThat(SPOT.clamped(Duration.ofMinutes(10), BEGUN.plusMillis(97_500)))
        .isEqualTo(Duration.ofSeconds(2));
    assertThat(SPOT.clamped(Duration.ofMinutes(10), BEGUN.plusSeconds(109)))
        .isEqualTo(Duration.ofSeconds(1));
    assertThat(SPOT.clamped(Duration.ZERO, BEGUN.plusSeconds(109))).isEqualTo(Duration.ZERO);
  }

  @Test
  void eachTierHasAShareOfTheTimeByItsGrace() {
    List<Duration> graces =
        List.of(Duration.ofSeconds(59), Duration.ofSeconds(29), Duration.ofSeconds(9));

    assertThat(SPOT.latestStart(graces, 0)).isEqualTo(BEGUN);
    assertThat(SPOT.latestStart(graces, 1)).isEqualTo(BEGUN.plusSeconds(60));
    assertThat(SPOT.latestStart(graces, 2)).isEqualTo(BEGUN.plusSeconds(90));
  }

  @Test
  void withoutADeadlineATierHasItsGraceAndSomePatience() {
    List<Duration> graces = List.of(Duration.ofSeconds(30), Duration.ofSeconds(30));

    assertThat(ENDLESS.latestStart(graces, 1)).isEqualTo(BEGUN.plusSeconds(30).plus(Pace.PATIENCE));
  }

  @Test
  void aReserveLongerThanTheTimeLeavesNoneAndBreaksNothing() {
    var hasty = new Pace(BEGUN, BEGUN.plusSeconds(3), Duration.ofSeconds(10));

    assertThat(hasty.politeUntil(Duration.ofSeconds(30))).isEqualTo(BEGUN);
    assertThat(hasty.latestStart(List.of(Duration.ZERO, Duration.ZERO), 1)).isEqualTo(BEGUN);
    assertThat(hasty.clamped(Duration.ofSeconds(30), BEGUN)).isEqualTo(Duration.ofSeconds(1));
  }
}
