package nodeward.http;

import java.io.IOException;
import java.util.Map;

/** A page of the control socket, which is made for each who asks. */
@FunctionalInterface
public interface ControlPage {
  /**
   * What is shown as JSON, by the parameters of the query as they are written. A wrong parameter is
   * an {@link IllegalArgumentException}, what cannot be had now an {@link IOException}; their
   * messages are shown.
   */
  Object shown(Map<String, String> parameters) throws IOException;
}
