package nodeward.conntrack;

import java.util.EnumMap;
import java.util.Map;
import nodeward.conntrack.ConntrackTable.Stat;

/**
 * Turns the kernel's 32-bit counters of each CPU, which wrap and come and go with their CPU, into
 * growth that can be summed. Not safe for use by several threads.
 */
final class CpuCounters {
  private static final long MODULUS = 1L << 32;
  private static final long HALF = 1L << 31;

  private Map<Integer, Map<Stat, Long>> last = Map.of();
  private boolean first = true;

  /**
   * How much each counter has grown over all CPUs since the last call; the first call gives the
   * counters themselves. A CPU that was not there the last time only sets its base line.
   */
  Map<Stat, Long> grow(Map<Integer, Map<Stat, Long>> cpus) {
    var grown = new EnumMap<Stat, Long>(Stat.class);
    cpus.forEach(
        (cpu, stats) -> {
          Map<Stat, Long> before = last.getOrDefault(cpu, first ? Map.of() : stats);
          stats.forEach(
              (stat, now) ->
                  grown.merge(stat, delta(before.getOrDefault(stat, 0L), now), Long::sum));
        });
    if (!cpus.isEmpty()) {
      last = Map.copyOf(cpus);
      first = false;
    }
    return grown;
  }

  /** Less than half the range is growth, wrapped or not; more is a counter that began anew. */
  private static long delta(long before, long now) {
    long delta = Math.floorMod(now - before, MODULUS);
    return before == 0 || delta < HALF ? delta : 0;
  }
}
