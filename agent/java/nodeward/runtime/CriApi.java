package nodeward.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.time.Duration;

/**
 * The container runtime interface (CRI) of the daemon that kubelet uses. Each call throws {@link
 * SocketTimeoutException} when the daemon has not answered within the limit, and another {@link
 * IOException} when it answered with an error or refused to talk.
 */
public interface CriApi {
  /** Asks {@code RuntimeService/Version}. */
  Version version(Duration limit) throws IOException;

  /**
   * Asks {@code RuntimeService/Status} what keeps the runtime from being ready; empty when it is.
   * That the network is not ready is kubelet's to tell, and is no fault of the runtime.
   */
  String notReady(Duration limit) throws IOException;

  /** Asks {@code RuntimeService/ListPodSandbox}, which hangs where {@link #version} does not. */
  void list(Duration limit) throws IOException;

  /** A runtime's own name and version, for example containerd and v1.7.24. */
  record Version(String name, String version) {
    @Override
    public String toString() {
      return name + " " + version;
    }
  }
}
