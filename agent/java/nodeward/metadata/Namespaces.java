package nodeward.metadata;

import java.time.Duration;
import java.util.Map;
import java.util.Set;

/**
 * What the annotations of the namespaces say that pods of this node are in. A namespace is followed
 * from the first question on, so an edit counts as soon as the API server has told it. While the
 * API server is away the last state counts. Any thread may ask.
 */
public interface Namespaces {
  /** What is known of one namespace. */
  sealed interface Answer {
    record Found(Map<String, String> annotations) implements Answer {
      public Found {
        annotations = Map.copyOf(annotations);
      }
    }

    /** The cluster has no such namespace. */
    record Absent() implements Answer {}

    /** Not told yet; nobody may be given anything that depends on it. */
    record Unknown(String why) implements Answer {}
  }

  /** What is known at this moment; never blocks. */
  Answer find(String namespace);

  /** As {@link #find}, but waits as long as given while it is not known. */
  Answer await(String namespace, Duration limit) throws InterruptedException;

  /** Called on a thread of the adapter after an answer may have changed; must not block. */
  void onChange(Runnable listener);

  /** Follows no others than these any more; they are not asked for by it. */
  void keep(Set<String> namespaces);
}
