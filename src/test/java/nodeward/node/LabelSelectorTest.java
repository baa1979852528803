package nodeward.node;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import nodeward.node.LabelSelector.Requirement;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LabelSelectorTest {
  private static final Map<String, String> LABELS = Map.of("app", "web", "zone", "a");

  @ParameterizedTest
  @CsvSource({
    "app, In, web, true",
    "app, In, db, false",
    "none, In, web, false",
    "app, NotIn, db, true",
    "app, NotIn, web, false",
    "none, NotIn, web, true",
    "app, Exists, , true",
    "none, Exists, , false",
    "app, DoesNotExist, , false",
    "none, DoesNotExist, , true"
  })
  void holdsAsTheApiServersDo(String key, String operator, String value, boolean holds) {
    List<String> values = value == null ? List.of() : List.of(value);

    assertThat(LabelSelector.of(List.of(new Requirement(key, operator, values))).matches(LABELS))
        .isEqualTo(holds);
  }

  @Test
  void allRequirementsMustHoldAndNoneMeansEverything() {
    var web = new Requirement("app", "In", List.of("web"));
    var elsewhere = new Requirement("zone", "In", List.of("b"));

    assertThat(LabelSelector.of(List.of(web, elsewhere)).matches(LABELS)).isFalse();
    assertThat(LabelSelector.of(List.of()).matches(Map.of())).isTrue();
    assertThat(LabelSelector.NOTHING.matches(LABELS)).isFalse();
  }
}
