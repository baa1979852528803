package nodeward.runtime;

import java.time.Duration;

/**
 * One limit for several questions, in whole seconds: messages tell it, and one that tells another
 * number each time would be written to the Node each time.
 */
final class Deadline {
  private final Duration limit;
  private final long end;

  Deadline(Duration limit) {
    this.limit = limit;
    this.end = System.nanoTime() + limit.toNanos();
  }

  /** What is left of it, rounded up to seconds; a second at least, or the limit if it is less. */
  Duration left() {
    long nanos = Math.max(1, end - System.nanoTime());
    Duration left = Duration.ofSeconds((nanos + 999_999_999) / 1_000_000_000);
    return left.compareTo(limit) < 0 ? left : limit;
  }
}
