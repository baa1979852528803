package nodeward.conntrack;

import java.io.IOException;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Collectors;

/** What {@code agent conntrack top} asks the daemon for: who holds the flows of the table now. */
public final class TopPage {
  private static final int USUAL = 10;

  private final FlowCount flows;

  public TopPage(FlowCount flows) {
    this.flows = flows;
  }

  /** By the parameters {@code by} and {@code most}; both may be left out. */
  public SequencedMap<String, Object> shown(Map<String, String> parameters) throws IOException {
    Holders.By by = by(parameters.getOrDefault("by", "pod"));
    int most = most(parameters.getOrDefault("most", Integer.toString(USUAL)));
    return flows.now().shown(by, most);
  }

  private static Holders.By by(String text) {
    return Arrays.stream(Holders.By.values())
        .filter(by -> by.name().equalsIgnoreCase(text))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "by is none of "
                        + Arrays.stream(Holders.By.values())
                            .map(by -> by.name().toLowerCase(Locale.ROOT))
                            .collect(Collectors.joining(", "))));
  }

  private static int most(String text) {
    if (!text.matches("[1-9]\\d{0,2}")) {
      throw new IllegalArgumentException("most is not a number from 1 to 999");
    }
    return Math.min(Integer.parseInt(text), Holders.MOST);
  }
}
