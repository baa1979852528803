package nodeward.node;

import java.io.IOException;

/** Evictions by the {@code pods/eviction} subresource, each with the pod's UID as precondition. */
public interface Evictions {
  Evicted evict(Pod pod) throws IOException;

  /** As {@link #evict}, checked by the API server but not carried out. */
  Evicted tryEvict(Pod pod) throws IOException;
}
