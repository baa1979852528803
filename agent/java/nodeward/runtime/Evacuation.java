package nodeward.runtime;

import java.io.IOException;
import java.time.Instant;

/** Takes the node out of service and its pods to others, and back into service again. */
public interface Evacuation {
  /** Of an agent that drains nothing. */
  Evacuation NONE =
      new Evacuation() {
        @Override
        public void keep(Instant deadline) throws IOException {
          throw new IOException("the agent does not drain, termination.enabled is false");
        }

        @Override
        public boolean over() {
          return false;
        }

        @Override
        public void end() {}
      };

  /** Asks for it, or does nothing when that was done. Returns at once. */
  void keep(Instant deadline) throws IOException;

  /** Whether nothing is left to be moved away, or the deadline has passed. */
  boolean over();

  /** Takes the request back, also one of an agent before; does nothing without one. */
  void end();
}
