package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class FrequentProperties {
  @Property
  void countsAreTooLowByTheErrorAtMostAndTheErrorIsBounded(
      @ForAll @Size(max = 400) List<@IntRange(max = 30) Integer> seen,
      @ForAll @IntRange(min = 2, max = 12) int places) {
    var frequent = new Frequent(places);
    Map<Long, Long> truth = new HashMap<>();
    for (int destination : seen) {
      frequent.add(0, destination, 6, 443);
      truth.merge((long) destination, 1L, Long::sum);
    }

    Map<Long, Long> counted = new HashMap<>();
    frequent.top(Integer.MAX_VALUE).forEach(kept -> counted.put(kept.low(), kept.flows()));

    assertThat(frequent.error()).isLessThanOrEqualTo(seen.size() / (places + 1));
    truth.forEach(
        (destination, flows) ->
            assertThat(counted.getOrDefault(destination, 0L))
                .isBetween(flows - frequent.error(), flows));
  }

  @Property
  void withAPlaceForEachTheCountsAreExactAndSorted(
      @ForAll @Size(max = 300) List<@IntRange(max = 20) Integer> seen) {
    var frequent = new Frequent(32);
    Map<Long, Long> truth = new HashMap<>();
    for (int destination : seen) {
      frequent.add(destination, -destination, 17, destination);
      truth.merge((long) destination, 1L, Long::sum);
    }

    var top = frequent.top(100);

    assertThat(frequent.error()).isZero();
    assertThat(top).hasSize(truth.size());
    assertThat(top)
        .allSatisfy(kept -> assertThat(kept.flows()).isEqualTo(truth.get(kept.high())))
        .extracting(Frequent.Kept::flows)
        .isSortedAccordingTo(java.util.Comparator.reverseOrder());
  }
}
