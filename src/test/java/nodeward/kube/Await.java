package nodeward.kube;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.locks.LockSupport;

/** Waits for what another thread does, by looking every 10 ms up to a limit. */
final class Await {
  static final Duration LIMIT = Duration.ofSeconds(15);
  private static final Duration PAUSE = Duration.ofMillis(10);

  private Await() {}

  static void until(String what, Callable<Boolean> holds) {
    until(what, LIMIT, holds);
  }

  static void until(String what, Duration limit, Callable<Boolean> holds) {
    long start = System.nanoTime();
    try {
      while (!holds.call()) {
        if (System.nanoTime() - start > limit.toNanos()) {
          throw new AssertionError("not within " + limit.toMillis() + " ms: " + what);
        }
        LockSupport.parkNanos(PAUSE.toNanos());
      }
    } catch (Exception e) {
      throw new AssertionError("failed while waiting for: " + what, e);
    }
  }
}
