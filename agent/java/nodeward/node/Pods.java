package nodeward.node;

import java.io.IOException;
import java.util.List;

/** The pods of one node. */
public interface Pods {
  /** The last state that the watch has seen. */
  List<Pod> current();

  /** Whether the watch is connected, so that a pod that is not in {@link #current} is gone. */
  boolean watching();

  /** Whether {@link #current} is a whole list, though perhaps an old one. */
  boolean listed();

  /** Called on a thread of the adapter after each change of {@link #current}; must not block. */
  void onChange(Runnable listener);

  /** Reads the pods from the API server itself, in pages. */
  List<Pod> read() throws IOException;
}
