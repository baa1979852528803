package nodeward.termination;

import java.io.IOException;
import java.util.Optional;

/** The places of held nodes in memory. */
final class FakePlaces implements HeldNodes {
  private boolean full;
  private int taken;
  private int released;
  private Optional<IOException> failure = Optional.empty();

  synchronized void fill() {
    full = true;
  }

  synchronized void failWith(Optional<IOException> why) {
    failure = why;
  }

  synchronized int taken() {
    return taken;
  }

  synchronized int released() {
    return released;
  }

  @Override
  public synchronized boolean take(double share) throws IOException {
    if (failure.isPresent()) {
      throw failure.get();
    }
    taken += full ? 0 : 1;
    return !full;
  }

  @Override
  public synchronized void release() throws IOException {
    if (failure.isPresent()) {
      throw failure.get();
    }
    released++;
  }
}
