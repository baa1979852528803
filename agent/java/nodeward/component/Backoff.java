package nodeward.component;

import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * Exponential back-off with full jitter: the n-th wait is uniform in (0, min(most, first * 2^n)].
 */
public final class Backoff {
  private final Duration first;
  private final Duration most;
  private final RandomGenerator random;
  private int failures;

  public Backoff(Duration first, Duration most) {
    this(first, most, RandomGenerator.getDefault());
  }

  public Backoff(Duration first, Duration most, RandomGenerator random) {
    if (first.isZero() || first.isNegative() || most.compareTo(first) < 0) {
      throw new IllegalArgumentException("backoff from " + first + " to " + most);
    }
    this.first = first;
    this.most = most;
    this.random = random;
  }

  /** The wait after one more failure. */
  public synchronized Duration next() {
    int shift = Math.min(failures++, 30);
    long cap = most.toNanos();
    long window = first.toNanos() > cap >> shift ? cap : first.toNanos() << shift;
    return Duration.ofNanos(1 + random.nextLong(window));
  }

  public synchronized void reset() {
    failures = 0;
  }
}
