package nodeward.drain;

import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.Work.Stage;

/** Whose turn it is, as a pure function of how far the pods are and of the {@link Pace}. */
final class Turns {
  private Turns() {}

  /** From when on the pods of each tier may be asked; {@link Instant#MIN} when it is their turn. */
  static Map<Tier, Instant> starts(Collection<Work> works, DrainOptions options, Pace pace) {
    var graces = new TreeMap<Tier, Duration>();
    var open = new TreeSet<Tier>();
    for (Work work : works) {
      Duration grace = options.grace().orElse(work.pod.grace());
      graces.merge(work.tier, grace, (a, b) -> a.compareTo(b) > 0 ? a : b);
      if (!work.settled()) {
        open.add(work.tier);
      }
    }
    List<Duration> inOrder = List.copyOf(graces.values());
    var starts = new TreeMap<Tier, Instant>();
    boolean waits = false;
    int i = 0;
    for (Tier tier : graces.keySet()) {
      // DaemonSets serve the others: without a deadline they are not taken from under them.
      Instant latest =
          tier.phase() != Tier.Phase.WORKLOADS && !pace.limited()
              ? Instant.MAX
              : pace.latestStart(inOrder, i);
      starts.put(tier, waits && options.dryRun() == DryRun.NONE ? latest : Instant.MIN);
      waits |= open.contains(tier);
      i++;
    }
    return starts;
  }

  /** Of the pods that have not been asked with success. */
  static Duration longestGrace(Collection<Work> works, DrainOptions options) {
    return works.stream()
        .filter(w -> w.stage == Stage.DUE || w.stage == Stage.ASKING)
        .map(w -> options.grace().orElse(w.pod.grace()))
        .max(Comparator.naturalOrder())
        .orElse(Duration.ZERO);
  }
}
