package nodeward.component;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.Test;

class BackoffTest {
  @Test
  void windowsDoubleUpToTheMost() {
    var first = Duration.ofMillis(100);
    var most = Duration.ofSeconds(5);
    for (int seed = 0; seed < 200; seed++) {
      var backoff = new Backoff(first, most, new Random(seed));
      for (int n = 0; n < 80; n++) {
        long window = Math.min(most.toMillis(), 100L << Math.min(n, 20));
        assertThat(backoff.next()).isPositive().isLessThanOrEqualTo(Duration.ofMillis(window));
      }
    }
  }

  @Test
  void aResetBeginsAnew() {
    var backoff = new Backoff(Duration.ofMillis(1), Duration.ofHours(1), new Random(1));
    for (int n = 0; n < 20; n++) {
      backoff.next();
    }
    backoff.reset();

    assertThat(backoff.next()).isLessThanOrEqualTo(Duration.ofMillis(1));
  }

  @Test
  void theMostIsNotLessThanTheFirst() {
    assertThatThrownBy(() -> new Backoff(Duration.ofSeconds(2), Duration.ofSeconds(1)))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
