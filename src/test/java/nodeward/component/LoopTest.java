package nodeward.component;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class LoopTest {
  private final BlockingQueue<Integer> passes = new LinkedBlockingQueue<>();
  private final AtomicInteger count = new AtomicInteger();

  @Test
  void aWakeUpEndsTheWait() throws Exception {
    try (var loop = loop(now -> passed(Loop.UNTIL_WOKEN))) {
      loop.start();
      assertThat(next()).isEqualTo(1);

      loop.wake();

      assertThat(next()).isEqualTo(2);
    }
  }

  @Test
  void aWakeUpDuringAPassIsNotLost() throws Exception {
    var inside = new CountDownLatch(1);
    var goOn = new CountDownLatch(1);
    try (var loop =
        loop(
            now -> {
              inside.countDown();
              goOn.await();
              return passed(Loop.UNTIL_WOKEN);
            })) {
      loop.start();
      inside.await();
      loop.wake();
      goOn.countDown();

      assertThat(next()).isEqualTo(1);
      assertThat(next()).isEqualTo(2);
    }
  }

  @Test
  void aFailedPassIsRetriedAndToldByHealth() throws Exception {
    try (var loop =
        new Loop(
            "test",
            now -> {
              int n = count.incrementAndGet();
              passes.add(n);
              if (n <= 2) {
                throw new IOException("no route");
              }
              return Loop.UNTIL_WOKEN;
            },
            new Backoff(Duration.ofMillis(1), Duration.ofMillis(2)),
            Time.SYSTEM)) {
      loop.start();

      assertThat(next()).isEqualTo(1);
      assertThat(next()).isEqualTo(2);
      assertThat(next()).isEqualTo(3);
      until(() -> loop.health().isHealthy());
      assertThat(loop.errors()).isEqualTo(2);
    }
  }

  @Test
  void aClosedLoopPassesNoMore() throws Exception {
    var loop = loop(now -> passed(Duration.ofMillis(1)));
    loop.start();
    next();
    loop.close();
    int last = count.get();
    passes.clear();

    loop.wake();

    assertThat(passes.poll(50, TimeUnit.MILLISECONDS)).isNull();
    assertThat(count.get()).isEqualTo(last);
  }

  private Loop loop(Pass pass) {
    return new Loop("test", pass);
  }

  private Duration passed(Duration wait) {
    passes.add(count.incrementAndGet());
    return wait;
  }

  private int next() throws InterruptedException {
    Integer n = passes.poll(10, TimeUnit.SECONDS);
    assertThat(n).as("a pass within 10 s").isNotNull();
    return n;
  }

  private static void until(java.util.function.BooleanSupplier holds) {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!holds.getAsBoolean()) {
      assertThat(System.nanoTime()).isLessThan(end);
      java.util.concurrent.locks.LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(10));
    }
  }
}
