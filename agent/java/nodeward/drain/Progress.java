package nodeward.drain;

import java.time.Duration;
import java.util.List;
import nodeward.node.Pod;

/** What happens during a drain, told one after the other on the thread that runs it. */
public sealed interface Progress {
  /** A request is sent for the pod to go; once for each try. */
  record Evicting(Pod pod) implements Progress {}

  /** The deadline is near: the pod is deleted, whatever budgets say, with this much grace. */
  record Forcing(Pod pod, Duration grace) implements Progress {}

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

  /** The pods are gone; these VolumeAttachments of theirs are waited for. */
  record Volumes(List<String> attachments) implements Progress {
    public Volumes {
      attachments = List.copyOf(attachments);
    }
  }
}
