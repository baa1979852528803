package nodeward.conntrack;

import java.io.IOException;
import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;

/** The kernel's connection tracking table of the agent's network namespace. */
public interface ConntrackTable {
  /** Reads the table's state now; a failure is one that the next read may not have. */
  Reading read() throws IOException;

  /** What a read tells. */
  sealed interface Reading {}

  /**
   * The table as it is. A {@code limit} of 0 means that the kernel has none. {@code cpus} holds the
   * raw 32-bit counters of each CPU, by its number, and is empty where the kernel does not show
   * them; {@code source} says where all of it was read.
   */
  record Known(long entries, long limit, SequencedMap<Integer, Map<Stat, Long>> cpus, String source)
      implements Reading {
    public Known {
      if (entries < 0 || limit < 0) {
        throw new IllegalArgumentException("conntrack entries=" + entries + " limit=" + limit);
      }
      var copy = new TreeMap<Integer, Map<Stat, Long>>();
      cpus.forEach(
          (cpu, stats) -> {
            var own = new EnumMap<Stat, Long>(Stat.class);
            own.putAll(stats);
            copy.put(cpu, Collections.unmodifiableMap(own));
          });
      cpus = Collections.unmodifiableSequencedMap(copy);
    }

    /** The share of the limit that is used; 0 without a limit. */
    public double share() {
      return limit == 0 ? 0 : (double) entries / limit;
    }
  }

  /** Nobody can tell, for example because the kernel's module is not loaded. */
  record Unknown(String why) implements Reading {}

  /**
   * The per-CPU counters that today's kernels keep (enum ctattr_stats_cpu of
   * linux/netfilter/nfnetlink_conntrack.h).
   */
  enum Stat {
    FOUND,
    INVALID,
    INSERT,
    INSERT_FAILED,
    DROP,
    EARLY_DROP,
    ICMP_ERROR,
    SEARCH_RESTART,
    CLASH_RESOLVE,
    CHAIN_TOOLONG
  }
}
