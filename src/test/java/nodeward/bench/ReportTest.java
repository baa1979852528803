package nodeward.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class ReportTest {
  private final Report report = new Report();

  @Test
  void columnsAreAlignedAndNumbersStandToTheRight() {
    report.add(
        "footprint",
        List.of(
            Figure.of("RSS", "MiB", 127.4).atMost(110).beside("the others", OptionalDouble.of(91)),
            Figure.of("requests per second", "", 7.25).atLeast(5)));

    assertThat(report.table("footprint"))
        .isEqualTo(
            """
            footprint
              name                 value  unit  target  met  peer        peer value
              RSS                    127  MiB   <= 110  NO   the others          91
              requests per second   7.25          >= 5  yes  -                    -
            """);
  }

  @Test
  void theJsonHasTheSameKeysForEveryFigure() throws JsonProcessingException {
    report.add(
        "footprint",
        List.of(
            Figure.of("RSS", "MiB", 127.4).atMost(110),
            Figure.ofPeer("RSS of the peer", "MiB", "kube2iam", OptionalDouble.empty())));

    JsonNode json = JsonMapper.builder().build().readTree(report.json());

    for (JsonNode figure : json) {
      var keys = new ArrayList<String>();
      figure.fieldNames().forEachRemaining(keys::add);
      assertThat(keys)
          .containsExactly("area", "name", "value", "unit", "target", "met", "peer", "peerValue");
    }
    assertThat(json.get(0).get("met").asBoolean(true)).isFalse();
    assertThat(json.get(1).get("value").isNull()).isTrue();
    assertThat(json.get(1).get("met").isNull()).isTrue();
    assertThat(json.get(1).get("peerValue").isNull()).isTrue();
  }
}
