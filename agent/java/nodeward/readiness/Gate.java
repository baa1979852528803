package nodeward.readiness;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.Stream;
import nodeward.config.Config;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Taint;
import nodeward.readiness.Requirement.Finding;

/**
 * The readiness gate as a pure state machine: from what the Node and its required system pods look
 * like it says in which state the gate is and what has to be written to the Node. It remembers
 * nothing: the mark of an open gate stands on the Node itself, written by the same patch that takes
 * the taint away, so an agent that is killed anywhere starts in the same state again.
 */
final class Gate {
  /** A node that is up for longer and carries neither taint nor mark was there before the agent. */
  static final Duration ADOPT_AFTER = Duration.ofMinutes(10);

  private static final List<String> STRENGTH =
      List.of("PreferNoSchedule", "NoSchedule", "NoExecute");

  /** Where the gate stands. */
  sealed interface State {
    /** Nothing is known yet: the watches have not shown the node. */
    record Unknown() implements State {}

    /** There is no Node of this name yet. */
    record Unregistered() implements State {}

    /** Workloads are kept away. {@code missing} tells for each DaemonSet that is not there why. */
    record Closed(SequencedMap<String, String> missing) implements State {}

    /**
     * Every system pod is Ready, and some have to stay so or to prove themselves a little longer.
     */
    record Settling(SequencedMap<String, String> waiting) implements State {}

    /** A node from before the agent: watched like a closed one, but never tainted. */
    record Adopting(SequencedMap<String, String> missing) implements State {}

    /**
     * Opened in this boot. {@code missing} is what has gone away since; it closes nothing by
     * itself.
     */
    record Open(Instant since, SequencedMap<String, String> missing) implements State {}
  }

  /** Why a patch is written. */
  enum Cause {
    NONE,
    /** The taint goes, the mark comes. */
    OPENED,
    /** The mark comes to a node from before the agent, which had no taint. */
    ADOPTED,
    /**
     * An unverified boot has no taint, or not all of it: kubelet did not register the node with it.
     */
    TAINT_MISSING,
    /** A closed gate had its taints in this run already, and somebody has taken one away. */
    TAINT_TAKEN,
    /** An open gate carries a taint of ours, which somebody has put back. */
    TAINT_RETURNED,
    /** A required pod has been away for too long. */
    CLOSED_AGAIN
  }

  /** The state, and the write that brings the Node in line with it. */
  record Verdict(State state, Cause cause, Optional<NodeChange> change) {
    static Verdict of(State state) {
      return new Verdict(state, Cause.NONE, Optional.empty());
    }
  }

  private final List<Taint> taints;
  private final Boot boot;

  Gate(Config.Gate config, Boot boot) {
    this.taints = config.taints();
    this.boot = boot;
  }

  /** Whether the gate was opened for this very Node object, instance and boot. */
  boolean isOpen(NodeView node, String instanceId) {
    return mark(node).filter(mark -> mark.isOf(node, boot, instanceId)).isPresent();
  }

  /**
   * Judges a Node. {@code findings} says for each required DaemonSet how it stands, {@code up} is
   * how long the kernel runs, {@code instanceId} is empty while it is not known.
   */
  Verdict judge(
      NodeView node,
      SequencedMap<String, Finding> findings,
      String instanceId,
      Duration up,
      Instant now) {
    Optional<Mark> mark = mark(node);
    if (mark.isPresent() && mark.get().isOf(node, boot, instanceId)) {
      State state = new State.Open(Instant.parse(mark.get().since()), held(findings));
      NodeChange change = withoutOwnTaints(node, mark);
      return change.isEmpty()
          ? Verdict.of(state)
          : new Verdict(state, Cause.TAINT_RETURNED, Optional.of(change));
    }
    SequencedMap<String, String> missing = held(findings);
    SequencedMap<String, String> waiting = settling(findings);
    boolean fromBefore =
        node.annotation(Mark.ANNOTATION).isEmpty()
            && taints.stream().noneMatch(t -> node.hasTaint(t.key()))
            && up.compareTo(ADOPT_AFTER) > 0;
    if (missing.isEmpty() && waiting.isEmpty()) {
      Cause cause = fromBefore ? Cause.ADOPTED : Cause.OPENED;
      return opened(node, mark, instanceId, now, cause);
    }
    if (fromBefore) {
      missing.putAll(waiting);
      return Verdict.of(new State.Adopting(missing));
    }
    State state = missing.isEmpty() ? new State.Settling(waiting) : closed(missing, waiting);
    NodeChange change = withTaints(NodeChange.of(node));
    return change.isEmpty()
        ? Verdict.of(state)
        : new Verdict(state, Cause.TAINT_MISSING, Optional.of(claimed(change, instanceId, now)));
  }

