package nodeward.metadata;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import io.prometheus.client.Histogram;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.component.Backoff;
import nodeward.component.Time;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Credentials by role session. A session is asked of STS by one thread of its own at a time,
 * whoever waits for it or leaves; what is held is renewed in the background well before its end and
 * served on while STS is away, but never with less than a minute of life. Called by every request's
 * thread; {@link #renew} by one loop.
 */
final class CredentialCache {
  /** What a pod can be told at this moment. */
  sealed interface Answer {
    record Held(Credentials credentials, Instant issued) implements Answer {}

    record Denied(String why) implements Answer {}

    record Unavailable(String why) implements Answer {}
  }

  static final int MOST_SESSIONS = 2048;
  private static final Logger log = LoggerFactory.getLogger(CredentialCache.class);
  private static final int MOST_BACKGROUND_CALLS = 8;
  private static final Duration LEAST_LIFE = Duration.ofSeconds(60);
  // SDKs that get less ask again on every call.
  private static final Duration GOOD_LIFE = Duration.ofMinutes(15);
  private static final Duration DENIED_FOR = Duration.ofSeconds(30);
  private static final Duration DENIED_AGAIN_FOR = Duration.ofSeconds(60);
  // The Date header has whole seconds and is old by its way here.
  private static final Duration SKEW_THAT_COUNTS = Duration.ofSeconds(5);
  private static final Duration SKEW_TO_TELL = Duration.ofSeconds(60);
  // Within it even the most impatient SDK still gets the old ones.
  private static final Duration STALE_WAIT = Duration.ofMillis(300);

  /**
   * Credentials with their moments: from {@code renewAt} on they are renewed beside being served,
   * from {@code pressingAt} on a request waits for newer ones, from {@code deadAt} on they are not
   * served.
   */
  private record Issued(
      Credentials credentials, Instant at, Instant renewAt, Instant pressingAt, Instant deadAt) {}

  private static final class Entry {
    final RoleSession session;
    // Read by requests without the lock: the way of nearly all of them.
    volatile @Nullable Issued issued;
    // The rest is guarded by the entry.
    @Nullable CompletableFuture<Void> call;
    @Nullable Answer failure;
    final Backoff backoff = new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30));
    long retryAt;

    Entry(RoleSession session, long now) {
      this.session = session;
      this.retryAt = now;
    }
  }

  private final RoleCredentials source;
  private final Duration renewBefore;
  private final Time time;
  private final Runnable landed;
  private final ConcurrentHashMap<RoleSession, Entry> entries = new ConcurrentHashMap<>();
  private final AtomicInteger calls = new AtomicInteger();
  private final CallBudget budget;
  // Set by each call's thread, read by health(): AWS's clock is ahead by so much.
  private volatile Duration skew = Duration.ZERO;
  private final Histogram seconds;
  private final Histogram life;
  private final Counter joins;
  private final Gauge skewSeconds;
  private final Counter errors;
  private final Gauge sessions;

  /** {@code landed} runs after every call to STS, on its thread. */
  CredentialCache(
      RoleCredentials source,
      Duration renewBefore,
      Time time,
      CollectorRegistry registry,
      Runnable landed) {
    this.source = source;
    this.renewBefore = renewBefore;
    this.time = time;
    this.landed = landed;
    this.budget = new CallBudget(time);
    this.seconds =
        Histogram.build("nodeward_metadata_sts_seconds", "Time that STS took to answer AssumeRole.")
            .buckets(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
            .register(registry);
    this.errors =
        Counter.build("nodeward_metadata_sts_errors_total", "AssumeRole calls without credentials.")
            .labelNames("kind")
            .register(registry);
    errors.labels("denied");
    errors.labels("throttled");
    errors.labels("failed");
    this.life =
        Histogram.build("nodeward_metadata_life_seconds", "Life left in credentials as served.")
            .buckets(60, 300, 900, 1500, 1800, 2700, 3600)
            .register(registry);
    this.joins =
        Counter.build(
                "nodeward_metadata_sts_joins_total", "Requests that waited for another one's call.")
            .register(registry);
    this.skewSeconds =
        Gauge.build(
                "nodeward_metadata_clock_skew_seconds",
                "How far AWS's clock was ahead of the node's at the last answer of STS.")
            .register(registry);
    this.sessions =
        Gauge.build("nodeward_metadata_sessions", "Role sessions that are held or asked for.")
            .register(registry);
  }

  /** Answers from what is held, else waits for STS as long as given. */
  Answer get(RoleSession session, Duration limit) throws InterruptedException {
    Optional<Entry> found = entry(session);
    if (found.isEmpty()) {
      return new Answer.Unavailable("more than " + MOST_SESSIONS + " role sessions are in use");
    }
    Entry entry = found.get();
    Instant now = time.now();
    Issued issued = entry.issued;
    if (issued != null && now.isBefore(issued.pressingAt)) {
      if (!now.isBefore(issued.renewAt)) {
        call(entry, CallBudget.Kind.PREFETCH);
      }
      return held(issued, now);
    }
    Duration wait =
        issued != null && now.isBefore(issued.deadAt) ? shorter(limit, STALE_WAIT) : limit;
    Optional<CompletableFuture<Void>> call = call(entry, CallBudget.Kind.REQUEST);
    if (call.isPresent()) {
      try {
        call.get().get(wait.toNanos(), TimeUnit.NANOSECONDS);
      } catch (TimeoutException e) {
        log.debug("metadata: no answer in time session={} waited={}", session, wait);
      } catch (ExecutionException e) {
        throw new IllegalStateException("a call to STS completes normally", e);
      }
    }
    return answer(entry);
  }

  /**
   * Fetches and renews what these sessions need and forgets all others; returns the wait until the
   * next one is due. Few calls run at once, so that a full node does not storm STS; every end of
   * one wakes the loop.
   */
  Duration renew(Set<RoleSession> wanted) {
    entries.values().removeIf(e -> !wanted.contains(e.session) && !calling(e));
    sessions.set(entries.size());
    Instant now = time.now();
    Duration wait = Duration.ofMinutes(5);
    var due = new ArrayList<Entry>();
    for (RoleSession session : wanted) {
      entry(session).filter(e -> !denied(e)).ifPresent(due::add);
    }
    due.sort(Comparator.comparing(CredentialCache::renewAt));
    for (Entry entry : due) {
      Duration left = Duration.between(now, renewAt(entry));
      if (left.isPositive()) {
        return shorter(wait, left);
      }
      if (calls.get() < MOST_BACKGROUND_CALLS && call(entry, CallBudget.Kind.PREFETCH).isEmpty()) {
        wait = shorter(wait, longer(untilRetry(entry), budget.wait(CallBudget.Kind.PREFETCH)));
      }
    }
    return wait;
  }

  int size() {
    return entries.size();
  }

  /** The reason of a session that STS does not give at present, if there is one. */
  Optional<String> trouble() {
    for (Entry entry : entries.values()) {
      synchronized (entry) {
        if (entry.failure instanceof Answer.Unavailable u) {
          return Optional.of(u.why());
        }
      }
    }
    return skew.abs().compareTo(SKEW_TO_TELL) >= 0 ? Optional.of(told(skew)) : Optional.empty();
  }

  /**
   * What is known of a session: the end of the credentials that would be served, the last failure
   * since they were issued, whether STS is being asked.
   */
  record State(Optional<Instant> expires, Optional<Answer> failure, boolean calling) {}

  /** Without asking for it. */
  State state(RoleSession session) {
    Entry entry = entries.get(session);
    if (entry == null) {
      return new State(Optional.empty(), Optional.empty(), false);
    }
    synchronized (entry) {
      return new State(
          Optional.ofNullable(entry.issued)
              .filter(i -> time.now().isBefore(i.deadAt))
              .map(i -> i.credentials.expiration()),
          Optional.ofNullable(entry.failure),
          entry.call != null);
    }
  }

  private Optional<Entry> entry(RoleSession session) {
    Entry entry = entries.get(session);
    if (entry == null) {
      if (entries.size() >= MOST_SESSIONS) {
        return Optional.empty();
      }
      entry = entries.computeIfAbsent(session, s -> new Entry(s, time.nanos()));
      sessions.set(entries.size());
    }
    return Optional.of(entry);
  }

  private Answer answer(Entry entry) {
    synchronized (entry) {
      Issued issued = entry.issued;
      Instant now = time.now();
      if (issued != null && now.isBefore(issued.deadAt)) {
        return held(issued, now);
      }
      return entry.failure != null
          ? entry.failure
          : new Answer.Unavailable("STS has not answered in time");
    }
  }

  private Answer held(Issued issued, Instant now) {
    life.observe((double) Duration.between(now, issued.deadAt).plus(LEAST_LIFE).toSeconds());
    return new Answer.Held(issued.credentials, issued.at);
  }

  /**
   * Joins the call that runs or starts one; empty while it is too early after a failure or the
   * node's budget is used up.
   */
  private Optional<CompletableFuture<Void>> call(Entry entry, CallBudget.Kind kind) {
    CompletableFuture<Void> call;
    Duration wait;
    synchronized (entry) {
      if (entry.call != null) {
        if (kind == CallBudget.Kind.REQUEST) {
          joins.inc();
        }
        return Optional.of(entry.call);
      }
      if (entry.retryAt - time.nanos() > 0) {
        return Optional.empty();
      }
      Optional<Duration> turn = budget.take(kind);
      if (turn.isEmpty()) {
        if (kind == CallBudget.Kind.REQUEST && entry.failure == null) {
          entry.failure = new Answer.Unavailable("too many calls to STS are waiting on this node");
        }
        return Optional.empty();
      }
      wait = turn.get();
      call = new CompletableFuture<>();
      entry.call = call;
    }
    calls.incrementAndGet();
    Thread.ofVirtual().name("assume-role").start(() -> run(entry, call, wait));
    return Optional.of(call);
  }

  private void run(Entry entry, CompletableFuture<Void> call, Duration wait) {
    RoleSession session = entry.session;
    long began = time.nanos();
    try {
      Thread.sleep(wait);
      began = time.nanos();
      Assumed assumed = source.assume(session);
      source.clockSkew().ifPresent(this::skewed);
      if (!(assumed instanceof Assumed.Throttled)) {
        budget.answered();
      }
      switch (assumed) {
        case Assumed.Issued(Credentials credentials) -> issued(entry, credentials);
        case Assumed.Throttled(String why) ->
            unavailable(entry, "throttled", why, budget.throttled());
        case Assumed.Denied(String why) -> {
          errors.labels("denied").inc();
          log.warn(
              "metadata: role denied role={} session={} why=\"{}\"",
              session.roleArn(),
              session.sessionName(),
              Refusals.printable(why));
          failed(entry, new Answer.Denied(why), denied(entry) ? DENIED_AGAIN_FOR : DENIED_FOR);
        }
      }
    } catch (IOException e) {
      source.clockSkew().ifPresent(this::skewed);
      unavailable(entry, "failed", String.valueOf(e.getMessage()), entry.backoff.next());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      unavailable(entry, "failed", "interrupted", entry.backoff.next());
    } catch (RuntimeException e) {
      unavailable(entry, "failed", e.toString(), entry.backoff.next());
      log.error(
          "metadata: call to STS broke role={} session={}",
          session.roleArn(),
          session.sessionName(),
          e);
    } finally {
      seconds.observe((time.nanos() - began) / 1e9);
      calls.decrementAndGet();
      synchronized (entry) {
        entry.call = null;
      }
      call.complete(null);
      landed.run();
    }
  }

  private void issued(Entry entry, Credentials credentials) throws IOException {
    Instant now = time.now();
    // By this node's clock, whatever it shows.
    Instant end =
        skew.abs().compareTo(SKEW_THAT_COUNTS) < 0
            ? credentials.expiration()
            : credentials.expiration().minus(skew);
    Duration life = Duration.between(now, end);
    if (life.compareTo(LEAST_LIFE) <= 0) {
      throw new IOException(
          "STS gave credentials that end at "
              + credentials.expiration()
              + ", too soon by this node's clock "
              + now);
    }
    // Short-lived credentials must not be renewed without end.
    Duration before = shorter(renewBefore.plus(jitter()), life.multipliedBy(3).dividedBy(4));
    Duration pressing = shorter(GOOD_LIFE, life.dividedBy(4));
    var issued =
        new Issued(credentials, now, end.minus(before), end.minus(pressing), end.minus(LEAST_LIFE));
    synchronized (entry) {
      entry.issued = issued;
      entry.failure = null;
      entry.backoff.reset();
    }
    log.debug(
        "metadata: session issued key={} role={} session={} expires={}",
        credentials.accessKeyId(),
        entry.session.roleArn(),
        entry.session.sessionName(),
        credentials.expiration());
  }

  private void skewed(Duration measured) {
    boolean told = skew.abs().compareTo(SKEW_TO_TELL) >= 0;
    skew = measured;
    skewSeconds.set((double) measured.toSeconds());
    if (!told && measured.abs().compareTo(SKEW_TO_TELL) >= 0) {
      log.warn("metadata: {}: what is signed by it may be refused", told(measured));
    } else if (told && measured.abs().compareTo(SKEW_TO_TELL) < 0) {
      log.info("metadata: this node's clock is right again skew={}s", measured.toSeconds());
    }
  }

  private static String told(Duration skew) {
    return "this node's clock is %d s %s AWS's"
        .formatted(skew.abs().toSeconds(), skew.isNegative() ? "ahead of" : "behind");
  }

  private void unavailable(Entry entry, String kind, String why, Duration pause) {
    errors.labels(kind).inc();
    if (failed(entry, new Answer.Unavailable(why), pause)) {
      log.warn(
          "metadata: no credentials role={} session={} why=\"{}\" retry_in={}ms",
          entry.session.roleArn(),
          entry.session.sessionName(),
          Refusals.printable(why),
          pause.toMillis());
    }
  }

  /** Whether this is the first failure since the last success, or another one than before. */
  private boolean failed(Entry entry, Answer failure, Duration pause) {
    synchronized (entry) {
      boolean news = !failure.equals(entry.failure);
      entry.failure = failure;
      entry.retryAt = time.nanos() + pause.toNanos();
      return news;
    }
  }

  private static boolean calling(Entry entry) {
    synchronized (entry) {
      return entry.call != null;
    }
  }

  /** A denied role is tried again only when a pod asks for it. */
  private static boolean denied(Entry entry) {
    synchronized (entry) {
      return entry.failure instanceof Answer.Denied;
    }
  }

  private static Instant renewAt(Entry entry) {
    Issued issued = entry.issued;
    return issued == null ? Instant.EPOCH : issued.renewAt;
  }

  private Duration untilRetry(Entry entry) {
    synchronized (entry) {
      return Duration.ofNanos(Math.max(1, entry.retryAt - time.nanos()));
    }
  }

  /** Spreads the renewals of credentials that were fetched together. */
  private Duration jitter() {
    long most = renewBefore.dividedBy(6).toNanos();
    return most == 0 ? Duration.ZERO : Duration.ofNanos(ThreadLocalRandom.current().nextLong(most));
  }

  private static Duration longer(Duration a, Duration b) {
    return a.compareTo(b) >= 0 ? a : b;
  }

  private static Duration shorter(Duration a, Duration b) {
    return a.compareTo(b) <= 0 ? a : b;
  }
}
