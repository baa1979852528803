package nodeward.node;

import java.time.Duration;

/** What the API server said to an eviction. */
public sealed interface Evicted {
  /** Taken: the pod goes now, in its own time. */
  record Accepted() implements Evicted {}

  /** The pod is gone already, or another of the same name stands in its place. */
  record Gone() implements Evicted {}

  /** Not now; {@code retryAfter} is zero when the API server did not say when. */
  record Blocked(By by, String why, Duration retryAfter) implements Evicted {
    /** By a disruption budget. */
    public Blocked(String why, Duration retryAfter) {
      this(By.BUDGET, why, retryAfter);
    }
  }

  /** The API server will not take this eviction as it stands. */
  record Refused(String why) implements Evicted {}

  /** What stands in the way of an eviction. */
  enum By {
    BUDGET,
    /** More than one budget selects the pod: no eviction is possible until one of them goes. */
    BUDGETS,
    /** The namespace is being deleted; its pods get their deletion from there. */
    NAMESPACE,
    /** The API server is busy. */
    SERVER
  }
}
