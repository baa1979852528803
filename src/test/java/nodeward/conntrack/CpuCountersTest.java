package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.TreeMap;
import nodeward.conntrack.ConntrackTable.Stat;
import org.junit.jupiter.api.Test;

class CpuCountersTest {
  private static final long MOST = 0xffffffffL;

  private final CpuCounters counters = new CpuCounters();

  @Test
  void theFirstReadGivesTheCountersThemselves() {
    assertThat(grow(Map.of(0, 5L, 1, 7L))).isEqualTo(12);
  }

  @Test
  void laterReadsGiveTheGrowthOfAllCpus() {
    grow(Map.of(0, 5L, 1, 7L));

    assertThat(grow(Map.of(0, 6L, 1, 17L))).isEqualTo(11);
    assertThat(grow(Map.of(0, 6L, 1, 17L))).isZero();
  }

  @Test
  void aCounterThatWrapsHasGrown() {
    grow(Map.of(0, MOST - 1));

    assertThat(grow(Map.of(0, 3L))).isEqualTo(5);
  }

  @Test
  void aCounterThatBeganAnewHasNot() {
    grow(Map.of(0, 1000L));

    assertThat(grow(Map.of(0, 3L))).isZero();
    assertThat(grow(Map.of(0, 5L))).isEqualTo(2);
  }

  @Test
  void aCpuThatComesOnlySetsItsBaseLine() {
    grow(Map.of(0, 5L));

    assertThat(grow(Map.of(0, 5L, 1, 1000L))).isZero();
    assertThat(grow(Map.of(0, 5L, 1, 1001L))).isEqualTo(1);
  }

  @Test
  void aCpuThatGoesTakesNothingWithIt() {
    grow(Map.of(0, 5L, 1, 1000L));

    assertThat(grow(Map.of(0, 6L))).isEqualTo(1);
    assertThat(grow(Map.of(0, 6L, 1, 1000L))).isZero();
  }

  @Test
  void aReadWithoutCountersChangesNothing() {
    assertThat(counters.grow(Map.of())).isEmpty();
    assertThat(grow(Map.of(0, 5L))).isEqualTo(5);
    assertThat(counters.grow(Map.of())).isEmpty();
    assertThat(grow(Map.of(0, 7L))).isEqualTo(2);
  }

  private long grow(Map<Integer, Long> drops) {
    var cpus = new TreeMap<Integer, Map<Stat, Long>>();
    drops.forEach((cpu, drop) -> cpus.put(cpu, Map.of(Stat.DROP, drop)));
    return CpuCounters.sum(counters.grow(cpus), Stat.DROP);
  }
}
