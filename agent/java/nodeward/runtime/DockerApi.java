package nodeward.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.time.Duration;

/** The API of the docker daemon on this node. */
public interface DockerApi {
  /**
   * Asks {@code GET /_ping}; returns the API version that the daemon tells, or an empty text.
   *
   * @throws SocketTimeoutException when the daemon has not answered within the limit
   * @throws IOException when it answered, but not that all is well, or refused to talk
   */
  String ping(Duration limit) throws IOException;
}
