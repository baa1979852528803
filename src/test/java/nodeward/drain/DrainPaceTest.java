package nodeward.drain;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.drain.DrainOptions.Flag;
import nodeward.drain.DrainReport.End;
import nodeward.node.Attachments;
import nodeward.node.Evicted;
import nodeward.node.Evictions.Manner;
import nodeward.node.Evictions.Way;
import nodeward.node.FakeBudgets;
import nodeward.node.FakeNode;
import nodeward.node.Owner;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Tiers, the deadline's force, budgets that are watched, and volumes. */
@Timeout(30)
final class DrainPaceTest {
  private static final int CRITICAL = 2_000_000_000;
  private static final Evicted BUSY =
      new Evicted.Blocked(Evicted.By.SERVER, "busy", Duration.ofMinutes(5));
  private static final Evicted HELD = new Evicted.Blocked("budget", Duration.ofMinutes(5));

  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1");
  private final FakeBudgets budgets = new FakeBudgets();
  private final FakeAttachments attachments = new FakeAttachments();
  private final CollectorRegistry registry = new CollectorRegistry();
  private final List<Progress> progress = new ArrayList<>();
  private final Drainer drainer =
      new Drainer(
          new Drainer.Ports(node.asPods(), node, budgets, attachments),
          new Config.Drain(
              Duration.ofSeconds(5),
              Duration.ofSeconds(10),
              List.of("spot"),
              false,
              Duration.ofSeconds(60)),
          registry,
          time);
  private final Pod web = pod("web", 0, "");
  private final Pod db = pod("db", 0, "7");

  /** Volumes by claim; each call may be counted and fail. */
  private static final class FakeAttachments implements Attachments {
    private final List<String> attached = new ArrayList<>();
    private Set<String> asked = Set.of();
    private int calls;

    @Override
    public synchronized List<String> of(Set<String> claims) throws IOException {
      calls++;
      asked = claims;
      if (calls == 1) {
        throw new IOException("connection refused");
      }
      return List.copyOf(attached);
    }

    @Override
    public synchronized boolean isThere(String attachment) {
      calls++;
      return attached.contains(attachment);
    }

    synchronized void set(String... names) {
      attached.clear();
      attached.addAll(List.of(names));
    }

    synchronized Set<String> asked() {
      return asked;
    }
  }

  // --- tiers

  @Test
  void aTierStartsWhenTheOneBeforeIsGone() {
    Pod critical = pod("coredns", CRITICAL, "");
    Pod first = pod("client", 0, "-3");
    List.of(critical, db, web, first).forEach(node::put);
    Drain drain = drain(Instant.MAX);

    look(drain);
    assertThat(node.evictions).containsExactly("shop/client");
    node.remove(first);
    look(drain);
    assertThat(node.evictions).containsExactly("shop/client", "shop/web");
    node.remove(web);
    look(drain);
    node.remove(critical);
    look(drain);
    assertThat(node.evictions)
        .containsExactly("shop/client", "shop/web", "shop/coredns", "shop/db");
  }

  @Test
  void aTierStartsWhenTheShareOfTheOneBeforeIsUsed() {
    node.put(web);
    node.put(db);
    node.answer(web, new Evicted.Blocked(Evicted.By.SERVER, "busy", Duration.ZERO));
    Drain drain = drain(time.now().plusSeconds(110));
    look(drain);
    assertThat(node.evictions).containsOnly("shop/web");

    time.advance(Duration.ofSeconds(49));
    look(drain);
    assertThat(node.evictions).containsOnly("shop/web");
    assertThat(drain.untilNext()).isLessThanOrEqualTo(Duration.ofSeconds(1));
    time.advance(Duration.ofSeconds(1));
    look(drain);

    assertThat(node.evictions).contains("shop/db");
  }

  @Test
  void whatIsNoNumberIsNoOrder() {
    assertThat(Tier.of(pod("a", 0, "first!")).order()).isZero();
    assertThat(Tier.of(pod("a", 0, "99999999999999999999")).order()).isZero();
    assertThat(Tier.of(pod("a", 0, "-12")).order()).isEqualTo(-12);
  }

