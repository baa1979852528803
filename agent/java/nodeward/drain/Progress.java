package nodeward.drain;

import java.time.Duration;
import nodeward.node.Pod;

/** What happens during a drain, told one after the other on the thread that runs it. */
public sealed interface Progress {
  Pod pod();

  /** An eviction is sent; once for each try. */
  record Evicting(Pod pod) implements Progress {}

  /** The API server took the eviction; the pod goes in its own time. */
  record Evicted(Pod pod) implements Progress {}

  /** A disruption budget or a busy API server says not now. */
  record Blocked(Pod pod, String why, Duration retryIn) implements Progress {}

  /** The API server could not be asked. */
  record Failed(Pod pod, String why, Duration retryIn) implements Progress {}

  /** The API server does not take the eviction as it stands. */
  record Refused(Pod pod, String why) implements Progress {}

  /** The pod is off the node. */
  record Gone(Pod pod) implements Progress {}

  /** The drain ends with this pod still there. */
  record Left(Pod pod, String why) implements Progress {}
}
