package nodeward.conntrack;

import java.util.EnumMap;
import java.util.Map;
import java.util.TreeMap;
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
   * How much each counter of each CPU has grown since the last call; the first call gives the
   * counters themselves. A CPU that was not there the last time only sets its base line.
   */
  Map<Integer, Map<Stat, Long>> grow(Map<Integer, Map<Stat, Long>> cpus) {
    var grown = new TreeMap<Integer, Map<Stat, Long>>();
    cpus.forEach(
        (cpu, stats) -> {
          Map<Stat, Long> before = last.getOrDefault(cpu, first ? Map.of() : stats);
          var own = new EnumMap<Stat, Long>(Stat.class);
          stats.forEach((stat, now) -> own.put(stat, delta(before.getOrDefault(stat, 0L), now)));
          grown.put(cpu, own);
        });
    if (!cpus.isEmpty()) {
      last = Map.copyOf(cpus);
      first = false;
    }
    return grown;
  }

  /** The growth of one counter over all CPUs. */
  static long sum(Map<Integer, Map<Stat, Long>> grown, Stat stat) {
    return grown.values().stream().mapToLong(stats -> stats.getOrDefault(stat, 0L)).sum();
  }

  /** Less than half the range is growth, wrapped or not; more is a counter that began anew. */
  private static long delta(long before, long now) {
    long delta = Math.floorMod(now - before, MODULUS);
    return before == 0 || delta < HALF ? delta : 0;
  }
}
