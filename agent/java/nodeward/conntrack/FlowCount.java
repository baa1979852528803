package nodeward.conntrack;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import nodeward.component.Time;
import nodeward.node.Pods;

/**
 * Counts who holds the flows of the table, by one walk through it at a time: whoever asks while one
 * is under way, or right after, gets what that one found. Any thread may ask; it blocks for as long
 * as a walk takes.
 */
public final class FlowCount {
  private static final Duration FRESH = Duration.ofSeconds(1);
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  // A table that is rebuilt under each of so many walks is shown as it was found.
  private static final int ATTEMPTS = 3;

  private final FlowTable table;
  private final Pods pods;
  private final Time time;
  private final ReentrantLock lock = new ReentrantLock();
  // Guarded by lock.
  private Optional<Holders> last = Optional.empty();
  private long lastAt;
  private double lastSeconds;

  public FlowCount(FlowTable table, Pods pods, Time time) {
    this.table = table;
    this.pods = pods;
    this.time = time;
  }

  /** Who holds them now, or did a second ago. Fails when the kernel does not show the flows. */
  public Holders now() throws IOException {
    try {
      if (!lock.tryLock(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
        throw new IOException("another walk through the table is stuck");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while another walk was under way", e);
    }
    try {
      if (last.isPresent() && time.nanos() - lastAt < FRESH.toNanos()) {
        return last.get();
      }
      Holders holders = count();
      last = Optional.of(holders);
      lastAt = time.nanos();
      return holders;
    } finally {
      lock.unlock();
    }
  }

  /** How long the last walk took. */
  double lastSeconds() {
    lock.lock();
    try {
      return lastSeconds;
    } finally {
      lock.unlock();
    }
  }

  private Holders count() throws IOException {
    for (int attempt = 1; ; attempt++) {
      var tally = new FlowTally(pods.current());
      long start = time.nanos();
      FlowTable.Walk walk = table.walk(tally);
      lastSeconds = (time.nanos() - start) / 1e9;
      if (walk == FlowTable.Walk.WHOLE || attempt == ATTEMPTS) {
        return tally.holders(walk);
      }
    }
  }
}
