package nodeward.readiness;

import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.DaemonSetView;
import nodeward.node.NodeEvents;
import nodeward.node.NodeView;
import nodeward.node.Pod;
import nodeward.node.Taint;
import nodeward.readiness.Requirement.Finding;
import nodeward.readiness.Requirement.Known;
import nodeward.readiness.Requirement.Seen;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Knows how each required DaemonSet stands: reads DaemonSets while they are asked for, at most once
 * a minute each, keeps track of pods that come up under its eyes, and runs the local probes of
 * those that are Ready. For the keeper's thread alone.
 */
final class Roster {
  private static final Logger log = LoggerFactory.getLogger(Roster.class);
  private static final Duration FRESH = Duration.ofSeconds(60);
  private static final Duration AFTER_FAILURE = Duration.ofSeconds(5);
  private static final Duration PROBE_LIMIT = Duration.ofSeconds(1);

  private final List<Requirement> requirements;
  private final Config.Gate config;
  private final GateKeeper.Ports ports;
  private final Time time;
  private final RandomGenerator random = RandomGenerator.getDefault();
  private final Map<String, Known> known = new HashMap<>();
  private final Map<String, Long> readAgainAt = new HashMap<>();
  private final Map<String, Long> readAt = new HashMap<>();
  private final Set<String> warned = new HashSet<>();
  private Map<String, Long> readySince = Map.of();
  private Set<String> down = Set.of();
  private Set<String> risen = Set.of();

  Roster(Config.Gate config, Boot boot, GateKeeper.Ports ports, Time time) {
    this.config = config;
    this.ports = ports;
    this.time = time;
    Set<String> keys = config.taints().stream().map(Taint::key).collect(Collectors.toSet());
    this.requirements = config.require().stream().map(r -> new Requirement(r, boot, keys)).toList();
  }

  /** How each required DaemonSet stands now, in the order of the configuration. */
  SequencedMap<String, Finding> findings(NodeView node, List<Pod> pods) {
    Seen seen = watch(pods);
    var findings = new LinkedHashMap<String, Finding>();
    for (Requirement requirement : requirements) {
      Known sets = known(requirement, pods);
      Finding finding = requirement.judge(sets, node, pods, seen);
      findings.put(requirement.name(), proven(requirement, finding));
    }
    return findings;
  }

  private Finding proven(Requirement requirement, Finding finding) {
    if (finding instanceof Finding.Fine && requirement.config().probe().isPresent()) {
      var probe = requirement.config().probe().get();
      Optional<String> failure = ports.prober().failure(probe, PROBE_LIMIT);
      if (failure.isPresent()) {
        return new Finding.Settling("probe %s: %s".formatted(probe, failure.get()));
      }
    }
    return finding;
  }

  private Known known(Requirement requirement, List<Pod> pods) {
    String name = requirement.name();
    long now = time.nanos();
    Long due = readAgainAt.get(name);
    if (due != null && now - due < 0 && !isOutdated(requirement, pods, now)) {
      return known.getOrDefault(name, new Known.Unread("not read yet"));
    }
    try {
      Known read = read(requirement.config());
      known.put(name, read);
      readAgainAt.put(name, now + jittered(FRESH));
      readAt.put(name, now);
      if (read instanceof Known.Found(var sets)) {
        sets.forEach(this::warnUnlessTolerant);
      }
    } catch (IOException e) {
      readAgainAt.put(name, now + jittered(AFTER_FAILURE));
      readAt.put(name, now);
      log.debug("gate: daemonset={} not read why=\"{}\"", name, e.getMessage());
      if (!(known.get(name) instanceof Known.Found)) {
        known.put(name, new Known.Unread("DaemonSet not read: " + e.getMessage()));
      }
    }
    return known.get(name);
  }

  /**
   * A pod of a DaemonSet of this name that is none of those known tells that it is new, or was made
   * anew.
   */
  private boolean isOutdated(Requirement requirement, List<Pod> pods, long now) {
    Config.Gate.Require require = requirement.config();
    Set<String> uids =
        known.get(requirement.name()) instanceof Known.Found(var sets)
            ? sets.stream().map(DaemonSetView::uid).collect(Collectors.toSet())
            : Set.of();
    return now - readAt.getOrDefault(requirement.name(), now) >= AFTER_FAILURE.toNanos()
        && pods.stream()
            .filter(pod -> pod.namespace().equals(require.namespace()) && pod.ofDaemonSet())
            .filter(pod -> !pod.terminating())
            .flatMap(pod -> pod.controller().stream())
            .anyMatch(o -> o.name().equals(require.daemonSet()) && !uids.contains(o.uid()));
  }

  private Known read(Config.Gate.Require require) throws IOException {
    List<DaemonSetView> sets =
        require.daemonSet().isEmpty()
            ? ports.daemonSets().select(require.namespace(), require.labelSelector())
            : ports.daemonSets().read(require.namespace(), require.daemonSet()).stream().toList();
    return sets.isEmpty() ? new Known.None() : new Known.Found(sets);
  }

  /** A system pod that the gate itself keeps away would keep it closed for ever. */
  private void warnUnlessTolerant(DaemonSetView set) {
    for (Taint taint : config.taints()) {
      if (!DaemonSetEligibility.tolerates(set.placement(), taint)
          && warned.add(set.uid() + taint)) {
        log.warn("gate: daemonset={} does not tolerate taint={}", set.fullName(), taint);
        ports
            .events()
            .tell(
                NodeEvents.Type.WARNING,
                "NodeGateNotTolerated",
                "DaemonSet %s does not tolerate the gate taint %s: its pod cannot come while the gate is closed"
                    .formatted(set.fullName(), taint));
      }
    }
  }

  private Seen watch(List<Pod> pods) {
    long now = time.nanos();
    var stillDown = new HashSet<String>();
    var up = new HashSet<String>();
    var since = new HashMap<String, Long>();
    for (Pod pod : pods) {
      if (!pod.ready()) {
        stillDown.add(pod.uid());
        continue;
      }
      since.put(pod.uid(), readySince.getOrDefault(pod.uid(), now));
      if (down.contains(pod.uid()) || risen.contains(pod.uid())) {
        up.add(pod.uid());
      }
    }
    down = stillDown;
    risen = up;
    readySince = since;
    var readyFor = new HashMap<String, Duration>();
    since.forEach((uid, at) -> readyFor.put(uid, Duration.ofNanos(now - at)));
    return new Seen(risen, readyFor);
  }

  /** Within a fifth more, so that a fleet that boots together does not ask together. */
  private long jittered(Duration wait) {
    return wait.toNanos() + random.nextLong(wait.toNanos() / 5);
  }
}
