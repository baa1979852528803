package nodeward.termination;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import nodeward.drain.Progress;
import nodeward.node.Pod;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes the progress of one drain to the log. A reason is told when it is new for its pod;
 * repetitions are debug. For the drain's thread alone.
 */
final class DrainLog implements Consumer<Progress> {
  private static final Logger log = LoggerFactory.getLogger(DrainLog.class);

  private final Map<String, String> reasons = new HashMap<>();

  @Override
  public void accept(Progress progress) {
    switch (progress) {
      case Progress.Evicting(Pod pod) -> log.debug("drain: evicting pod={}", pod.fullName());
      case Progress.Evicted(Pod pod) -> log.info("drain: evicted pod={}", pod.fullName());
      case Progress.Gone(Pod pod) -> log.info("drain: gone pod={}", pod.fullName());
      case Progress.Blocked(Pod pod, String why, Duration retryIn) -> {
        if (news(pod, why)) {
          log.info(
              "drain: blocked pod={} why=\"{}\" retry_in={}ms",
              pod.fullName(),
              why,
              retryIn.toMillis());
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
        } else {
          log.debug("drain: eviction refused again pod={} why=\"{}\"", pod.fullName(), why);
        }
      }
      case Progress.Left(Pod pod, String why) ->
          log.warn("drain: left pod={} why=\"{}\"", pod.fullName(), why);
    }
  }

  private boolean news(Pod pod, String why) {
    return !why.equals(reasons.put(pod.uid(), why));
  }
}
