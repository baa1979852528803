package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import nodeward.component.FakeTime;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TokensTest {
  private final FakeTime time = new FakeTime();
  private final Tokens tokens = new Tokens(time);

  @Test
  void aTokenIsValidForItsPodUntilItEnds() {
    String token = tokens.issue("uid-1", Duration.ofSeconds(60));

    assertThat(tokens.valid(token, "uid-1")).isTrue();
    assertThat(tokens.valid(token, "uid-2")).isFalse();
    time.advance(Duration.ofSeconds(60));
    assertThat(tokens.valid(token, "uid-1")).isFalse();
  }

  @Test
  void aStepOfTheWallClockEndsNoToken() {
    String token = tokens.issue("uid-1", Duration.ofSeconds(60));

    time.jump(Duration.ofDays(1));

    assertThat(tokens.valid(token, "uid-1")).isTrue();
  }

  @Test
  void aTokenOfAnotherRunIsNotValid() {
    assertThat(tokens.valid(new Tokens(time).issue("uid-1", Duration.ofHours(6)), "uid-1"))
        .isFalse();
  }

  @Test
  void aChangedTokenIsNotValid() {
    String token = tokens.issue("uid-1", Duration.ofHours(6));

    for (int i = 0; i < token.length() - 3; i++) { // the last bits before the padding say nothing
      char other = token.charAt(i) == 'A' ? 'B' : 'A';
      assertThat(tokens.valid(token.substring(0, i) + other + token.substring(i + 1), "uid-1"))
          .isFalse();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "x", "====", "not base64!", "AAAA", "\u00e9"})
  void textThatIsNoTokenIsNotValid(String text) {
    assertThat(tokens.valid(text, "uid-1")).isFalse();
  }
}
