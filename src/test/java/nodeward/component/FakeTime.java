package nodeward.component;

import java.time.Duration;
import java.time.Instant;

/** Time that stands still until a test moves it. */
public final class FakeTime implements Time {
  private Instant now = Instant.parse("2026-11-21T08:00:00Z");
  private long nanos;

  @Override
  public synchronized Instant now() {
    return now;
  }

  @Override
  public synchronized long nanos() {
    return nanos;
  }

  /** Moves both clocks. */
  public synchronized Instant advance(Duration by) {
    nanos += by.toNanos();
    now = now.plus(by);
    return now;
  }

  /** Moves the wall clock alone, as an NTP step does. */
  public synchronized void jump(Duration by) {
    now = now.plus(by);
  }
}
