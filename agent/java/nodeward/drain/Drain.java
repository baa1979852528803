package nodeward.drain;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import nodeward.component.Backoff;
import nodeward.component.Time;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.DrainOptions.Flag;
import nodeward.drain.DrainPlan.Verdict;
import nodeward.drain.DrainReport.End;
import nodeward.node.Evicted;
import nodeward.node.Evictions;
import nodeward.node.Owner;
import nodeward.node.Pod;
import nodeward.node.Pods;

/**
 * One drain of the node. {@link #run} looks at the watched pods after each change, judges them anew
 * (so late-comers are seen), and keeps a bounded number of evictions in flight, each on a virtual
 * thread of its own that does nothing but the request; everything else is done by the thread in
 * {@code run}. While the API server is away it keeps trying and keeps the deadline.
 */
public final class Drain {
  /** Evictions in flight at a time. */
  static final int AT_ONCE = 16;

  /** Pods that one controller may put on the node during the drain before it is given up. */
  static final int LATE_COMERS = 10;

  private static final Duration FIRST_RETRY = Duration.ofMillis(250);

  /** The longest wait, so that a step of the wall clock does not move the deadline. */
  private static final Duration LONGEST_WAIT = Duration.ofSeconds(10);

  private final Drainer drainer;
  private final Pods pods;
  private final Evictions evictions;
  private final Time time;
  private final DrainOptions options;
  private final Consumer<Progress> progress;

  /** One permit or more: there is something to look at. */
  private final Semaphore wakeUps = new Semaphore(0);

  private final Queue<Answer> answers = new ConcurrentLinkedQueue<>();
  // Set by any thread under the lock of this, only ever earlier; read without it.
  private volatile Instant deadline;
  // Written by the thread in run() for those who show it.
  private volatile List<Left> left = List.of();

  // From here on for the thread in run() alone.
  private final Map<String, Work> works = new LinkedHashMap<>();
  private final Map<String, Integer> lateComers = new HashMap<>();
  private boolean synced;

  /** How far a pod is. */
  private enum Stage {
    /** An eviction is to be sent when {@code due} has come. */
    DUE,
    ASKING,
    GOING,
    GIVEN_UP,
    GONE
  }

  private static final class Work {
    final Backoff backoff;
    Pod pod;
    Stage stage = Stage.DUE;
    String why = "its turn has not come";
    long due;
    boolean evicted;

    Work(Pod pod, Backoff backoff, long due) {
      this.pod = pod;
      this.backoff = backoff;
      this.due = due;
    }
  }

  /** What came of one request. */
  private sealed interface Answer {
    Work work();

    record Said(Work work, Evicted evicted) implements Answer {}

    record Failed(Work work, String why) implements Answer {}
  }

  Drain(Drainer drainer, DrainOptions options, Instant deadline, Consumer<Progress> progress) {
    this.drainer = drainer;
    this.pods = drainer.pods;
    this.evictions = drainer.evictions;
    this.time = drainer.time;
    this.options = options;
    this.deadline = deadline;
    this.progress = progress;
  }

