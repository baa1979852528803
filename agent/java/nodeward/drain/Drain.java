package nodeward.drain;

import static java.util.stream.Collectors.toCollection;

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
import nodeward.drain.Work.Stage;
import nodeward.node.Evicted;
import nodeward.node.Evictions.Manner;
import nodeward.node.Evictions.Way;
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
  static final int AT_ONCE = 32;

  /** Pods that one controller may put on the node during the drain before it is given up. */
  static final int LATE_COMERS = 10;

  private static final Duration FIRST_RETRY = Duration.ofMillis(250);

  /** How much rarer a pod is tried by the clock while its budget is watched. */
  private static final int WATCHED = 6;

  /** The longest wait, so that a step of the wall clock does not move the deadline. */
  private static final Duration LONGEST_WAIT = Duration.ofSeconds(10);

  /** For how long changes are gathered, once one has come, before all pods are looked at. */
  private static final Duration BURST = Duration.ofMillis(10);

  private static final Duration RECOVERY = Duration.ofSeconds(30);

  private final Drainer drainer;
  private final Pods pods;
  private final Time time;
  private final DrainOptions options;
  private final DrainPlan.Facts facts;
  private final Consumer<Progress> progress;
  private final Instant begun;
  private final Holdups holdups;

  /** One permit or more: there is something to look at. */
  private final Semaphore wakeUps = new Semaphore(0);

  private final Queue<Answer> answers = new ConcurrentLinkedQueue<>();
  // Set by any thread under the lock of this, only ever earlier; read without it.
  private volatile Instant deadline;
  // Set by any thread, never cleared.
  private volatile boolean force;
  // Written by the thread in run() for those who show it.
  private volatile List<Left> left = List.of();

  // From here on for the thread in run() alone.
  private final Map<String, Work> works = new LinkedHashMap<>();
  private final Map<String, Integer> lateComers = new HashMap<>();
  private boolean listed;
  private long lastAccepted;
  // An API server that has just come back does not know everybody's rights yet.
  private Optional<Long> failedAt = Optional.empty();

  /** What came of one request. */
  private sealed interface Answer {
    Work work();

    record Said(Work work, Evicted evicted) implements Answer {}

    record Failed(Work work, String why) implements Answer {}
  }

  Drain(
      Drainer drainer,
      DrainOptions options,
      DrainPlan.Facts facts,
      Instant deadline,
      Consumer<Progress> progress) {
    this.drainer = drainer;
    this.pods = drainer.ports.pods();
    this.time = drainer.time;
    this.options = options;
    this.facts = facts;
    this.deadline = deadline;
    this.progress = progress;
    this.begun = time.now();
    this.force = options.has(Flag.FORCE_AT_DEADLINE);
    this.holdups = new Holdups(drainer.ports.budgets());
  }

  /**
   * Drains until no pod is left, nothing more can be done, or the deadline. Interrupted, it leaves
   * at once; what was evicted until then stays so, and another run goes on from there.
   */
  public DrainReport run() throws InterruptedException {
    long begin = time.nanos();
    lastAccepted = begin;
    ExecutorService threads =
        Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("evict-", 0).factory());
    drainer.started(this);
    try {
      restart();
      Optional<End> end = step(threads);
      while (end.isEmpty()) {
        pause(untilNext());
        end = step(threads);
      }
      long gone = time.nanos();
      measure("evict", lastAccepted - begin);
      measure("end", gone - lastAccepted);
      List<String> attached = awaitVolumes();
      measure("volumes", time.nanos() - gone);
      return report(end.get(), Duration.ofNanos(time.nanos() - begin), attached);
    } finally {
      holdups.close();
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

  /** From now on what is still there shortly before the deadline is deleted. */
  public void force() {
    force = true;
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

  private void pause(Duration most) throws InterruptedException {
    if (wakeUps.tryAcquire(most.toNanos(), TimeUnit.NANOSECONDS)) {
      TimeUnit.NANOSECONDS.sleep(BURST.toNanos());
      wakeUps.drainPermits();
    }
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
    holdups.review(works.values(), time.nanos());
    left = stillThere();
    if (watching && works.values().stream().allMatch(Work::settled)) {
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
    Instant now = time.now();
    Instant next = now.plus(LONGEST_WAIT);
    next = earlier(next, deadline);
    if (mayForce()) {
      Instant polite = pace().politeUntil(longestGrace());
      next = now.isBefore(polite) ? earlier(next, polite) : next;
    }
    for (Work work : works.values()) {
      if (work.stage == Stage.GOING) {
        next = earlier(next, DrainPlan.skippedFrom(work.pod, options));
      }
    }
    Duration wait = Duration.between(now, next);
    if (inFlight() < AT_ONCE) {
      Map<Tier, Instant> starts = starts();
      for (Work work : works.values()) {
        Duration untilDue = Duration.ofNanos(work.due - time.nanos());
        Duration untilTurn =
            Duration.between(now, earlier(starts.getOrDefault(work.tier, Instant.MIN), next));
        Duration until = untilDue.compareTo(untilTurn) > 0 ? untilDue : untilTurn;
        if (work.stage == Stage.DUE && until.compareTo(wait) < 0) {
          wait = until;
        }
      }
    }
    return wait.isNegative() ? Duration.ZERO : wait;
  }

  private void hear(Answer answer) {
    Work work = answer.work();
    work.heldBy = Optional.empty();
    switch (answer) {
      case Answer.Said(_, Evicted.Accepted()) -> {
        progress.accept(new Progress.Evicted(work.pod));
        work.evicted = true;
        work.stage = options.dryRun() == DryRun.NONE ? Stage.GOING : Stage.GONE;
        work.why = (work.forced ? "deleted" : "evicted") + ", has not ended yet";
        lastAccepted = time.nanos();
      }
      case Answer.Said(_, Evicted.Gone()) -> gone(work);
      case Answer.Said(_, Evicted.Blocked(Evicted.By by, String why, Duration retryAfter)) -> {
        drainer.retries.labels("blocked").inc();
        work.heldBy = Optional.of(by);
        Duration backoff = work.backoff.next().multipliedBy(holdups.sees(work) ? WATCHED : 1);
        Duration wait = retryAfter.compareTo(backoff) > 0 ? retryAfter : backoff;
        again(work, "blocked: " + why, wait);
        progress.accept(new Progress.Blocked(work.pod, why, wait));
      }
      case Answer.Said(_, Evicted.Refused(String why)) -> {
        drainer.retries.labels("refused").inc();
        if (options.has(Flag.RETRY_REFUSED) || wasAway()) {
          again(work, "refused: " + why, drainer.config.retryInterval());
        } else {
          work.stage = Stage.GIVEN_UP;
          work.why = "refused: " + why;
        }
        progress.accept(new Progress.Refused(work.pod, why));
      }
      case Answer.Failed(_, String why) -> {
        drainer.retries.labels("failed").inc();
        failedAt = Optional.of(time.nanos());
        Duration wait = work.backoff.next();
        again(work, "eviction failed: " + why, wait);
        progress.accept(new Progress.Failed(work.pod, why, wait));
      }
    }
  }

  private boolean wasAway() {
    return failedAt.filter(at -> time.nanos() - at < RECOVERY.toNanos()).isPresent();
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
    boolean first = !listed;
    listed |= pods.listed();
    if (!listed) {
      return;
    }
    Set<String> present = new HashSet<>();
    var now = new DrainPlan.Facts(time.now(), facts.missing(), facts.unreadable());
    for (DrainPlan.Entry entry : DrainPlan.of(pods.current(), options, now).entries()) {
      Pod pod = entry.pod();
      switch (entry.verdict()) {
        case Verdict.Leave _ -> {
          // One that was evicted and has ended: the kubelet is about to take it off the API, and a
          // StatefulSet waits for that.
          if (pod.terminating() && pod.finished() && works.containsKey(pod.uid())) {
            present.add(pod.uid());
          }
        }
        case Verdict.Evict() -> {
          if (!madeAnew(pod, first)) {
            present.add(pod.uid());
            work(pod, first);
          }
        }
        case Verdict.Await() -> {
          if (!madeAnew(pod, first)) {
            present.add(pod.uid());
            Work work = work(pod, first);
            if (work.stage == Stage.DUE || work.stage == Stage.GIVEN_UP) {
              work.stage = Stage.GOING;
              work.why = "terminating, has not ended yet";
            }
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

  /** DaemonSets do not mind a cordon: what they put here again stays, or this would never end. */
  private boolean madeAnew(Pod pod, boolean first) {
    return !first && pod.ofDaemonSet() && !works.containsKey(pod.uid());
  }

  private Work work(Pod pod, boolean first) {
    Work known = works.get(pod.uid());
    if (known != null) {
      known.pod = pod;
      return known;
    }
    Duration most = drainer.config.retryInterval();
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
    Instant wall = time.now();
    boolean forced = mayForce() && !wall.isBefore(pace().politeUntil(longestGrace()));
    Map<Tier, Instant> starts = starts();
    long free = AT_ONCE - inFlight();
    for (Work work : works.values()) {
      if (free == 0) {
        return;
      }
      // The first forced request does not wait for the back-off of the polite ones.
      boolean due = work.due - now <= 0 || (forced && !work.forced);
      boolean turn = forced || !wall.isBefore(starts.getOrDefault(work.tier, Instant.MIN));
      if (work.stage == Stage.DUE && due && turn) {
        free--;
        work.stage = Stage.ASKING;
        Pod pod = work.pod;
        Manner manner = manner(pod, forced, wall);
        work.forced = forced;
        progress.accept(
            forced
                ? new Progress.Forcing(pod, manner.grace().orElse(pod.grace()))
                : new Progress.Evicting(pod));
        threads.execute(
            () -> {
              answers.add(ask(work, pod, manner));
              wake();
            });
      }
    }
  }

  private Manner manner(Pod pod, boolean forced, Instant now) {
    Manner manner = Manner.POLITE;
    if (options.grace().isPresent()) {
      manner = manner.within(options.grace().get());
    }
    if (mayForce()) {
      // What would outlive the node is told how long it has.
      Duration grace = options.grace().orElse(pod.grace());
      Duration clamped = pace().clamped(grace, now);
      manner = clamped.equals(grace) && !forced ? manner : manner.within(clamped);
    }
    if (forced || options.has(Flag.DISABLE_EVICTION)) {
      manner = manner.by(Way.DELETION);
    }
    return options.dryRun() == DryRun.SERVER ? manner.checked() : manner;
  }

  private Answer ask(Work work, Pod pod, Manner manner) {
    try {
      return new Answer.Said(
          work,
          options.dryRun() == DryRun.CLIENT
              ? new Evicted.Accepted()
              : drainer.ports.evictions().evict(pod, manner));
    } catch (IOException e) {
      return new Answer.Failed(work, String.valueOf(e.getMessage()));
    } catch (RuntimeException e) {
      // Without an answer the pod would be waited for until the deadline and never asked for again.
      return new Answer.Failed(work, e.toString());
    }
  }

  private Pace pace() {
    return new Pace(begun, deadline, drainer.config.reserve());
  }

  private boolean mayForce() {
    return force && options.dryRun() == DryRun.NONE && !deadline.equals(Instant.MAX);
  }

  private Duration longestGrace() {
    return Turns.longestGrace(works.values(), options);
  }

  private Map<Tier, Instant> starts() {
    return Turns.starts(works.values(), options, pace());
  }

  private List<String> awaitVolumes() throws InterruptedException {
    if (!options.has(Flag.WAIT_FOR_VOLUMES) || options.dryRun() != DryRun.NONE) {
      return List.of();
    }
    Set<String> claims = claims(true);
    claims.removeAll(claims(false));
    var volumes =
        new VolumeWait(
            drainer.ports.attachments(), claims, a -> progress.accept(new Progress.Volumes(a)));
    long until = time.nanos() + drainer.config.volumeWait().toNanos();
    long due = time.nanos() + volumes.look().toNanos();
    while (!volumes.isOver() && time.nanos() - until < 0 && time.now().isBefore(deadline)) {
      // Changes of pods wake this too, and are no reason to ask for volumes.
      pause(Duration.ofNanos(Math.max(1, due - time.nanos())));
      if (due - time.nanos() <= 0) {
        due = time.nanos() + volumes.look().toNanos();
      }
    }
    return volumes.left();
  }

  /** Of the pods that this drain saw go, or of those that stay on the node. */
  private Set<String> claims(boolean gone) {
    var of =
        gone
            ? works.values().stream().filter(w -> w.stage == Stage.GONE).map(w -> w.pod)
            : pods.current().stream();
    return of.flatMap(p -> p.volumes().claims().stream().map(c -> p.namespace() + "/" + c))
        .collect(toCollection(HashSet::new));
  }

  private void measure(String phase, long nanos) {
    drainer.phases.labels(phase).set(nanos / 1e9);
  }

  private DrainReport report(End end, Duration took, List<String> attached) {
    for (Left l : left) {
      progress.accept(new Progress.Left(l.pod(), l.why()));
    }
    List<Work> done =
        works.values().stream().filter(w -> w.stage == Stage.GONE && w.evicted).toList();
    long forced = done.stream().filter(w -> w.forced).count();
    if (options.dryRun() == DryRun.NONE) {
      drainer.outcomes.labels("evicted").inc((double) (done.size() - forced));
      drainer.outcomes.labels("forced").inc((double) forced);
      drainer.outcomes.labels("gone").inc(works.size() - left.size() - done.size());
      drainer.outcomes.labels("left").inc(left.size());
    }
    return new DrainReport(end, done.stream().map(w -> w.pod).toList(), left, took, attached);
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

  private static Instant earlier(Instant a, Instant b) {
    return a.isBefore(b) ? a : b;
  }
}
