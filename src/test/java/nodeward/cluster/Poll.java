package nodeward.cluster;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.locks.LockSupport;

/**
 * Waits for something that another process does, by asking again and again up to a limit. Runs on
 * the caller's thread; at the limit it fails with what was waited for and, when the last try threw,
 * with that as the cause.
 */
public final class Poll {
  private static final Duration PAUSE = Duration.ofMillis(20);

  private Poll() {}

  public static void until(String what, Duration limit, Callable<Boolean> condition) {
    long start = System.nanoTime();
    Exception last;
    do {
      last = null;
      try {
        if (condition.call()) {
          return;
        }
      } catch (Exception e) {
        last = e;
      }
      if (Thread.currentThread().isInterrupted()) {
        throw new AssertionError("interrupted while waiting for: " + what, last);
      }
      LockSupport.parkNanos(PAUSE.toNanos());
    } while (System.nanoTime() - start < limit.toNanos());
    throw new AssertionError("not within " + limit.toMillis() + " ms: " + what, last);
  }
}
