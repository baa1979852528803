package nodeward.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class TaintTest {
  @ParameterizedTest
  @CsvSource({
    "a:NoSchedule,                              a,                       '',      NoSchedule",
    "a=:NoExecute,                              a,                       '',      NoExecute",
    "a=b:PreferNoSchedule,                      a,                       b,       PreferNoSchedule",
    "readiness.k8s.io/nodeward=pending:NoSchedule, readiness.k8s.io/nodeward, pending, NoSchedule",
  })
  void kubeletsNotationIsRead(String text, String key, String value, String effect) {
    assertThat(Taint.parse(text)).isEqualTo(new Taint(key, value, effect, ""));
  }

  @ParameterizedTest
  @MethodSource("bad")
  void whatTheApiServerWouldRefuseIsRefused(String text) {
    assertThatThrownBy(() -> Taint.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(text);
  }

  static Stream<String> bad() {
    return Stream.of(
        "a",
        ":NoSchedule",
        "a:Sometimes",
        "=b:NoSchedule",
        "a/b/c:NoSchedule",
        "-a:NoSchedule",
        "a=b c:NoSchedule",
        "a=b=c:NoSchedule",
        "a=-b:NoSchedule",
        "a=" + "v".repeat(64) + ":NoSchedule",
        "n".repeat(64) + ":NoSchedule",
        "p/" + "n".repeat(64) + ":NoSchedule",
        "p".repeat(254) + "/n:NoSchedule");
  }

  @Test
  void theLongestNamesAreRead() {
    String key = "p".repeat(253) + "/" + "n".repeat(63);

    assertThat(Taint.parse(key + "=" + "v".repeat(63) + ":NoSchedule").key()).isEqualTo(key);
  }
}
