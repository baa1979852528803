package nodeward.node;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;

/** Takes pods off their node, each request with the pod's UID as precondition. */
public interface Evictions {
  /** Which request it is. */
  enum Way {
    /** The {@code pods/eviction} subresource, which minds disruption budgets. */
    EVICTION,
    /** A plain deletion, which nothing can hold up. */
    DELETION
  }

  /** Whether the API server does it or only looks whether it would. */
  enum Extent {
    DONE,
    CHECKED
  }

  /** How a pod is asked to go; without a grace it takes its own. */
  record Manner(Way way, Optional<Duration> grace, Extent extent) {
    public static final Manner POLITE = new Manner(Way.EVICTION, Optional.empty(), Extent.DONE);

    public Manner within(Duration limit) {
      return new Manner(way, Optional.of(limit), extent);
    }

    public Manner by(Way other) {
      return new Manner(other, grace, extent);
    }

    public Manner checked() {
      return new Manner(way, grace, Extent.CHECKED);
    }
  }

  Evicted evict(Pod pod, Manner manner) throws IOException;

  default Evicted evict(Pod pod) throws IOException {
    return evict(pod, Manner.POLITE);
  }

  /** As {@link #evict}, checked by the API server but not carried out. */
  default Evicted tryEvict(Pod pod) throws IOException {
    return evict(pod, Manner.POLITE.checked());
  }
}
