package nodeward.node;

import java.time.Duration;

/** What the API server said to an eviction. */
public sealed interface Evicted {
  /** Taken: the pod goes now, in its own time. */
  record Accepted() implements Evicted {}

  /** The pod is gone already, or another of the same name stands in its place. */
  record Gone() implements Evicted {}

  /**
   * A disruption budget or a busy API server says not now; {@code retryAfter} is zero when it did
   * not say when.
   */
  record Blocked(String why, Duration retryAfter) implements Evicted {}

  /** The API server will not take this eviction as it stands. */
  record Refused(String why) implements Evicted {}
}
