package nodeward.drain;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.DrainReport.End;
import nodeward.node.Evicted;
import nodeward.node.Evictions;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class DrainTest {
  private static final Duration RETRY = Duration.ofSeconds(5);
  private static final Config.Drain CONFIG =
      new Config.Drain(RETRY, Duration.ofSeconds(5), List.of(), false, Duration.ofMinutes(1));

  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1");
  private final CollectorRegistry registry = new CollectorRegistry();
  private final Drainer drainer =
      new Drainer(Drainer.Ports.of(node.asPods(), node), CONFIG, registry, time);
  private final List<Progress> progress = new ArrayList<>();
  private final Pod web = FakeNode.pod("default", "web", "10.0.0.1");
  private final Pod db = FakeNode.pod("default", "db", "10.0.0.2");

  @Test
  void evictsEveryPodAndEndsWhenTheLastIsGone() {
    node.put(web);
    node.put(db);
    Drain drain = drain(Instant.MAX);

    assertThat(look(drain)).isEmpty();
    assertThat(node.evictions).containsExactly("default/db", "default/web");
    assertThat(drain.left())
        .extracting(Left::toString)
        .containsExactly(
            "default/db: evicted, has not ended yet", "default/web: evicted, has not ended yet");

    node.remove(db);
    assertThat(look(drain)).isEmpty();
    node.remove(web);
    assertThat(look(drain)).contains(End.DRAINED);
    assertThat(drain.left()).isEmpty();
    assertThat(node.evictions).hasSize(2);
    assertThat(progress)
        .containsExactly(
            new Progress.Evicting(db),
            new Progress.Evicting(web),
            new Progress.Evicted(db),
            new Progress.Evicted(web),
            new Progress.Gone(FakeNode.terminating(db, Instant.parse("2026-11-21T08:00:00Z"))),
            new Progress.Gone(FakeNode.terminating(web, Instant.parse("2026-11-21T08:00:00Z"))));
  }

  @Test
  void anEmptyListBeforeTheFirstSyncIsNotADrainedNode() {
    node.watching(FakeNode.Watch.UNLISTED);
    Drain drain = drain(Instant.MAX);

    assertThat(look(drain)).isEmpty();
    node.put(web);
    assertThat(look(drain)).isEmpty();
    assertThat(node.evictions).isEmpty();

    node.watching(FakeNode.Watch.CONNECTED);
    look(drain);
    assertThat(node.evictions).containsExactly("default/web");
  }

  @Test
  void whatIsListedIsEvictedBeforeTheWatchStands() {
    node.watching(FakeNode.Watch.LOST);
    node.put(web);
    Drain drain = drain(Instant.MAX);

    assertThat(look(drain)).isEmpty();
    assertThat(node.evictions).containsExactly("default/web");
    node.remove(web);
    assertThat(look(drain)).isEmpty();

    node.watching(FakeNode.Watch.CONNECTED);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void whatALostWatchNoLongerShowsIsNotGone() {
    node.put(web);
    Drain drain = drain(Instant.MAX);
    look(drain);

    node.watching(FakeNode.Watch.LOST);
    node.remove(web);
    assertThat(look(drain)).isEmpty();
    assertThat(drain.left()).hasSize(1);

    node.watching(FakeNode.Watch.CONNECTED);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void aBlockedPodIsTriedAgainWhenItsBackoffIsOver() {
    node.put(web);
    node.answer(web, new Evicted.Blocked("budget web needs 2 healthy pods", Duration.ZERO));
    Drain drain = drain(Instant.MAX);
    look(drain);
    assertThat(drain.left().getFirst().why()).isEqualTo("blocked: budget web needs 2 healthy pods");

    look(drain);
    assertThat(node.evictions).hasSize(1);
    assertThat(drain.untilNext()).isBetween(Duration.ofNanos(1), Duration.ofMillis(250));
    time.advance(drain.untilNext());
    look(drain);
    assertThat(node.evictions).hasSize(2);

    node.answer(web, new Evicted.Accepted());
    time.advance(RETRY);
    look(drain);
    node.remove(web);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void retryAfterIsHonoured() {
    node.put(web);
    node.answer(web, new Evicted.Blocked("busy", Duration.ofSeconds(8)));
    Drain drain = drain(Instant.MAX);
    look(drain);

    time.advance(Duration.ofSeconds(7));
    look(drain);
    assertThat(node.evictions).hasSize(1);
    time.advance(Duration.ofSeconds(1));
    look(drain);
    assertThat(node.evictions).hasSize(2);
  }

  @Test
  void anApiServerThatIsAwayIsTriedUntilItIsBack() {
    node.put(web);
    node.failWith(Optional.of(new IOException("connection refused")));
    Drain drain = drain(Instant.MAX);
    for (int i = 0; i < 20; i++) {
      assertThat(look(drain)).isEmpty();
      time.advance(RETRY);
    }
    assertThat(drain.left().getFirst().why()).isEqualTo("eviction failed: connection refused");
    assertThat(progress).filteredOn(p -> p instanceof Progress.Failed).hasSize(20);

    node.failWith(Optional.empty());
    look(drain);
    node.remove(web);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void anApiServerThatIsAwayDoesNotMoveTheDeadline() {
    node.put(web);
    node.failWith(Optional.of(new IOException("connection refused")));
    Drain drain = drain(time.now().plusSeconds(3));
    look(drain);
    assertThat(drain.untilNext()).isLessThanOrEqualTo(Duration.ofSeconds(3));

    time.advance(Duration.ofSeconds(3));

    assertThat(look(drain)).contains(End.DEADLINE);
    assertThat(drain.left()).hasSize(1);
  }

  @Test
  void aStepOfTheWallClockIsNoticedWithoutAWakeUp() {
    node.put(web);
    Drain drain = drain(time.now().plus(Duration.ofHours(1)));
    look(drain);
    assertThat(drain.untilNext()).isLessThanOrEqualTo(Duration.ofSeconds(10));

    time.jump(Duration.ofHours(2));

    assertThat(look(drain)).contains(End.DEADLINE);
  }

  @Test
  void podsThatCouldNotBeSeenUntilTheDeadlineAreNotCalledDrained() {
    node.watching(FakeNode.Watch.UNLISTED);
    Drain drain = drain(time.now().plusSeconds(3));
    look(drain);

    time.advance(Duration.ofSeconds(3));

    assertThat(look(drain)).contains(End.BLIND);
  }

  @Test
  void aPodThatIsGoneAlreadyIsDone() {
    node.put(web);
    node.answer(web, new Evicted.Gone());
    Drain drain = drain(Instant.MAX);
    look(drain);

    assertThat(look(drain)).contains(End.DRAINED);
    assertThat(progress).contains(new Progress.Gone(web));
  }

  @Test
  void aRefusedPodIsReportedAndTheOthersGoOnAsWithKubectl() {
    node.put(web);
    node.put(db);
    node.answer(db, new Evicted.Refused("webhook says no"));
    Drain drain = drainer.prepare(DrainOptions.ofKubectl(), Instant.MAX, progress::add);
    look(drain);
    node.remove(web);

    assertThat(look(drain)).contains(End.GIVEN_UP);
    assertThat(drain.left())
        .extracting(Left::toString)
        .containsExactly("default/db: refused: webhook says no");
    assertThat(progress).contains(new Progress.Refused(db, "webhook says no"));
  }

  @Test
  void anApiServerThatComesBackMayRefuseForAMomentWhatItAllowsThen() {
    node.put(web);
    node.failWith(Optional.of(new IOException("connection refused")));
    Drain drain = drainer.prepare(DrainOptions.ofKubectl(), Instant.MAX, progress::add);
    look(drain);

    node.failWith(Optional.empty());
    node.answer(web, new Evicted.Refused("forbidden (403)"));
    time.advance(RETRY);
    assertThat(look(drain)).isEmpty();
    assertThat(progress).contains(new Progress.Refused(web, "forbidden (403)"));

    node.answer(web, new Evicted.Accepted());
    time.advance(RETRY);
    look(drain);
    node.remove(web);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void theDaemonTriesARefusedPodAgainUntilTheDeadline() {
    node.put(web);
    node.answer(web, new Evicted.Refused("webhook says no"));
    Drain drain = drain(time.now().plusSeconds(60));
    look(drain);
    assertThat(look(drain)).isEmpty();

    node.answer(web, new Evicted.Accepted());
    time.advance(RETRY);
    look(drain);
    node.remove(web);

    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void aForbiddenPodIsNeverEvicted() {
    node.put(FakeNode.daemonPod("kube-system", "kube-proxy"));
    node.put(web);
    Drain drain = drainer.prepare(DrainOptions.ofKubectl(), Instant.MAX, progress::add);
    look(drain);
    node.remove(web);

    assertThat(look(drain)).contains(End.GIVEN_UP);
    assertThat(node.evictions).containsExactly("default/web");
  }

  @Test
  void anEvictedPodThatHasEndedIsWaitedForUntilTheKubeletHasTakenItOffTheApi() {
    node.put(web);
    Drain drain = drainer.prepare(DrainOptions.ofDaemon(""), Instant.MAX, progress::add);
    look(drain);

    // While it is there a StatefulSet makes no other, and a kubelet that stops now leaves it there.
    node.put(
        FakeNode.inPhase(
            FakeNode.terminating(web, Instant.parse("2026-11-21T08:00:00Z")), Pod.Phase.SUCCEEDED));
    assertThat(look(drain)).isEmpty();
    assertThat(drain.left()).hasSize(1);

    node.remove(web);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void aLateComerIsEvictedToo() {
    node.put(web);
    Drain drain = drain(Instant.MAX);
    look(drain);

    node.put(db);
    node.remove(web);
    assertThat(look(drain)).isEmpty();
    assertThat(node.evictions).containsExactly("default/web", "default/db");
  }

  @Test
  void aControllerThatKeepsPuttingPodsOnTheNodeIsGivenUp() {
    node.put(web);
    Drain drain = drain(Instant.MAX);
    look(drain);
    Pod last = web;
    Optional<End> end = Optional.empty();
    for (int i = 0; end.isEmpty() && i < 100; i++) {
      node.remove(last);
      last = FakeNode.pod("default", "web-" + i, "");
      node.put(last);
      end = look(drain);
    }

    assertThat(end).contains(End.GIVEN_UP);
    assertThat(drain.left().getFirst().why())
        .isEqualTo("its controller keeps putting pods on this node");
    assertThat(node.evictions).hasSize(1 + Drain.LATE_COMERS);
  }

  @Test
  void aPodThatIsTerminatingAlreadyIsWaitedForOnly() {
    node.put(FakeNode.terminating(web, time.now()));
    Drain drain = drain(Instant.MAX);

    assertThat(look(drain)).isEmpty();
    assertThat(node.evictions).isEmpty();
    node.remove(web);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void aPodThatEndsWhileItIsBlockedNeedsNoEviction() {
    node.put(web);
    node.answer(web, new Evicted.Blocked("budget", Duration.ZERO));
    Drain drain = drain(Instant.MAX);
    look(drain);

    node.put(FakeNode.inPhase(web, Pod.Phase.SUCCEEDED));

    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void noMoreThanABoundedNumberOfEvictionsIsInFlight() {
    for (int i = 0; i < 3 * Drain.AT_ONCE; i++) {
      node.put(FakeNode.pod("default", "p" + i, ""));
    }
    List<Runnable> requests = new ArrayList<>();
    Drain drain = drain(Instant.MAX);

    drain.step(requests::add);
    drain.step(requests::add);
    assertThat(requests).hasSize(Drain.AT_ONCE);
    requests.removeFirst().run();
    drain.step(requests::add);

    assertThat(requests).hasSize(Drain.AT_ONCE);
  }

  @Test
  void aTighterDeadlineCountsAndALooserDoesNot() {
    node.put(web);
    Instant now = time.now();
    Drain drain = drain(now.plusSeconds(60));
    look(drain);

    drain.tighten(now.plusSeconds(10));
    drain.tighten(now.plusSeconds(30));

    assertThat(drain.deadline()).isEqualTo(now.plusSeconds(10));
    time.advance(Duration.ofSeconds(10));
    assertThat(look(drain)).contains(End.DEADLINE);
  }

  @Test
  void aClientDryRunSendsNothing() {
    node.put(web);
    Drain drain = dry(DryRun.CLIENT);
    look(drain);

    assertThat(look(drain)).contains(End.DRAINED);
    assertThat(node.evictions).isEmpty();
    assertThat(progress).contains(new Progress.Evicting(web));
  }

  @Test
  void aServerDryRunAsksAndDoesNotWait() {
    node.put(web);
    Drain drain = dry(DryRun.SERVER);
    look(drain);

    assertThat(look(drain)).contains(End.DRAINED);
    assertThat(node.evictions).isEmpty();
    assertThat(node.pods()).containsExactly(web);
  }

  @Test
  void runReportsWhatWasEvictedAndCountsIt() throws Exception {
    node.put(web);
    node.put(FakeNode.terminating(db, time.now()));
    Drain drain = drain(Instant.MAX);
    var report = runInBackground(drain);
    eventually(() -> drain.left().toString().contains("default/web: evicted"));

    time.advance(Duration.ofSeconds(2));
    node.remove(web);
    node.remove(db);

    assertThat(report.get())
        .satisfies(
            r -> {
              assertThat(r.drained()).isTrue();
              assertThat(r.evicted()).extracting(Pod::name).containsExactly("web");
              assertThat(r.left()).isEmpty();
              assertThat(r.took()).isEqualTo(Duration.ofSeconds(2));
            });
    assertThat(count("evicted")).isEqualTo(1);
    assertThat(count("gone")).isEqualTo(1);
    assertThat(count("left")).isZero();
  }

  @Test
  void runAtTheDeadlineTellsWhatIsLeftAndWhy() throws Exception {
    node.put(web);
    node.answer(web, new Evicted.Blocked("budget web", Duration.ofSeconds(100)));
    Drain drain = drain(time.now().plusSeconds(60));
    var report = runInBackground(drain);
    eventually(() -> drain.left().toString().contains("blocked"));

    time.advance(Duration.ofSeconds(60));
    drain.wake();

    assertThat(report.get().end()).isEqualTo(End.DEADLINE);
    assertThat(report.get().left()).containsExactly(new Left(web, "blocked: budget web"));
    assertThat(progress).contains(new Progress.Left(web, "blocked: budget web"));
    assertThat(count("left")).isEqualTo(1);
  }

  @Test
  void anInterruptedRunLeavesAtOnceAndAnotherGoesOn() throws Exception {
    node.put(web);
    var asked = new CountDownLatch(1);
    var stuck =
        new Evictions() {
          private volatile boolean hang = true;

          @Override
          public Evicted evict(Pod pod, Manner manner) throws IOException {
            if (hang) {
              asked.countDown();
              try {
                new CountDownLatch(1).await();
              } catch (InterruptedException e) {
                throw new IOException("interrupted", e);
              }
            }
            return node.evict(pod, manner);
          }
        };
    Drain drain =
        new Drainer(Drainer.Ports.of(node.asPods(), stuck), CONFIG, new CollectorRegistry(), time)
            .prepare(DrainOptions.ofDaemon(""), Instant.MAX, _ -> {});
    var interrupted = new CompletableFuture<Void>();
    Thread first =
        Thread.ofVirtual()
            .start(
                () -> {
                  try {
                    drain.run();
                  } catch (InterruptedException e) {
                    interrupted.complete(null);
                  }
                });
    asked.await();

    first.interrupt();
    interrupted.get(10, TimeUnit.SECONDS);
    stuck.hang = false;
    var report = runInBackground(drain);
    eventually(() -> !evictions().isEmpty());
    node.remove(web);

    assertThat(report.get().drained()).isTrue();
  }

  @Test
  void aProgrammingErrorInAnEvictionDoesNotLoseThePod() {
    node.put(web);
    var broken =
        new Evictions() {
          @Override
          public Evicted evict(Pod pod, Manner manner) {
            throw new IllegalStateException("bug");
          }
        };
    Drain drain =
        new Drainer(Drainer.Ports.of(node.asPods(), broken), CONFIG, new CollectorRegistry(), time)
            .prepare(DrainOptions.ofDaemon(""), Instant.MAX, _ -> {});

    look(drain);

    assertThat(drain.left().getFirst().why()).contains("bug");
    assertThat(drain.untilNext()).isLessThanOrEqualTo(RETRY);
  }

  private Drain drain(Instant deadline) {
    return drainer.prepare(DrainOptions.ofDaemon(""), deadline, progress::add);
  }

  private Drain dry(DryRun dryRun) {
    return drainer.prepare(DrainOptions.ofKubectl().with(dryRun), Instant.MAX, progress::add);
  }

  /** Steps with the requests made at once, until nothing is to be done now. */
  private static Optional<End> look(Drain drain) {
    Executor atOnce = Runnable::run;
    Optional<End> end = drain.step(atOnce);
    return end.isPresent() ? end : drain.step(_ -> {});
  }

  private static CompletableFuture<DrainReport> runInBackground(Drain drain) {
    var report = new CompletableFuture<DrainReport>();
    Thread.ofVirtual()
        .start(
            () -> {
              try {
                report.complete(drain.run());
              } catch (InterruptedException | RuntimeException e) {
                report.completeExceptionally(e);
              }
            });
    return report.orTimeout(20, TimeUnit.SECONDS);
  }

  private List<String> evictions() {
    synchronized (node) {
      return List.copyOf(node.evictions);
    }
  }

  private double count(String outcome) {
    return registry.getSampleValue(
        "nodeward_drain_pods_total", new String[] {"outcome"}, new String[] {outcome});
  }

  private static void eventually(BooleanSupplier condition) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(end);
      Thread.sleep(10);
    }
  }
}
