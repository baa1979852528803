package nodeward.metadata;

import nodeward.component.Time;

/** So many a second, and so many at once after a quiet time. Safe for use by several threads. */
final class Budget {
  private final double aSecond;
  private final double most;
  private final Time time;
  // Both guarded by this.
  private double left;
  private long at;

  Budget(double aSecond, double most, Time time) {
    this.aSecond = aSecond;
    this.most = most;
    this.time = time;
    this.left = most;
    this.at = time.nanos();
  }

  synchronized boolean take() {
    long now = time.nanos();
    left = Math.min(most, left + (now - at) / 1e9 * aSecond);
    at = now;
    if (left < 1) {
      return false;
    }
    left--;
    return true;
  }
}