  /**
   * Drains until no pod is left, nothing more can be done, or the deadline. Interrupted, it leaves
   * at once; what was evicted until then stays so, and another run goes on from there.
   */
  public DrainReport run() throws InterruptedException {
    long begin = time.nanos();
    ExecutorService threads =
        Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("evict-", 0).factory());
    drainer.started(this);
    try {
      restart();
      Optional<End> end = step(threads);
      while (end.isEmpty()) {
        if (wakeUps.tryAcquire(untilNext().toNanos(), TimeUnit.NANOSECONDS)) {
          wakeUps.drainPermits();
        }
        end = step(threads);
      }
      return report(end.get(), Duration.ofNanos(time.nanos() - begin));
    } finally {
      drainer.ended(this);
      threads.shutdownNow();
    }
  }

  /** Moves the deadline if this one is earlier. */
  public synchronized void tighten(Instant earlier) {
    if (earlier.isBefore(deadline)) {
      deadline = earlier;
    }
    wake();
  }

  public Instant deadline() {
    return deadline;
  }

  /** The pods that are still to go, each with what it waits for. */
  public List<Left> left() {
    return left;
  }

  void wake() {
    wakeUps.release();
  }

  private void restart() {
    answers.clear();
    for (Work work : works.values()) {
      if (work.stage == Stage.ASKING) {
        work.stage = Stage.DUE;
      }
    }
  }

  /** Looks at everything once and sends what is due; not empty when the drain is over. */
  Optional<End> step(Executor threads) {
    for (Answer answer = answers.poll(); answer != null; answer = answers.poll()) {
      hear(answer);
    }
    boolean watching = pods.watching();
    look(watching);
    left = stillThere();
    if (watching && works.values().stream().allMatch(Drain::settled)) {
      return Optional.of(left.isEmpty() ? End.DRAINED : End.GIVEN_UP);
    }
    if (!time.now().isBefore(deadline)) {
      return Optional.of(watching ? End.DEADLINE : End.BLIND);
    }
    send(threads);
    return Optional.empty();
  }

  /** How long nothing will have to be done unless something changes. */
  Duration untilNext() {
    Duration wait = LONGEST_WAIT;
    Instant end = deadline;
    if (end.isBefore(time.now().plus(wait))) {
      wait = Duration.between(time.now(), end);
    }
    if (inFlight() < AT_ONCE) {
      for (Work work : works.values()) {
        Duration untilDue = Duration.ofNanos(work.due - time.nanos());
        if (work.stage == Stage.DUE && untilDue.compareTo(wait) < 0) {
          wait = untilDue;
        }
      }
    }
    return wait.isNegative() ? Duration.ZERO : wait;
  }

  private void hear(Answer answer) {
    Work work = answer.work();
    switch (answer) {
      case Answer.Said(_, Evicted.Accepted()) -> {
        progress.accept(new Progress.Evicted(work.pod));
        work.evicted = true;
        work.stage = options.dryRun() == DryRun.NONE ? Stage.GOING : Stage.GONE;
        work.why = "evicted, has not ended yet";
      }
      case Answer.Said(_, Evicted.Gone()) -> gone(work);
      case Answer.Said(_, Evicted.Blocked(String why, Duration retryAfter)) -> {
        Duration backoff = work.backoff.next();
        Duration wait = retryAfter.compareTo(backoff) > 0 ? retryAfter : backoff;
        again(work, "blocked: " + why, wait);
        progress.accept(new Progress.Blocked(work.pod, why, wait));
      }
      case Answer.Said(_, Evicted.Refused(String why)) -> {
        if (options.has(Flag.RETRY_REFUSED)) {
          again(work, "refused: " + why, drainer.retryInterval);
        } else {
          work.stage = Stage.GIVEN_UP;
          work.why = "refused: " + why;
        }
        progress.accept(new Progress.Refused(work.pod, why));
      }
      case Answer.Failed(_, String why) -> {
        Duration wait = work.backoff.next();
        again(work, "eviction failed: " + why, wait);
        progress.accept(new Progress.Failed(work.pod, why, wait));
      }
    }
  }

  private void again(Work work, String why, Duration wait) {
    work.stage = Stage.DUE;
    work.why = why;
    work.due = time.nanos() + wait.toNanos();
  }

  private void gone(Work work) {
    work.stage = Stage.GONE;
    progress.accept(new Progress.Gone(work.pod));
  }

  /**
   * Compares what is known with what the watch shows. An unconnected watch may show too little, so
   * then nothing counts as gone.
   */
  private void look(boolean watching) {
    boolean first = !synced;
    synced |= watching;
    if (!synced) {
      return;
    }
    Set<String> present = new HashSet<>();
    for (DrainPlan.Entry entry : DrainPlan.of(pods.current(), options).entries()) {
      Pod pod = entry.pod();
      switch (entry.verdict()) {
        case Verdict.Leave _ -> {}
        case Verdict.Evict() -> {
          present.add(pod.uid());
          work(pod, first);
        }
        case Verdict.Await() -> {
          present.add(pod.uid());
          Work work = work(pod, first);
          if (work.stage == Stage.DUE || work.stage == Stage.GIVEN_UP) {
            work.stage = Stage.GOING;
            work.why = "terminating, has not ended yet";
          }
        }
        case Verdict.Forbid(String message) -> {
          present.add(pod.uid());
          Work work = work(pod, first);
          work.stage = Stage.GIVEN_UP;
          work.why = message;
        }
      }
    }
    if (watching) {
      for (Work work : works.values()) {
        // One that is asked for is heard first: only its answer tells whether it was evicted.
        boolean known = work.stage == Stage.ASKING || work.stage == Stage.GONE;
        if (!known && !present.contains(work.pod.uid())) {
          gone(work);
        }
      }
    }
  }

  private Work work(Pod pod, boolean first) {
    Work known = works.get(pod.uid());
    if (known != null) {
      known.pod = pod;
      return known;
    }
    Duration most = drainer.retryInterval;
    Duration least = FIRST_RETRY.compareTo(most) < 0 ? FIRST_RETRY : most;
    Work work = new Work(pod, new Backoff(least, most), time.nanos());
    works.put(pod.uid(), work);
    String owner = pod.controller().map(Owner::uid).orElse(pod.fullName());
    if (!first && lateComers.merge(owner, 1, Integer::sum) > LATE_COMERS) {
      work.stage = Stage.GIVEN_UP;
      work.why = "its controller keeps putting pods on this node";
    }
    return work;
  }

  private void send(Executor threads) {
    long now = time.nanos();
    long free = AT_ONCE - inFlight();
    for (Work work : works.values()) {
      if (free > 0 && work.stage == Stage.DUE && work.due - now <= 0) {
        free--;
        work.stage = Stage.ASKING;
        progress.accept(new Progress.Evicting(work.pod));
        Pod pod = work.pod;
        threads.execute(
            () -> {
              answers.add(ask(work, pod));
              wake();
            });
      }
    }
  }

  private Answer ask(Work work, Pod pod) {
    try {
      return new Answer.Said(
          work,
          switch (options.dryRun()) {
            case NONE -> evictions.evict(pod);
            case SERVER -> evictions.tryEvict(pod);
            case CLIENT -> new Evicted.Accepted();
          });
    } catch (IOException e) {
      return new Answer.Failed(work, String.valueOf(e.getMessage()));
    } catch (RuntimeException e) {
      // Without an answer the pod would be waited for until the deadline and never asked for again.
      return new Answer.Failed(work, e.toString());
    }
  }

  private DrainReport report(End end, Duration took) {
    for (Left l : left) {
      progress.accept(new Progress.Left(l.pod(), l.why()));
    }
    List<Pod> evicted =
        works.values().stream()
            .filter(w -> w.stage == Stage.GONE && w.evicted)
            .map(w -> w.pod)
            .toList();
    if (options.dryRun() == DryRun.NONE) {
      drainer.outcomes.labels("evicted").inc(evicted.size());
      drainer.outcomes.labels("gone").inc(works.size() - left.size() - evicted.size());
      drainer.outcomes.labels("left").inc(left.size());
    }
    return new DrainReport(end, evicted, left, took);
  }

  private List<Left> stillThere() {
    return works.values().stream()
        .filter(w -> w.stage != Stage.GONE)
        .map(w -> new Left(w.pod, w.why))
        .toList();
  }

  private long inFlight() {
    return works.values().stream().filter(w -> w.stage == Stage.ASKING).count();
  }

  private static boolean settled(Work work) {
    return work.stage == Stage.GONE || work.stage == Stage.GIVEN_UP;
  }
}
