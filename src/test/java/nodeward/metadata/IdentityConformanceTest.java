package nodeward.metadata;

import static nodeward.node.FakeNode.annotated;
import static nodeward.node.FakeNode.inPhase;
import static nodeward.node.FakeNode.terminating;
import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import nodeward.metadata.PodClient.Response;
import nodeward.metadata.PodDirectory.Asker;
import nodeward.metadata.TestProxy.Settings;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Who asks: I1 to I15 of the conformance list, with and without a container runtime to ask. */
class IdentityConformanceTest {
  private static final Instant NOW = Instant.parse("2026-11-21T08:00:00Z");
  private static final String A = "10.0.0.5";
  private static final Duration LONG = Duration.ofSeconds(20);
  private static final String LISTING = TestProxy.LISTING;

  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1").register();
  private final FakeSandboxes runtime = new FakeSandboxes();
  private final CollectorRegistry registry = new CollectorRegistry();
  private final PodDirectory directory =
      new PodDirectory(node.asPods(), runtime, time, registry, () -> {});

  @BeforeEach
  void start() {
    directory.start();
  }

  @AfterEach
  void close() {
    directory.close();
  }

  // --- I1: the annotated pod gets its role

  @Test
  void i1APodIsFoundByItsAddress() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);

    assertThat(find(A)).isEqualTo(new Asker.Known(pod));
    assertThat(find("10.0.0.6")).isEqualTo(new Asker.Unknown());
  }

  @Test
  void i1APodIsFoundByTheRuntimeAloneWithTheAnnotationsOfItsStart() throws Exception {
    Pod pod = annotated(FakeNode.pod("shop", "web", ""), RolePolicy.ROLE, "reader");
    runtime.start().run(pod, A);

    Pod found = ((Asker.Known) find(A)).pod();

    assertThat(found.uid()).isEqualTo(pod.uid());
    assertThat(found.fullName()).isEqualTo("shop/web");
    assertThat(found.annotation(RolePolicy.ROLE)).contains("reader");
  }

  @Test
  void i1AStaticPodIsFoundThoughTheRuntimeKnowsItByItsFile() throws Exception {
    Pod mirror =
        annotated(FakeNode.pod("kube-system", "etcd", ""), "kubernetes.io/config.mirror", "hash-1");
    node.put(mirror);
    runtime.start().run(mirror, "hash-1", FakeSandboxes.Kind.OF_ITS_OWN, A);

    assertThat(find(A)).isEqualTo(new Asker.Known(mirror));
  }

  @Test
  void i1APodThatCallsItselfAnothersMirrorTakesNothingFromIt() throws Exception {
    Pod victim = FakeNode.pod("shop", "web", A);
    node.put(victim);
    node.put(
        annotated(FakeNode.pod("evil", "web", ""), "kubernetes.io/config.mirror", victim.uid()));
    runtime.start().run(victim, A);

    assertThat(find(A)).isEqualTo(new Asker.Known(victim));
  }

  // --- I2, I3, I4: over HTTP

  @Test
  void i2APodWithoutTheAnnotationGetsNotFound() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      scene.node.put(FakeNode.pod("shop", "plain", "127.0.0.12"));

      Response response = scene.ask("127.0.0.12", "GET", LISTING);

      assertThat(response.status()).isEqualTo(404);
    }
  }

  @Test
  void i3TheDefaultRoleIsOnlyForKnownPods() throws Exception {
    try (var scene =
        TestProxy.started(new Settings().defaultRole("fallback").hold(Duration.ofMillis(50)))) {
      scene.node.put(FakeNode.pod("shop", "plain", "127.0.0.12"));

      assertThat(scene.roleOf("127.0.0.12")).isEqualTo("200 fallback");
      assertThat(scene.roleOf("127.0.0.99")).startsWith("503 ");
    }
  }

  @Test
  void i4AnotherRoleIsNotFound() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      scene.pod("web", "127.0.0.11", "reader");

      assertThat(scene.ask("127.0.0.11", "GET", LISTING + "/writer").status()).isEqualTo(404);
      assertThat(scene.sts.calls()).noneMatch(s -> s.roleArn().endsWith("writer"));
    }
  }

  // --- I5, I6, I7: addresses change hands

  @Test
  void i5AFinishedPodLeavesItsAddressToTheNextOne() throws Exception {
    Pod done = FakeNode.pod("shop", "job", A);
    node.put(inPhase(done, Pod.Phase.SUCCEEDED));
    assertThat(find(A)).isEqualTo(new Asker.Unknown());

    Pod next = FakeNode.pod("shop", "web", A);
    node.put(next);

    assertThat(find(A)).isEqualTo(new Asker.Known(next));
  }

  @Test
  void i5AReusedAddressBelongsToTheNewPodOverHttp() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      Pod job = scene.pod("job", "127.0.0.15", "job");
      assertThat(scene.roleOf("127.0.0.15")).isEqualTo("200 job");
      scene.node.put(inPhase(job, Pod.Phase.SUCCEEDED));
      scene.pod("next", "127.0.0.15", "next");

      assertThat(scene.roleOf("127.0.0.15")).isEqualTo("200 next");
    }
  }

  @Test
  void i6WhileTheWatchStillGivesTheAddressToTheOldPodTheNewOneIsFound() throws Exception {
    Pod old = FakeNode.pod("shop", "old", A);
    Pod young = FakeNode.pod("shop", "young", "");
    node.put(old);
    node.put(young);
    Sandbox first = runtime.start().run(old, A);
    assertThat(find(A)).isEqualTo(new Asker.Known(old));

    runtime.end(first);
    runtime.run(young, A);
    time.advance(PodDirectory.FRESH.plusMillis(1));

    assertThat(find(A)).isEqualTo(new Asker.Known(young));
    assertThat(conflicts()).isEqualTo(1);
  }

  @Test
  void i6APodThatTheWatchHasNeverSeenTakesTheAddressOver() throws Exception {
    Pod old = annotated(FakeNode.pod("shop", "old", A), RolePolicy.ROLE, "old");
    Pod young = annotated(FakeNode.pod("evil", "young", ""), RolePolicy.ROLE, "young");
    node.put(old);
    runtime.start().run(young, A);

    Pod found = ((Asker.Known) find(A)).pod();

    assertThat(found.uid()).isEqualTo(young.uid());
    assertThat(found.annotation(RolePolicy.ROLE)).contains("young");
  }

  @Test
  void i6AnAddressWithoutASandboxIsNobodysWhateverTheWatchSays() throws Exception {
    Pod old = FakeNode.pod("shop", "old", A);
    Pod other = FakeNode.pod("shop", "other", "10.0.0.6");
    node.put(old);
    node.put(other);
    runtime.start().run(other, "10.0.0.6");
    Sandbox first = runtime.run(old, A);
    assertThat(find(A)).isEqualTo(new Asker.Known(old));

    runtime.end(first);
    time.advance(PodDirectory.FRESH.plusMillis(1));

    assertThat(find(A)).isEqualTo(new Asker.Unknown());
  }

  @Test
  void i6ARuntimeThatIsNotTheKubeletsDoesNotTakePodsAway() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);
    runtime.start();

    assertThat(find(A)).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i7OfTwoPodsTheTerminatingOneLoses() throws Exception {
    Pod old = terminating(FakeNode.pod("shop", "old", A), NOW);
    Pod young = FakeNode.pod("shop", "young", A);
    node.put(young);
    node.put(old);

    assertThat(find(A)).isEqualTo(new Asker.Known(young));
  }

  @Test
  void i7TwoLivePodsGetNothingUnlessTheRuntimeKnowsBetter() throws Exception {
    Pod one = FakeNode.pod("shop", "one", A);
    node.put(one);
    Pod two = FakeNode.pod("shop", "two", A);
    node.put(two);
    assertThat(find(A)).isEqualTo(new Asker.Contested("shop/one shop/two"));

    time.advance(Duration.ofMinutes(1));
    runtime.start().run(two, A);
    assertThat(find(A)).isEqualTo(new Asker.Known(two));

    node.remove(two);
    runtime.fail("gone");
    time.advance(Duration.ofMinutes(1));
    assertThat(find(A)).isEqualTo(new Asker.Known(one));
  }

  @Test
  void i7OfTwoSandboxesTheYoungerOneWins() throws Exception {
    Pod one = FakeNode.pod("shop", "one", A);
    Pod two = FakeNode.pod("shop", "two", A);
    node.put(one);
    node.put(two);
    runtime.start().run(two, A);
    runtime.run(one, A);

    assertThat(find(A)).isEqualTo(new Asker.Known(one));
  }

  // --- I8, I9

  @Test
  void i8PodsOfTheHostNetworkAreNeverMatchedByAddress() throws Exception {
    Pod host = onHostNetwork(FakeNode.pod("kube-system", "kube-proxy", "10.0.0.1"));
    node.put(host);
    assertThat(find("10.0.0.1")).isEqualTo(new Asker.Host());

    Pod liar = FakeNode.pod("shop", "liar", "10.0.0.1");
    node.put(liar);
    assertThat(find("10.0.0.1")).isEqualTo(new Asker.Host());
    assertThat(directory.pods()).extracting(Pod::name).containsExactly("liar");

    runtime.start().run(host, host.uid(), FakeSandboxes.Kind.OF_THE_HOST, "10.0.0.1");
    runtime.run(liar, "10.0.0.1");
    time.advance(Duration.ofMinutes(1));
    assertThat(find("10.0.0.1")).isEqualTo(new Asker.Host());
  }

  @Test
  void i8ASandboxOfTheHostNetworkIsNobodysAddress() throws Exception {
    Pod host = FakeNode.pod("kube-system", "kube-proxy", "");
    runtime.start().run(host, host.uid(), FakeSandboxes.Kind.OF_THE_HOST, A);

    assertThat(find(A)).isEqualTo(new Asker.Unknown());
    assertThat(directory.pods()).isEmpty();
  }

  @Test
  void i8i14TheHostItselfIsRefusedAtOnce() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      scene.pod("web", "127.0.0.11", "reader");

      Response response = scene.ask("127.0.0.1", "GET", LISTING);

      assertThat(response.status()).isEqualTo(403);
      assertThat(
              scene
                  .ask(
                      "127.0.0.1",
                      "PUT",
                      "/latest/api/token",
                      "X-aws-ec2-metadata-token-ttl-seconds: 60")
                  .status())
          .isEqualTo(403);
    }
  }

  @Test
  void i9APodIsFoundByBothOfItsAddresses() throws Exception {
    Pod pod = withAddresses(FakeNode.pod("shop", "web", A), A, "fd00::5");
    node.put(pod);

    assertThat(find(A)).isEqualTo(find("fd00::5")).isEqualTo(new Asker.Known(pod));
    assertThat(find("::ffff:" + A)).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i9APodIsFoundByBothOfItsSandboxsAddresses() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", "");
    node.put(pod);
    runtime.start().run(pod, A, "fd00::5");

    assertThat(find(A)).isEqualTo(find("fd00::5")).isEqualTo(new Asker.Known(pod));
  }

  // --- I10: not known yet

  @Test
  void i10AWaitEndsWhenTheWatchKnowsThePod() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    Future<Asker> asker = awaiting(A);

    node.put(FakeNode.pod("shop", "other", "10.0.0.6"));
    node.put(pod);

    assertThat(asker.get(10, TimeUnit.SECONDS)).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i10AWaitEndsWhenTheRuntimeKnowsThePod() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", "");
    node.put(pod);
    runtime.start();
    Future<Asker> asker = awaiting(A);
    TestProxy.await(() -> runtime.calls() > 1);

    runtime.run(pod, A);

    assertThat(asker.get(10, TimeUnit.SECONDS)).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i10ManyWhoWaitShareTheQuestions() throws Exception {
    runtime.start();
    CountDownLatch gate = runtime.hang();
    var pods = new ArrayList<Pod>();
    var askers = new ArrayList<Future<Asker>>();
    for (int i = 1; i <= 20; i++) {
      Pod pod = FakeNode.pod("shop", "burst-" + i, "");
      pods.add(pod);
      node.put(pod);
      askers.add(awaiting("10.0.1." + i));
    }
    for (int i = 1; i <= 20; i++) {
      runtime.run(pods.get(i - 1), "10.0.1." + i);
    }
    gate.countDown();

    for (int i = 0; i < 20; i++) {
      assertThat(askers.get(i).get(10, TimeUnit.SECONDS)).isEqualTo(new Asker.Known(pods.get(i)));
    }
    assertThat(runtime.calls()).isLessThanOrEqualTo(3);
  }

  @Test
  void i10AWaitEndsAtItsLimit() throws Exception {
    assertThat(directory.await(InetAddress.ofLiteral(A), Duration.ofMillis(20)))
        .isEqualTo(new Asker.Unknown());
  }

  @Test
  void i10ARuntimeThatHangsDoesNotLengthenTheWait() throws Exception {
    runtime.start();
    CountDownLatch gate = runtime.hang();
    long began = System.nanoTime();

    assertThat(directory.await(InetAddress.ofLiteral(A), Duration.ofMillis(100)))
        .isEqualTo(new Asker.Unknown());

    assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(5));
    gate.countDown();
  }

  @Test
  void i10ARequestOfAnUnknownAddressIsHeldAndRefusedOverHttp() throws Exception {
    try (var scene =
        TestProxy.started(new Settings().defaultRole("fallback").hold(Duration.ofMillis(50)))) {
      Response response = scene.ask("127.0.0.99", "GET", LISTING);

      assertThat(response.status()).isEqualTo(503);
      assertThat(response.headers()).containsEntry("retry-after", "1");
      assertThat(scene.registry.getSampleValue("nodeward_metadata_hold_seconds_sum"))
          .isBetween(0.05, 5.0);
    }
  }

  @Test
  void i10ARequestIsHeldUntilThePodIsKnownOverHttp() throws Exception {
    try (var scene = TestProxy.started(new Settings());
        var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      scene.runtime.start();
      Future<String> answer = threads.submit(() -> scene.roleOf("127.0.0.16"));
      TestProxy.await(() -> scene.runtime.calls() > 1);

      scene.runtime.run(
          TestProxy.withRole(FakeNode.pod("shop", "late", ""), "writer"), "127.0.0.16");

      assertThat(answer.get(10, TimeUnit.SECONDS)).isEqualTo("200 writer");
    }
  }

  // --- I11

  @Test
  void i11CredentialsAreFetchedBeforeThePodHasAnAddress() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      scene.pod("bound", "", "writer");

      TestProxy.await(() -> !scene.sts.calls().isEmpty());
      assertThat(scene.sts.calls().getFirst().sessionName()).isEqualTo("shop.bound");
      assertThat(scene.sts.calls().getFirst().roleArn()).isEqualTo(TestProxy.BASE + "writer");
    }
  }

  // --- I12: the watch's mishaps

  @Test
  void i12TheLastStateCountsWhileTheApiServerIsAway() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);

    node.watching(FakeNode.Watch.LOST);

    assertThat(find(A)).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i12APodWhoseEndTheWatchHasMissedIsNotServedNorFetchedFor() throws Exception {
    Pod missed = FakeNode.pod("shop", "missed", A);
    Pod here = FakeNode.pod("shop", "here", "10.0.0.6");
    node.put(missed);
    node.put(here);
    runtime.start().run(here, "10.0.0.6");
    find("10.0.0.6");
    node.watching(FakeNode.Watch.LOST);

    assertThat(find(A)).isEqualTo(new Asker.Unknown());
    assertThat(directory.pods()).containsExactly(here);
  }

  @Test
  void i12ARelistThatLacksThePodTakesItAway() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);
    Sandbox sandbox = runtime.start().run(pod, A);
    assertThat(find(A)).isEqualTo(new Asker.Known(pod));

    runtime.end(sandbox);
    node.remove(pod);
    time.advance(Duration.ofMinutes(1));

    assertThat(find(A)).isEqualTo(new Asker.Unknown());
    assertThat(directory.pods()).isEmpty();
  }

  // --- I13: edits

  @Test
  void i13AnEditOfTheAnnotationTakesEffectOverHttp() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      Pod web = scene.pod("web", "127.0.0.11", "reader");
      scene.runtime.start().run(web, "127.0.0.11");
      assertThat(scene.roleOf("127.0.0.11")).isEqualTo("200 reader");

      scene.node.put(TestProxy.withRole(web, "writer"));

      assertThat(scene.roleOf("127.0.0.11")).isEqualTo("200 writer");
      assertThat(scene.ask("127.0.0.11", "GET", LISTING + "/writer").status()).isEqualTo(200);
      assertThat(scene.ask("127.0.0.11", "GET", LISTING + "/reader").status()).isEqualTo(404);
    }
  }

  // --- I14: from outside

  @Test
  void i14AnAddressThatTheRuntimeHasNotGotIsAStrangers() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);
    runtime.start().run(pod, A);
    find(A);

    assertThat(directory.await(InetAddress.ofLiteral("10.9.9.9"), LONG))
        .isEqualTo(new Asker.Stranger());
  }

  @Test
  void i14AStrangerIsForbiddenOverHttp() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      Pod web = scene.pod("web", "127.0.0.11", "reader");
      scene.runtime.start().run(web, "127.0.0.11");
      assertThat(scene.roleOf("127.0.0.11")).isEqualTo("200 reader");

      assertThat(scene.roleOf("127.0.0.99")).startsWith("403 ");
    }
  }

  // --- I15

  @Test
  void i15ATerminatingPodIsServedUntilItIsGone() throws Exception {
    Pod pod = terminating(FakeNode.pod("shop", "web", A), NOW);
    node.put(pod);
    assertThat(find(A)).isEqualTo(new Asker.Known(pod));

    node.remove(pod);

    assertThat(find(A)).isEqualTo(new Asker.Unknown());
  }

  @Test
  void i15APodThatWasDeletedWithForceIsServedWhileItStillRuns() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);
    Sandbox sandbox = runtime.start().run(pod, A);
    assertThat(find(A)).isEqualTo(new Asker.Known(pod));
    node.remove(pod);

    assertThat(((Asker.Known) find(A)).pod().uid()).isEqualTo(pod.uid());

    runtime.end(sandbox);
    time.advance(PodDirectory.FRESH.plusMillis(1));
    assertThat(find(A)).isEqualTo(new Asker.Unknown());
  }

  // --- what it costs, and what a bad runtime does

  @Test
  void aKnownAddressDoesNotAskTheRuntimeAtEachRequest() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);
    runtime.start().run(pod, A);

    for (int i = 0; i < 1000; i++) {
      find(A);
    }

    assertThat(runtime.calls()).isEqualTo(1);
  }

  @Test
  void whatIsKnownIsToldWithoutWaitingAndRenewedBesideIt() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    node.put(pod);
    assertThat(directory.known(InetAddress.ofLiteral(A))).isEmpty();
    runtime.start().run(pod, A);
    find(A);
    CountDownLatch gate = runtime.hang();

    time.advance(PodDirectory.FRESH.dividedBy(2).plusMillis(1));
    assertThat(directory.known(InetAddress.ofLiteral(A))).contains(pod);
    TestProxy.await(() -> runtime.calls() == 2);
    time.advance(PodDirectory.FRESH);
    assertThat(directory.known(InetAddress.ofLiteral(A))).isEmpty();
    gate.countDown();

    runtime.fail("connection refused");
    find(A);
    assertThat(directory.known(InetAddress.ofLiteral(A))).contains(pod);
  }

  @Test
  void aRuntimeThatIsNotThereIsNotAskedAgainAndAgain() throws Exception {
    for (int i = 0; i < 100; i++) {
      find(A);
    }

    assertThat(runtime.calls()).isEqualTo(1);
    assertThat(directory.runtime()).contains("containerd.sock");
  }

  @Test
  void whileTheRuntimeHangsTheWatchsWordCounts() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", A);
    Pod other = FakeNode.pod("shop", "other", "10.0.0.6");
    node.put(other);
    runtime.start().run(other, "10.0.0.6");
    find("10.0.0.6");
    CountDownLatch gate = runtime.hang();
    node.put(pod);
    time.advance(Duration.ofMinutes(1));

    assertThat(find(A)).isEqualTo(new Asker.Known(pod));

    gate.countDown();
  }

  @Test
  void withoutApiServerAndThenWithoutRuntimeTheLastWordCounts() throws Exception {
    node.watching(FakeNode.Watch.LOST);
    Pod pod = FakeNode.pod("shop", "web", "");
    runtime.start().run(pod, A);
    assertThat(find(A)).isInstanceOf(Asker.Known.class);

    runtime.fail("connection refused");
    time.advance(Duration.ofMinutes(1));

    assertThat(((Asker.Known) find(A)).pod().uid()).isEqualTo(pod.uid());
    node.watching(FakeNode.Watch.CONNECTED);
    assertThat(find(A)).isEqualTo(new Asker.Unknown());
  }

  @Test
  void o8WithoutApiServerTheRuntimesPodsAreKnownAndFetchedFor() throws Exception {
    try (var scene = new TestProxy()) {
      scene.node.watching(FakeNode.Watch.LOST);
      scene
          .runtime
          .start()
          .run(TestProxy.withRole(FakeNode.pod("shop", "web", ""), "reader"), "127.0.0.11");
      scene.start(new Settings());

      TestProxy.await(() -> !scene.sts.calls().isEmpty());

      assertThat(scene.roleOf("127.0.0.11")).isEqualTo("200 reader");
      assertThat(scene.ask("127.0.0.11", "GET", LISTING + "/reader").body()).contains("ASIA1");
      assertThat(scene.sts.calls()).hasSize(1);
    }
  }

  private Future<Asker> awaiting(String address) {
    var asker = new CompletableFuture<Asker>();
    Thread.ofVirtual()
        .start(
            () -> {
              try {
                asker.complete(directory.await(InetAddress.ofLiteral(address), LONG));
              } catch (InterruptedException e) {
                asker.completeExceptionally(e);
              }
            });
    return asker;
  }

  private double conflicts() {
    return registry.getSampleValue("nodeward_metadata_identity_conflicts_total");
  }

  private Asker find(String address) throws InterruptedException {
    return directory.find(InetAddress.ofLiteral(address));
  }

  static Pod onHostNetwork(Pod p) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        p.phase(),
        p.addresses(),
        true,
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        p.owners(),
        p.labels(),
        p.annotations());
  }

  static Pod withAddresses(Pod p, String... addresses) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        p.phase(),
        List.of(addresses).stream().map(InetAddress::ofLiteral).toList(),
        p.hostNetwork(),
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        p.owners(),
        p.labels(),
        p.annotations());
  }
}
