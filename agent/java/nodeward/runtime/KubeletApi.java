package nodeward.runtime;

import java.io.IOException;
import java.time.Duration;

/** The kubelet of this node. */
public interface KubeletApi {
  /**
   * Asks {@code /healthz}; failures are as those of {@link DockerApi}, and a {@link
   * java.net.ConnectException} when nobody listens.
   */
  void healthz(Duration limit) throws IOException;
}
