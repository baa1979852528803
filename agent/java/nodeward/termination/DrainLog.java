package nodeward.termination;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import nodeward.drain.Progress;
import nodeward.node.NodeEvents;
import nodeward.node.Pod;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes the progress of one drain to the log, and what people should see to Events: pods that are
 * held up, forced or left, on the pod itself. A reason is told when it is new for its pod;
 * repetitions are debug. For the drain's thread alone.
 */
final class DrainLog implements Consumer<Progress> {
  private static final Logger log = LoggerFactory.getLogger(DrainLog.class);

  private static final int EVENTS = 20;

  private final NodeEvents events;
  private final Map<String, String> reasons = new HashMap<>();
  private int told;

  DrainLog(NodeEvents events) {
    this.events = events;
  }

  @Override
  public void accept(Progress progress) {
    switch (progress) {
      case Progress.Evicting(Pod pod) -> log.debug("drain: evicting pod={}", pod.fullName());
      case Progress.Forcing(Pod pod, Duration grace) -> {
        log.warn(
            "drain: deadline is near, deleting pod={} grace={}s",
            pod.fullName(),
            grace.toSeconds());
        tell(
            pod,
            "DrainForced",
            "The deadline is near: deleted with a grace of %d s".formatted(grace.toSeconds()));
      }
      case Progress.Evicted(Pod pod) -> log.info("drain: evicted pod={}", pod.fullName());
      case Progress.Gone(Pod pod) -> log.info("drain: gone pod={}", pod.fullName());
      case Progress.Blocked(Pod pod, String why, Duration retryIn) -> {
        if (news(pod, why)) {
          log.info(
              "drain: blocked pod={} why=\"{}\" retry_in={}ms",
              pod.fullName(),
              why,
              retryIn.toMillis());
          tell(pod, "DrainBlocked", "Cannot be evicted yet: " + why);
        } else {
          log.debug("drain: still blocked pod={} why=\"{}\"", pod.fullName(), why);
        }
      }
      case Progress.Failed(Pod pod, String why, Duration retryIn) -> {
        if (news(pod, why)) {
          log.warn(
              "drain: eviction failed pod={} why=\"{}\" retry_in={}ms",
              pod.fullName(),
              why,
              retryIn.toMillis());
        } else {
          log.debug("drain: eviction failed again pod={} why=\"{}\"", pod.fullName(), why);
        }
      }
      case Progress.Refused(Pod pod, String why) -> {
        if (news(pod, why)) {
          log.warn("drain: eviction refused pod={} why=\"{}\"", pod.fullName(), why);
          tell(pod, "DrainRefused", "The API server refuses the eviction: " + why);
        } else {
          log.debug("drain: eviction refused again pod={} why=\"{}\"", pod.fullName(), why);
        }
      }
      case Progress.Left(Pod pod, String why) -> {
        log.warn("drain: left pod={} why=\"{}\"", pod.fullName(), why);
        tell(pod, "DrainLeft", "Still on the node when its drain ended: " + why);
      }
      case Progress.Volumes(List<String> attachments) ->
          log.info("drain: volumes attached={} {}", attachments.size(), attachments);
    }
  }

  /** A few tell people enough, and many would hold up the Events of the Node itself. */
  private void tell(Pod pod, String reason, String message) {
    if (told < EVENTS) {
      told++;
      events.tell(pod, NodeEvents.Type.WARNING, reason, message);
    }
  }

  private boolean news(Pod pod, String why) {
    return !why.equals(reasons.put(pod.uid(), why));
  }
}
