package nodeward.node;

import java.io.IOException;
import java.util.List;
import java.util.Optional;

/** The DaemonSets of the cluster. Each call is a request; nothing is watched. */
public interface DaemonSets {
  Optional<DaemonSetView> read(String namespace, String name) throws IOException;

  /** Those whose labels the selector matches, in the API's notation. */
  List<DaemonSetView> select(String namespace, String labelSelector) throws IOException;
}
