package nodeward.metadata;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Histogram;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.NoSuchFileException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import nodeward.component.Backoff;
import nodeward.component.Time;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the container runtime says of the node's addresses. It is asked when somebody needs to know,
 * by one thread at a time on behalf of all who wait; after a failure nobody waits for it until its
 * back-off is over. Called by every request's thread.
 */
final class SandboxWitness {
  /**
   * One answer. {@code asked} is when the question was sent: what the runtime did later is not in
   * it. {@code complete} says that no sandbox waits for its address.
   */
  record Seen(
      long number,
      long asked,
      Map<InetAddress, Sandbox> byAddress,
      Set<String> uids,
      boolean complete) {
    static final Seen NOTHING = new Seen(0, 0, Map.of(), Set.of(), false);
  }

  private static final Logger log = LoggerFactory.getLogger(SandboxWitness.class);
  private static final Duration LIMIT = Duration.ofSeconds(2);
  // However many ask, and whatever for.
  private static final Duration LEAST_PAUSE = Duration.ofMillis(10);

  private final Sandboxes source;
  private final Runnable answered;
  private final Time time;
  private final Backoff backoff = new Backoff(Duration.ofMillis(500), Duration.ofSeconds(10));
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition done = lock.newCondition();
  private final Histogram seconds;
  private final Counter errors;
  // Guarded by lock.
  private boolean asking;
  // Only touched by the one thread that asks.
  private long began;
  // Written under the lock, as the next two, and read by requests without it.
  private volatile long retryAt;
  private volatile Seen seen = Seen.NOTHING;
  private volatile String failure = "not asked yet";

  /** {@code answered} runs after each answer and each failure, on the thread that asked. */
  SandboxWitness(Sandboxes source, Time time, CollectorRegistry registry, Runnable answered) {
    this.source = source;
    this.time = time;
    this.answered = answered;
    this.retryAt = time.nanos();
    this.began = System.nanoTime() - LEAST_PAUSE.toNanos();
    this.seconds =
        Histogram.build(
                "nodeward_metadata_runtime_seconds",
                "Time that the container runtime took to tell its pods.")
            .buckets(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
            .register(registry);
    this.errors =
        Counter.build(
                "nodeward_metadata_runtime_errors_total",
                "Questions for its pods that the container runtime did not answer.")
            .register(registry);
  }

  /** The last answer. */
  Seen last() {
    return seen;
  }

  /** Why the runtime does not testify at present; empty when its last answer was one. */
  String failure() {
    return failure;
  }

  /** Whether there is nothing to wait for: an answer no older than this, or none to be had. */
  boolean settled(Duration age) {
    return failure.isEmpty() ? isWithin(seen, age) : retryAt - time.nanos() > 0;
  }

  /** The last answer if it is no older than this; has a newer one fetched when it soon will be. */
  Optional<Seen> recent(Duration age) {
    Seen last = seen;
    if (!failure.isEmpty() || !isWithin(last, age)) {
      return Optional.empty();
    }
    if (!isWithin(last, age.dividedBy(2))) {
      askUnlessAsking();
    }
    return Optional.of(last);
  }

  private boolean isWithin(Seen answer, Duration age) {
    return answer.number > 0 && time.nanos() - answer.asked <= age.toNanos();
  }

  /** An answer to a question that is no older than this; empty when there is none within limit. */
  Optional<Seen> within(Duration age, Duration limit) throws InterruptedException {
    Optional<Seen> recent = recent(age);
    if (recent.isPresent()) {
      return recent;
    }
    long since = time.nanos() - age.toNanos();
    return await(s -> s.number > 0 && s.asked - since >= 0, limit);
  }

  /** An answer to a question that was sent after this answer came. */
  Optional<Seen> after(Seen old, Duration limit) throws InterruptedException {
    return await(s -> s.number > old.number, limit);
  }

  private interface Wanted {
    boolean is(Seen seen);
  }

  private Optional<Seen> await(Wanted wanted, Duration limit) throws InterruptedException {
    long left = limit.toNanos();
    lock.lockInterruptibly();
    try {
      while (!(failure.isEmpty() && wanted.is(seen))) {
        if (!asking && retryAt - time.nanos() > 0) {
          return Optional.empty();
        }
        askUnlessAsking();
        if (left <= 0) {
          return Optional.empty();
        }
        left = done.awaitNanos(left);
      }
      return Optional.of(seen);
    } finally {
      lock.unlock();
    }
  }

  private void askUnlessAsking() {
    lock.lock();
    try {
      if (!asking) {
        asking = true;
        Thread.ofVirtual().name("sandboxes").start(this::ask);
      }
    } finally {
      lock.unlock();
    }
  }

  private void ask() {
    Optional<Seen> answer = Optional.empty();
    String why = "interrupted";
    try {
      Duration pause = LEAST_PAUSE.minusNanos(System.nanoTime() - began);
      if (pause.isPositive()) {
        Thread.sleep(pause);
      }
      began = System.nanoTime();
      long asked = time.nanos();
      try {
        answer = Optional.of(seen(asked, source.running(LIMIT)));
      } finally {
        seconds.observe((System.nanoTime() - began) / 1e9);
      }
    } catch (NoSuchFileException e) {
      why = "there is no " + e.getMessage();
    } catch (IOException e) {
      why = String.valueOf(e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (RuntimeException e) {
      why = e.toString();
      log.error("metadata: reading the container runtime's pods broke", e);
    } finally {
      answered(answer, why);
    }
  }

  private void answered(Optional<Seen> answer, String why) {
    String before;
    lock.lock();
    try {
      before = failure;
      asking = false;
      answer.ifPresentOrElse(
          a -> {
            seen = a;
            failure = "";
            backoff.reset();
          },
          () -> {
            failure = why;
            retryAt = time.nanos() + backoff.next().toNanos();
          });
      done.signalAll();
    } finally {
      lock.unlock();
    }
    if (answer.isEmpty()) {
      errors.inc();
      if (!why.equals(before)) {
        log.warn("metadata: container runtime does not tell its pods why=\"{}\"", why);
      }
    } else if (!before.isEmpty()) {
      log.info("metadata: container runtime tells its pods count={}", seen.uids.size());
    }
    answered.run();
  }

  private Seen seen(long asked, List<Sandbox> sandboxes) {
    var byAddress = new HashMap<InetAddress, Sandbox>();
    var uids = new HashSet<String>();
    boolean complete = true;
    for (Sandbox sandbox : sandboxes) {
      uids.add(sandbox.uid());
      if (!sandbox.hostNetwork()) {
        complete &= !sandbox.addresses().isEmpty();
        for (var address : sandbox.addresses()) {
          byAddress.merge(address, sandbox, (a, b) -> a.created() > b.created() ? a : b);
        }
      }
    }
    return new Seen(seen.number + 1, asked, Map.copyOf(byAddress), Set.copyOf(uids), complete);
  }
}