  @Test
  void podsOfDaemonSetsGoLastWithStorageAndNetworkAtTheEnd() {
    Pod cni = daemon("aws-node", "/opt/cni/bin");
    Pod csi = daemon("ebs-csi-node", "/var/lib/kubelet/plugins/ebs.csi.aws.com/");
    Pod logs = daemon("fluent-bit", "/var/log");
    List.of(cni, csi, logs, web).forEach(node::put);
    Drain drain =
        drainer.prepare(
            DrainOptions.ofDaemon("").with(Flag.EVICT_DAEMON_SETS), Instant.MAX, progress::add);

    look(drain);
    assertThat(node.evictions).containsExactly("shop/web");
    node.remove(web);
    look(drain);
    assertThat(node.evictions).containsExactly("shop/web", "kube-system/fluent-bit-x7x7x");
    node.remove(logs);
    look(drain);
    assertThat(node.evictions)
        .hasSize(4)
        .endsWith("kube-system/aws-node-x7x7x", "kube-system/ebs-csi-node-x7x7x");
  }

  @Test
  void whatADaemonSetPutsHereAgainIsLeftAlone() {
    Pod logs = daemon("fluent-bit", "/var/log");
    node.put(logs);
    Drain drain =
        drainer.prepare(
            DrainOptions.ofDaemon("").with(Flag.EVICT_DAEMON_SETS), Instant.MAX, progress::add);
    look(drain);

    node.remove(logs);
    node.put(FakeNode.owned(logs, "uid-2", logs.owners().getFirst()));

    assertThat(look(drain)).contains(End.DRAINED);
    assertThat(node.evictions).hasSize(1);
  }

  @Test
  void daemonPodsAreNotTakenFromUnderBlockedPodsWithoutADeadline() {
    node.put(web);
    node.put(daemon("fluent-bit", "/var/log"));
    node.answer(web, new Evicted.Blocked(Evicted.By.SERVER, "busy", Duration.ZERO));
    Drain drain =
        drainer.prepare(
            DrainOptions.ofDaemon("").with(Flag.EVICT_DAEMON_SETS), Instant.MAX, progress::add);
    look(drain);

    time.advance(Duration.ofHours(3));
    look(drain);

    assertThat(node.evictions).containsOnly("shop/web");
  }

  // --- force

  @Test
  void aBlockedPodIsDeletedWithTheGraceThatIsLeft() {
    node.put(web);
    node.answer(web, BUSY);
    Drain drain = forcing(time.now().plusSeconds(110));
    look(drain);
    assertThat(drain.untilNext()).isLessThanOrEqualTo(Duration.ofSeconds(10));

    time.advance(Duration.ofSeconds(69));
    look(drain);
    assertThat(node.manners).containsExactly(Manner.POLITE);
    time.advance(Duration.ofSeconds(1));
    look(drain);

    assertThat(node.manners.getLast())
        .isEqualTo(Manner.POLITE.by(Way.DELETION).within(Duration.ofSeconds(30)));
    assertThat(progress).contains(new Progress.Forcing(web, Duration.ofSeconds(30)));
    node.remove(web);
    assertThat(look(drain)).contains(End.DRAINED);
  }

  @Test
  void whatOutlivesTheNodeIsToldHowLongItHas() {
    Pod slow = pod("slow", 0, "", Duration.ofMinutes(10));
    node.put(slow);
    Drain drain = forcing(time.now().plusSeconds(110));

    look(drain);

    assertThat(node.manners).containsExactly(Manner.POLITE.within(Duration.ofSeconds(100)));
  }

  @Test
  void withoutForceNothingIsDeletedAndWhatIsLeftIsReported() {
    node.put(web);
    node.answer(web, new Evicted.Blocked(Evicted.By.SERVER, "budget web", Duration.ZERO));
    Drain drain = drain(time.now().plusSeconds(110));
    for (int i = 0; i < 110; i++) {
      assertThat(look(drain)).isEmpty();
      time.advance(Duration.ofSeconds(1));
    }

    assertThat(look(drain)).contains(End.DEADLINE);
    assertThat(node.manners).containsOnly(Manner.POLITE);
    assertThat(drain.left()).containsExactly(new Left(web, "blocked: budget web"));
  }

  @Test
  void aDrainThatRunsCanBeAllowedToForce() {
    node.put(web);
    node.answer(web, BUSY);
    Drain drain = drain(time.now().plus(Duration.ofHours(1)));
    look(drain);

    drain.tighten(time.now().plusSeconds(20));
    drain.force();
    time.advance(Duration.ofSeconds(5));
    look(drain);

    assertThat(node.manners.getLast().way()).isEqualTo(Way.DELETION);
    assertThat(node.manners.getLast().grace()).contains(Duration.ofSeconds(5));
  }

