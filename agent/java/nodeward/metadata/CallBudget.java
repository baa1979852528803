package nodeward.metadata;

import java.time.Duration;
import java.util.Optional;
import nodeward.component.Backoff;
import nodeward.component.Time;

/**
 * How often this node may ask STS, whose limit all nodes of the account share: {@value #RATE} calls
 * a second, {@value #BURST} at once. What is fetched before anybody asks leaves half of that to
 * those who ask, and stops while STS throttles; those who ask wait for their turn. Any thread may
 * ask.
 */
final class CallBudget {
  /** Who wants to call. */
  enum Kind {
    REQUEST,
    PREFETCH
  }

  static final int RATE = 10;
  static final int BURST = 40;
  // A pod that waits longer has given up.
  static final Duration LONGEST_WAIT = Duration.ofSeconds(4);

  private final Time time;
  // All below is guarded by this.
  private final Backoff backoff = new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30));
  private double calls = BURST; // below zero: promised to those who wait
  private long counted;
  private long resume;

  CallBudget(Time time) {
    this.time = time;
    this.counted = time.nanos();
    this.resume = counted;
  }

  /** A call is taken from the budget: the wait until it may go; empty when it may not. */
  synchronized Optional<Duration> take(Kind kind) {
    Duration wait = wait(kind);
    boolean may =
        switch (kind) {
          case PREFETCH -> wait.isZero();
          case REQUEST -> wait.compareTo(LONGEST_WAIT) <= 0;
        };
    if (!may) {
      return Optional.empty();
    }
    calls--;
    return Optional.of(wait);
  }

  /** How long it is until a call of this kind may go. */
  synchronized Duration wait(Kind kind) {
    long now = time.nanos();
    calls = Math.min(BURST, calls + (now - counted) / 1e9 * RATE);
    counted = now;
    double missing = (kind == Kind.PREFETCH ? BURST / 2.0 : 0) + 1 - calls;
    long forCalls = missing <= 0 ? 0 : (long) Math.ceil(missing / RATE * 1e9);
    return Duration.ofNanos(Math.max(forCalls, Math.max(0, resume - now)));
  }

  /** STS throttles; returns the pause for everybody. */
  synchronized Duration throttled() {
    Duration pause = backoff.next();
    resume = Math.max(resume, time.nanos() + pause.toNanos());
    return pause;
  }

  /** STS has answered. */
  synchronized void answered() {
    backoff.reset();
  }
}
