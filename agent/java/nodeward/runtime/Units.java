package nodeward.runtime;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/** The units of the node's service manager. */
public interface Units {
  /**
   * A unit that is loaded: its ActiveState, the process that it is about, 0 without one, and when
   * it was started last, empty when it was not in this boot.
   */
  record Unit(String activeState, long mainPid, Optional<Instant> started) {}

  /**
   * Looks at a unit; empty when no such unit is loaded.
   *
   * @throws IOException when the service manager cannot be asked
   */
  Optional<Unit> unit(String name, Duration limit) throws IOException;

  /** Stops the unit and starts it again; returns when that is under way. */
  void restart(String name, Duration limit) throws IOException;

  /** Sends the signal to the unit's main process. */
  void kill(String name, int signal, Duration limit) throws IOException;
}
