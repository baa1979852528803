package nodeward.readiness;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.stream.Stream;
import nodeward.config.Config;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Pod;
import nodeward.node.Taint;

/**
 * The readiness gate as a pure state machine: from what the Node, its pods and the boot look like
 * it says in which state the gate is and what has to be written to the Node. It remembers nothing:
 * the mark of an open gate stands on the Node itself, written by the same patch that takes the
 * taint away, so an agent that is killed anywhere starts in the same state again.
 */
final class Gate {
  /** A node that is up for longer and carries neither taint nor mark was there before the agent. */
  static final Duration ADOPT_AFTER = Duration.ofMinutes(10);

  /** Times of the API and of the kernel's boot are whole seconds, each rounded in its own way. */
  static final Duration ROUNDING = Duration.ofSeconds(1);

  /** Where the gate stands. */
  sealed interface State {
    /** There is no Node of this name yet. */
    record Unregistered() implements State {}

    /** Workloads are kept away. {@code missing} tells for each DaemonSet that is not there why. */
    record Closed(SequencedMap<String, String> missing) implements State {}

    /** A node from before the agent: watched like a closed one, but never tainted. */
    record Adopting(SequencedMap<String, String> missing) implements State {}

    /** Opened in this boot. */
    record Open(Instant since) implements State {}
  }

  /**
   * The state, and the write that brings the Node in line with it; an empty change where it is
   * already.
   */
  record Verdict(State state, Optional<NodeChange> change) {}

  private final List<Taint> taints;
  private final List<Config.Gate.Require> required;
  private final Boot boot;

  Gate(Config.Gate config, Boot boot) {
    this.taints = config.taints();
    this.required = config.require();
    this.boot = boot;
  }

  /**
   * Judges a Node whose pods are known. {@code risen} holds the UIDs of pods that were seen to
   * become Ready in this boot, which needs no clock.
   */
  Verdict judge(Optional<NodeView> seen, List<Pod> pods, Set<String> risen, Instant now) {
    if (seen.isEmpty()) {
      return new Verdict(new State.Unregistered(), Optional.empty());
    }
    NodeView node = seen.get();
    Optional<Mark> mark = mark(node);
    if (mark.isPresent() && mark.get().isOf(node, boot)) {
      return new Verdict(new State.Open(Instant.parse(mark.get().since())), open(node, mark.get()));
    }
    SequencedMap<String, String> missing = missing(pods, risen);
    if (missing.isEmpty()) {
      var keys = taints.stream().map(Taint::key).toList();
      var opened = new Mark(node.uid(), node.providerId(), boot.id(), now.toString(), keys);
      NodeChange change =
          withoutOwnTaints(node, mark).withAnnotation(Mark.ANNOTATION, opened.json());
      return new Verdict(new State.Open(now), Optional.of(change));
    }
    boolean tainted = taints.stream().anyMatch(t -> node.hasTaint(t.key()));
    boolean fresh = Duration.between(boot.at(), now).compareTo(ADOPT_AFTER) <= 0;
    if (node.annotation(Mark.ANNOTATION).isEmpty() && !tainted && !fresh) {
      return new Verdict(new State.Adopting(missing), Optional.empty());
    }
    NodeChange change = NodeChange.of(node);
    for (Taint taint : taints) {
      change = change.withTaint(taint);
    }
    return new Verdict(new State.Closed(missing), nonEmpty(change));
  }

  /** Whether the annotation is there but cannot be read; such a gate counts as never opened. */
  static Optional<String> malformedMark(NodeView node) {
    return node.annotation(Mark.ANNOTATION).filter(a -> mark(node).isEmpty());
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
    } catch (JsonProcessingException | java.time.DateTimeException e) {
      return Optional.empty();
    }
  }

  /**
   * An open gate has no taint of ours, not even of an older configuration or one that somebody put
   * back.
   */
  private Optional<NodeChange> open(NodeView node, Mark mark) {
    return nonEmpty(withoutOwnTaints(node, Optional.of(mark)));
  }

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

  private SequencedMap<String, String> missing(List<Pod> pods, Set<String> risen) {
    var missing = new LinkedHashMap<String, String>();
    for (Config.Gate.Require require : required) {
      why(require, pods, risen).ifPresent(why -> missing.put(require.toString(), why));
    }
    return missing;
  }

  /** Why no pod of this DaemonSet counts; empty when one does. */
  private Optional<String> why(Config.Gate.Require require, List<Pod> pods, Set<String> risen) {
    List<Pod> own =
        pods.stream().filter(p -> isOf(p, require) && !p.terminating() && !p.finished()).toList();
    if (own.isEmpty()) {
      return Optional.of("no pod yet");
    }
    if (own.stream().anyMatch(p -> p.ready() && (risen.contains(p.uid()) || sinceBoot(p)))) {
      return Optional.empty();
    }
    return Optional.of(
        own.stream().anyMatch(Pod::ready) ? "not Ready since this boot" : "not Ready");
  }

  private boolean sinceBoot(Pod pod) {
    return !pod.readySince().isBefore(boot.at().minus(ROUNDING));
  }

  private static boolean isOf(Pod pod, Config.Gate.Require require) {
    return pod.namespace().equals(require.namespace())
        && pod.ofDaemonSet()
        && pod.controller().filter(o -> o.name().equals(require.daemonSet())).isPresent();
  }

  private static Optional<NodeChange> nonEmpty(NodeChange change) {
    return change.isEmpty() ? Optional.empty() : Optional.of(change);
  }

  /** The missing DaemonSets with their reasons, in words. */
  static String words(Map<String, String> missing) {
    return String.join(
        ", ",
        missing.entrySet().stream().map(e -> e.getKey() + " (" + e.getValue() + ")").toList());
  }
}
