package nodeward.runtime;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The units that a test makes, and what was done to them. */
final class FakeUnits implements Units {
  /** In order, like {@code restart docker.service}. */
  final List<String> done = new ArrayList<>();

  private final Map<String, String> states = new HashMap<>();
  private Optional<Instant> started = Optional.empty();
  private Optional<IOException> failure = Optional.empty();

  synchronized void put(String name, String activeState) {
    states.put(name, activeState);
  }

  /** All of them were started last at this time. */
  synchronized void started(Instant at) {
    started = Optional.of(at);
  }

  synchronized void fail(IOException with) {
    failure = Optional.of(with);
  }

  @Override
  public synchronized Optional<Unit> unit(String name, Duration limit) throws IOException {
    mayFail();
    return Optional.ofNullable(states.get(name)).map(state -> new Unit(state, 4711, started));
  }

  @Override
  public synchronized void restart(String name, Duration limit) throws IOException {
    mayFail();
    done.add("restart " + name);
  }

  @Override
  public synchronized void kill(String name, int signal, Duration limit) throws IOException {
    mayFail();
    done.add("kill -" + signal + " " + name);
  }

  private void mayFail() throws IOException {
    if (failure.isPresent()) {
      throw failure.get();
    }
  }
}
