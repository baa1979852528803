package nodeward.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.List;

/**
 * The API of the docker daemon on this node. Each call throws {@link SocketTimeoutException} when
 * the daemon has not answered within the limit, and another {@link IOException} when it answered,
 * but not that all is well, or refused to talk.
 */
public interface DockerApi {
  /** Asks {@code GET /_ping}; returns the API version that the daemon tells, or an empty text. */
  String ping(Duration limit) throws IOException;

  /** The containers that run, {@code GET /containers/json}; this takes no container's lock. */
  List<Container> containers(Duration limit) throws IOException;

  /** Asks {@code GET /containers/ID/json}, which takes the lock of that one container. */
  void inspect(Container container, Duration limit) throws IOException;

  /** A running container; {@code shown} names it and its pod to people. */
  record Container(String id, String shown) {}
}