  @Test
  void aDeletionThatFailsIsTriedAgain() {
    node.put(web);
    node.answer(web, BUSY);
    Drain drain = forcing(time.now().plusSeconds(110));
    look(drain);
    node.failWith(Optional.of(new IOException("connection refused")));
    time.advance(Duration.ofSeconds(80));
    look(drain);
    // The answer of a request that fails is heard by the next look.
    look(drain);

    node.failWith(Optional.empty());
    time.advance(Duration.ofSeconds(5));
    look(drain);

    assertThat(node.manners.getLast())
        .isEqualTo(Manner.POLITE.by(Way.DELETION).within(Duration.ofSeconds(15)));
  }

  @Test
  void forcedPodsAreCounted() throws Exception {
    node.put(web);
    node.answer(web, BUSY);
    Drain drain = forcing(time.now().plusSeconds(110));
    CompletableFuture<DrainReport> report = run(drain);
    eventually(() -> drain.left().toString().contains("blocked"));
    time.advance(Duration.ofSeconds(80));
    drain.wake();
    eventually(() -> drain.left().toString().contains("deleted"));

    node.remove(web);

    assertThat(report.get().drained()).isTrue();
    assertThat(value("nodeward_drain_pods_total", "outcome", "forced")).isEqualTo(1);
    assertThat(value("nodeward_drain_pods_total", "outcome", "evicted")).isZero();
    assertThat(value("nodeward_drain_retries_total", "why", "blocked")).isPositive();
  }

  // --- budgets

  @Test
  void aBlockedPodGoesWhenItsBudgetLetsItAndNotBefore() {
    node.put(web);
    node.answer(web, HELD);
    budgets.put("shop", "web", "web", 0);
    Drain drain = drain(Instant.MAX);
    look(drain);
    assertThat(budgets.watched()).containsExactly("shop");

    look(drain);
    assertThat(node.evictions).hasSize(1);
    node.answer(web, new Evicted.Accepted());
    budgets.put("shop", "web", "web", 1);
    look(drain);

    assertThat(node.evictions).hasSize(2);
    look(drain);
    assertThat(budgets.watched()).isEmpty();
  }

  @Test
  void noMorePodsAreTriedThanTheBudgetAllows() {
    List<Pod> pods = List.of(pod("web", 0, ""), named(web, "web-2"), named(web, "web-3"));
    for (Pod pod : pods) {
      node.put(pod);
      node.answer(pod, HELD);
    }
    budgets.put("shop", "web", "web", 0);
    Drain drain = drain(Instant.MAX);
    look(drain);
    assertThat(node.evictions).hasSize(3);

    budgets.put("shop", "web", "web", 2);
    look(drain);

    assertThat(node.evictions).hasSize(5);
  }

  @Test
  void theSameStateOfABudgetIsTriedOnce() {
    node.put(web);
    node.answer(web, HELD);
    budgets.put("shop", "web", "web", 1);
    Drain drain = drain(Instant.MAX);
    look(drain);

    look(drain);
    look(drain);

    // The second because the budget seems to let it go; no third until that changes.
    assertThat(node.evictions).hasSize(2);
  }

  @Test
  void twoBudgetsAreNamedAndThePodGoesWhenOneIsTakenAway() {
    node.put(web);
    node.answer(
        web, new Evicted.Blocked(Evicted.By.BUDGETS, "more than one", Duration.ofMinutes(5)));
    budgets.put("shop", "b", "web", 5);
    budgets.put("shop", "a", "web", 5);
    Drain drain = drain(Instant.MAX);
    look(drain);
    look(drain);
    assertThat(drain.left().getFirst().why())
        .isEqualTo(
            "blocked: 2 disruption budgets select it, with which the API server evicts it never:"
                + " a, b");

    budgets.remove("shop", "a");
    look(drain);

    assertThat(node.evictions).hasSize(2);
  }

  @Test
  void aBusyApiServerIsNoReasonToWatchBudgets() {
    node.put(web);
    node.answer(web, new Evicted.Blocked(Evicted.By.SERVER, "busy", Duration.ZERO));

    look(drain(Instant.MAX));

    assertThat(budgets.watches).isEmpty();
  }

  // --- volumes