  /** Closes an open gate again: the taint comes back and the mark is void, in one patch. */
  Verdict closeAgain(
      NodeView node, SequencedMap<String, Finding> findings, String instanceId, Instant now) {
    NodeChange change = claimed(withTaints(NodeChange.of(node)), instanceId, now);
    return new Verdict(new State.Closed(held(findings)), Cause.CLOSED_AGAIN, Optional.of(change));
  }

  /** The taint keys that an earlier configuration called its own on this Node. */
  static List<String> markedKeys(NodeView node) {
    return mark(node).map(Mark::keys).orElse(List.of());
  }

  /** Whether the annotation is there but cannot be read; such a gate counts as never opened. */
  static Optional<String> malformedMark(NodeView node) {
    return node.annotation(Mark.ANNOTATION).filter(a -> mark(node).isEmpty());
  }

  /** The missing DaemonSets with their reasons, in words. */
  static String words(Map<String, String> missing) {
    return String.join(
        ", ",
        missing.entrySet().stream().map(e -> e.getKey() + " (" + e.getValue() + ")").toList());
  }

  private Verdict opened(
      NodeView node, Optional<Mark> old, String instanceId, Instant now, Cause cause) {
    var keys = taints.stream().map(Taint::key).toList();
    var mark = new Mark(node.uid(), node.providerId(), boot.id(), instanceId, now.toString(), keys);
    NodeChange change = withoutOwnTaints(node, old).withAnnotation(Mark.ANNOTATION, mark.json());
    return new Verdict(new State.Open(now, new LinkedHashMap<>()), cause, Optional.of(change));
  }

  private static State closed(
      SequencedMap<String, String> missing, SequencedMap<String, String> waiting) {
    missing.putAll(waiting);
    return new State.Closed(missing);
  }

  /**
   * With a mark that is of no boot, and so verifies nothing: it only names the keys that the agent
   * put there, so that they are known as its own under any later configuration.
   */
  private NodeChange claimed(NodeChange change, String instanceId, Instant now) {
    NodeView node = change.seen();
    List<String> keys =
        Stream.concat(taints.stream().map(Taint::key), markedKeys(node).stream())
            .distinct()
            .toList();
    var mark = new Mark(node.uid(), node.providerId(), "", instanceId, now.toString(), keys);
    return change.withAnnotation(Mark.ANNOTATION, mark.json());
  }

  /**
   * The agent itself never adds NoExecute: after a reboot, or on a node in service, it would evict
   * the very workloads that are to be kept.
   */
  private NodeChange withTaints(NodeChange change) {
    NodeChange tainted = change;
    for (Taint taint : taints) {
      String effect = taint.effect().equals("NoExecute") ? "NoSchedule" : taint.effect();
      boolean stands =
          change.seen().taints().stream()
              .filter(t -> t.key().equals(taint.key()))
              .anyMatch(t -> STRENGTH.indexOf(t.effect()) >= STRENGTH.indexOf(effect));
      if (!stands) {
        tainted = tainted.withTaint(new Taint(taint.key(), taint.value(), effect, ""));
      }
    }
    return tainted;
  }

  /** Without our taints, those of the older configuration that the mark names included. */
  private NodeChange withoutOwnTaints(NodeView node, Optional<Mark> mark) {
    var keys =
        Stream.concat(
                taints.stream().map(Taint::key), mark.stream().flatMap(m -> m.keys().stream()))
            .distinct()
            .toList();
    NodeChange change = NodeChange.of(node);
    for (String key : keys) {
      change = change.withoutTaint(key);
    }
    return change;
  }

  private static SequencedMap<String, String> held(SequencedMap<String, Finding> findings) {
    var held = new LinkedHashMap<String, String>();
    findings.forEach(
        (name, finding) -> {
          if (finding instanceof Finding.Held(String why)) {
            held.put(name, why);
          }
        });
    return held;
  }

  private static SequencedMap<String, String> settling(SequencedMap<String, Finding> findings) {
    var settling = new LinkedHashMap<String, String>();
    findings.forEach(
        (name, finding) -> {
          if (finding instanceof Finding.Settling(String why)) {
            settling.put(name, why);
          }
        });
    return settling;
  }

  private static Optional<Mark> mark(NodeView node) {
    Optional<String> annotation = node.annotation(Mark.ANNOTATION);
    if (annotation.isEmpty()) {
      return Optional.empty();
    }
    try {
      Optional<Mark> mark = Mark.parse(annotation.get());
      mark.ifPresent(m -> Instant.parse(m.since()));
      return mark;
    } catch (JsonProcessingException | DateTimeException e) {
      return Optional.empty();
    }
  }
}
