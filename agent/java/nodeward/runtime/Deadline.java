package nodeward.runtime;

import java.time.Duration;

/** One limit for several questions. */
final class Deadline {
  private static final Duration LEAST = Duration.ofMillis(1);

  private final long end;

  Deadline(Duration limit) {
    this.end = System.nanoTime() + limit.toNanos();
  }

  /** What is left of it; a moment when nothing is, so that the question fails by its time. */
  Duration left() {
    Duration left = Duration.ofNanos(end - System.nanoTime());
    return left.compareTo(LEAST) < 0 ? LEAST : left;
  }
}
