package nodeward.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.time.Duration;

/** The container runtime interface (CRI) of the daemon that kubelet uses. */
public interface CriApi {
  /**
   * Asks {@code RuntimeService/Version}.
   *
   * @throws SocketTimeoutException when the daemon has not answered within the limit
   * @throws IOException when it answered with an error or refused to talk
   */
  Version version(Duration limit) throws IOException;

  /** A runtime's own name and version, for example containerd and v1.7.24. */
  record Version(String name, String version) {
    @Override
    public String toString() {
      return name + " " + version;
    }
  }
}
