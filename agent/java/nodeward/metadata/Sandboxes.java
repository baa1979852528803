package nodeward.metadata;

import java.io.IOException;
import java.time.Duration;
import java.util.List;

/** The pods that the node's container runtime runs, as it knows them itself. */
@FunctionalInterface
public interface Sandboxes {
  /**
   * Those that run at this moment; at least one connection's worth of waiting, at most the limit.
   *
   * @throws IOException when the runtime is not there or has not answered within the limit
   */
  List<Sandbox> running(Duration limit) throws IOException;
}
