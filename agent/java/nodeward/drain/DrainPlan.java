package nodeward.drain;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.DrainOptions.Flag;
import nodeward.node.Owner;
import nodeward.node.Pod;

/**
 * What a drain does with each pod of a node, in the order in which it does it: pods that the
 * cluster can spare first, critical ones last. Judged as {@code kubectl drain} judges, filter by
 * filter, with its texts; other than there, no warning is lost.
 */
public record DrainPlan(List<Entry> entries) {
  /**
   * What is known beyond the pods themselves: the time, and by {@link #daemonSet} the DaemonSets
   * that the API server does not have, and why others could not be read.
   */
  public record Facts(Instant now, Set<String> missing, Map<String, String> unreadable) {
    public Facts {
      missing = Set.copyOf(missing);
      unreadable = Map.copyOf(unreadable);
    }

    /** Every DaemonSet that a pod names is taken to be there. */
    public static Facts at(Instant now) {
      return new Facts(now, Set.of(), Map.of());
    }
  }

  /** A pod, what becomes of it, and what a person should know about that. */
  public record Entry(Pod pod, Verdict verdict, List<String> warnings) {
    public Entry {
      warnings = List.copyOf(warnings);
    }
  }

  /** What becomes of a pod. */
  public sealed interface Verdict {
    record Evict() implements Verdict {}

    /** It is terminating already: asking again could only shorten its grace. */
    record Await() implements Verdict {}

    record Leave(Why why) implements Verdict {}

    /** The options do not allow its eviction; kubectl then evicts nothing at all. */
    record Forbid(String message) implements Verdict {}
  }

  /** Why a pod is left alone. */
  public enum Why {
    OWN("is the agent's own pod"),
    DAEMON_SET("is managed by a DaemonSet"),
    MIRROR("is a static pod of the kubelet"),
    DELETED("was to be gone long ago"),
    FINISHED("has ended");

    private final String text;

    Why(String text) {
      this.text = text;
    }

    public String text() {
      return text;
    }
  }

  public DrainPlan {
    entries = List.copyOf(entries);
  }

  /** With every DaemonSet there, at no special time. */
  public static DrainPlan of(Collection<Pod> pods, DrainOptions options) {
    return of(pods, options, Facts.at(Instant.EPOCH));
  }

  public static DrainPlan of(Collection<Pod> pods, DrainOptions options, Facts facts) {
    return new DrainPlan(
        pods.stream()
            .map(p -> new Turn(Tier.of(p), p.fullName(), p))
            .sorted()
            .map(t -> judge(t.pod, options, facts))
            .toList());
  }

  /** What a pod is sorted by, found once for each. */
  private record Turn(Tier tier, String name, Pod pod) implements Comparable<Turn> {
    @Override
    public int compareTo(Turn other) {
      int byTier = tier.compareTo(other.tier);
      return byTier == 0 ? name.compareTo(other.name) : byTier;
    }
  }

  /** The DaemonSet that controls the pod, as {@code namespace/name}. */
  public static String daemonSet(Pod pod) {
    return pod.namespace() + "/" + pod.controller().map(Owner::name).orElse("");
  }

  /** The pods that go, tier by tier. */
  public SortedMap<Tier, List<Pod>> tiers() {
    var tiers = new TreeMap<Tier, List<Pod>>();
    for (Pod pod : toEvict()) {
      tiers.computeIfAbsent(Tier.of(pod), _ -> new ArrayList<>()).add(pod);
    }
    return tiers;
  }

  public List<Pod> toEvict() {
    return entries.stream()
        .filter(e -> e.verdict() instanceof Verdict.Evict)
        .map(Entry::pod)
        .toList();
  }

  /**
   * What forbids the drain, one text for each reason as kubectl writes it; empty when none does.
   */
  public List<String> errors() {
    return grouped(
        e ->
            e.verdict() instanceof Verdict.Forbid(String message)
                ? List.of("cannot delete " + message)
                : List.of());
  }

  /** What a person should know before it starts; kubectl joins them with {@code "; "}. */
  public List<String> warnings() {
    return grouped(Entry::warnings);
  }

  /** One text for each message, with the pods it is about in the order of the API server. */
  private List<String> grouped(Function<Entry, List<String>> messages) {
    var pods = new LinkedHashMap<String, List<String>>();
    for (Entry e :
        entries.stream().sorted(Comparator.comparing(e -> e.pod().fullName())).toList()) {
      for (String message : messages.apply(e)) {
        pods.computeIfAbsent(message, _ -> new ArrayList<>()).add(e.pod().fullName());
      }
    }
    return pods.entrySet().stream()
        .map(e -> e.getKey() + ": " + String.join(", ", e.getValue()))
        .toList();
  }

  private static Entry judge(Pod pod, DrainOptions options, Facts facts) {
    if (!options.ownPod().isEmpty() && pod.fullName().equals(options.ownPod())) {
      return leave(pod, Why.OWN);
    }
    if (!facts.now().isBefore(skippedFrom(pod, options))) {
      return leave(pod, Why.DELETED);
    }
    boolean finished = pod.finished();
    if (finished && options.has(Flag.LEAVE_FINISHED)) {
      return leave(pod, Why.FINISHED);
    }
    if (pod.ofDaemonSet() && !finished) {
      String set = daemonSet(pod);
      if (facts.unreadable().containsKey(set)) {
        return forbid(pod, facts.unreadable().get(set));
      }
      if (facts.missing().contains(set)) {
        if (!options.has(Flag.FORCE)) {
          // kubectl shows the API server's answer as it is.
          String name = set.substring(set.indexOf('/') + 1);
          return forbid(pod, "daemonsets.apps \"%s\" not found".formatted(name));
        }
      } else if (!options.has(Flag.EVICT_DAEMON_SETS)) {
        return options.has(Flag.IGNORE_DAEMON_SETS)
            ? leave(pod, Why.DAEMON_SET, "ignoring DaemonSet-managed Pods")
            : forbid(pod, "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)");
      }
    }
    if (pod.mirror()) {
      return leave(pod, Why.MIRROR);
    }
    var warnings = new ArrayList<String>();
    if (pod.emptyDir() && !finished) {
      if (!options.has(Flag.DELETE_EMPTY_DIR_DATA)) {
        return forbid(pod, "Pods with local storage (use --delete-emptydir-data to override)");
      }
      warnings.add("deleting Pods with local storage");
    }
    if (pod.controller().isEmpty() && !finished) {
      if (!options.has(Flag.FORCE)) {
        return forbid(pod, "Pods that declare no controller (use --force to override)");
      }
      warnings.add("deleting Pods that declare no controller");
    }
    // Whoever only looks does not wait.
    boolean await = pod.terminating() && options.dryRun() == DryRun.NONE;
    return new Entry(pod, await ? new Verdict.Await() : new Verdict.Evict(), warnings);
  }

  /**
   * From when on it does not matter that the pod is still there: kubectl counts whole seconds and
   * skips what is older than so many.
   */
  static Instant skippedFrom(Pod pod, DrainOptions options) {
    return pod.terminating() && !options.skipDeleted().isZero()
        ? pod.deletion().plus(options.skipDeleted()).plusSeconds(1)
        : Instant.MAX;
  }

  private static Entry leave(Pod pod, Why why, String... warnings) {
    return new Entry(pod, new Verdict.Leave(why), List.of(warnings));
  }

  private static Entry forbid(Pod pod, String message) {
    return new Entry(pod, new Verdict.Forbid(message), List.of());
  }
}