  @Test
  void theDrainEndsWhenTheVolumesOfItsPodsAreDetached() throws Exception {
    Pod stateful = withClaims(web, "data");
    Pod stays = withClaims(daemon("cache", "/var/cache"), "shared");
    node.put(stateful);
    node.put(stays);
    attachments.set("csi-1");
    Drain drain = drain(Instant.MAX);
    CompletableFuture<DrainReport> report = run(drain);
    eventually(() -> drain.left().toString().contains("evicted"));

    node.remove(stateful);
    eventually(() -> attachments.asked().equals(Set.of("shop/data")));
    eventually(
        () -> {
          time.advance(Duration.ofSeconds(1));
          drain.wake();
          return List.copyOf(progress).contains(new Progress.Volumes(List.of("csi-1")));
        });
    assertThat(report.isDone()).isFalse();
    attachments.set();
    eventually(
        () -> {
          time.advance(Duration.ofSeconds(1));
          drain.wake();
          return report.isDone();
        });

    assertThat(report.get().attached()).isEmpty();
    assertThat(report.get().drained()).isTrue();
  }

  @Test
  void theWaitForVolumesIsBoundedAndWhatIsAttachedIsReported() throws Exception {
    Pod stateful = withClaims(web, "data");
    node.put(stateful);
    attachments.set("csi-1");
    Drain drain = drain(Instant.MAX);
    CompletableFuture<DrainReport> report = run(drain);
    eventually(() -> drain.left().toString().contains("evicted"));
    node.remove(stateful);

    eventually(
        () -> {
          time.advance(Duration.ofSeconds(1));
          drain.wake();
          return report.isDone();
        });

    assertThat(report.get().attached()).containsExactly("csi-1");
    assertThat(report.get().drained()).isTrue();
  }

  private Drain drain(Instant deadline) {
    return drainer.prepare(DrainOptions.ofDaemon(""), deadline, progress::add);
  }

  private Drain forcing(Instant deadline) {
    return drainer.prepare(
        DrainOptions.ofDaemon("").with(Flag.FORCE_AT_DEADLINE), deadline, progress::add);
  }

  /** Steps with the requests made at once, until nothing is to be done now. */
  private Optional<End> look(Drain drain) {
    Optional<End> end;
    int before;
    do {
      before = node.evictions.size();
      end = drain.step(Runnable::run);
    } while (end.isEmpty() && node.evictions.size() > before);
    return end;
  }

  private static CompletableFuture<DrainReport> run(Drain drain) {
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

  private static void eventually(java.util.function.BooleanSupplier condition)
      throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(end);
      Thread.sleep(10);
    }
  }

  private double value(String metric, String label, String value) {
    return registry.getSampleValue(metric, new String[] {label}, new String[] {value});
  }

  private static Pod pod(String app, int priority, String order) {
    return pod(app, priority, order, Duration.ofSeconds(30));
  }

  private static Pod pod(String app, int priority, String order, Duration grace) {
    Pod p = FakeNode.ready(FakeNode.pod("shop", app, ""), Instant.EPOCH);
    return new Pod(
        p.namespace(),
        app,
        p.uid(),
        p.nodeName(),
        p.phase(),
        p.addresses(),
        false,
        p.readySince(),
        p.deletion(),
        grace,
        priority,
        false,
        p.serviceAccount(),
        p.owners(),
        Map.of("app", app),
        order.isEmpty() ? Map.of() : Map.of(Tier.ORDER, order));
  }

  private static Pod named(Pod p, String name) {
    return with(p, name, "uid-" + name, p.owners(), p.volumes());
  }

  private static Pod withClaims(Pod p, String... claims) {
    var volumes = new Pod.Volumes(List.of(claims), p.volumes().hostPaths());
    return with(p, p.name(), p.uid(), p.owners(), volumes);
  }

  private static Pod daemon(String name, String hostPath) {
    Pod p = FakeNode.daemonPod("kube-system", name);
    var volumes = new Pod.Volumes(List.of(), List.of(hostPath));
    return with(p, p.name(), p.uid(), p.owners(), volumes);
  }

  private static Pod with(Pod p, String name, String uid, List<Owner> owners, Pod.Volumes volumes) {
    return new Pod(
        p.namespace(),
        name,
        uid,
        p.nodeName(),
        p.phase(),
        p.addresses(),
        p.hostNetwork(),
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        owners,
        p.labels(),
        p.annotations(),
        volumes);
  }
}
