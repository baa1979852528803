package nodeward.component;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a {@link Pass} on one virtual thread until closed. A failed pass is retried with back-off;
 * the first failure of a series and each new reason is a warning, repetitions are debug, the end of
 * the series is told once.
 */
public final class Loop implements AutoCloseable {
  /** A pass for ever: for work that only a wake-up starts. */
  public static final Duration UNTIL_WOKEN = Duration.ofDays(365);

  private static final Logger log = LoggerFactory.getLogger(Loop.class);
  private static final Duration CLOSE_LIMIT = Duration.ofSeconds(5);

  private final String name;
  private final Pass pass;
  private final Backoff backoff;
  private final Time time;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final AtomicLong errors = new AtomicLong();
  // Guarded by lock: a wake-up that comes during a pass must not be lost.
  private boolean woken;
  private boolean closed;
  // Written by the loop's thread, read by health().
  private volatile String failure = "";
  private volatile boolean passed;
  private final Thread thread;

  public Loop(String name, Pass pass, Backoff backoff, Time time) {
    this.name = name;
    this.pass = pass;
    this.backoff = backoff;
    this.time = time;
    this.thread = Thread.ofVirtual().name(name).unstarted(this::run);
  }

  public Loop(String name, Pass pass) {
    this(name, pass, new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30)), Time.SYSTEM);
  }

  public void start() {
    thread.start();
  }

  /** Asks for a pass now, or right after the one that runs. */
  public void wake() {
    lock.lock();
    try {
      woken = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** The passes that failed so far. */
  public long errors() {
    return errors.get();
  }

  public Health health() {
    if (!failure.isEmpty()) {
      return Health.degraded(failure);
    }
    return passed ? Health.healthy() : Health.degraded("starting");
  }

  @Override
  public void close() {
    lock.lock();
    try {
      closed = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    thread.interrupt();
    try {
      if (thread.getState() != Thread.State.NEW && !thread.join(CLOSE_LIMIT)) {
        log.warn("{}: still busy after limit={} and left behind", name, CLOSE_LIMIT);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void run() {
    while (!isClosed()) {
      Duration wait;
      try {
        wait = pass.pass(time.now());
        succeeded();
      } catch (InterruptedException e) {
        return;
      } catch (Exception e) {
        if (isClosed()) {
          return;
        }
        wait = failed(e);
      } catch (Error e) {
        log.error("{}: stopped by {}", name, e.toString(), e);
        failure = e.toString();
        throw e;
      }
      if (!await(wait)) {
        return;
      }
    }
  }

  private void succeeded() {
    if (!failure.isEmpty()) {
      log.info("{}: recovered", name);
    }
    failure = "";
    passed = true;
    backoff.reset();
  }

  private Duration failed(Exception e) {
    errors.incrementAndGet();
    String reason = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    boolean news = !reason.equals(failure);
    failure = reason;
    Duration wait = backoff.next();
    if (news && e instanceof RuntimeException) {
      log.warn("{}: failed retry_in={}ms", name, wait.toMillis(), e);
    } else if (news) {
      log.warn("{}: failed why=\"{}\" retry_in={}ms", name, reason, wait.toMillis());
    } else {
      log.debug("{}: failed again why=\"{}\" retry_in={}ms", name, reason, wait.toMillis());
    }
    return wait;
  }

  /** Waits for the time or a wake-up; false when closed. */
  private boolean await(Duration wait) {
    lock.lock();
    try {
      long left = wait.toNanos();
      while (!woken && !closed && left > 0) {
        left = changed.awaitNanos(left);
      }
      woken = false;
      return !closed;
    } catch (InterruptedException e) {
      return false;
    } finally {
      lock.unlock();
    }
  }

  private boolean isClosed() {
    lock.lock();
    try {
      return closed;
    } finally {
      lock.unlock();
    }
  }
}
