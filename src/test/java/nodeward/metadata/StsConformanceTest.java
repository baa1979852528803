package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import nodeward.aws.AwsClients;
import nodeward.aws.FakeImds;
import nodeward.aws.FakeSts;
import nodeward.aws.Imds;
import nodeward.aws.StsRoleCredentials;
import nodeward.component.FakeTime;
import nodeward.component.Health;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.Config.Metadata.SessionTag;
import nodeward.metadata.TestProxy.Settings;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The sessions: S1 to S13 of the conformance list, in the cache, at STS and over HTTP; S10, the
 * endpoints, is StsEndpointTest's.
 */
class StsConformanceTest {
  private static final Duration LIMIT = Duration.ofSeconds(10);
  private final FakeTime time = new FakeTime();
  private final FakeRoleCredentials sts = new FakeRoleCredentials(time);
  private final CollectorRegistry registry = new CollectorRegistry();
  private final CredentialCache cache =
      new CredentialCache(sts, Duration.ofMinutes(30), time, registry, () -> {});
  private final RoleSession session = session("reader");

  @Test
  void s1ManyWhoWaitCauseOneCall() throws Exception {
    CountDownLatch gate = sts.hang();
    var answers = new ArrayList<Future<CredentialCache.Answer>>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int i = 0; i < 50; i++) {
        answers.add(threads.submit(() -> cache.get(session, LIMIT)));
      }
      await(() -> !sts.calls().isEmpty());
      gate.countDown();
    }

    for (Future<CredentialCache.Answer> answer : answers) {
      assertThat(key(answer.get())).isEqualTo("ASIA1");
    }
    assertThat(sts.calls()).hasSize(1);
  }

  @Test
  void s1TheFirstOneToLeaveDoesNotEndTheCall() throws Exception {
    CountDownLatch gate = sts.hang();
    assertThat(cache.get(session, Duration.ofMillis(10)))
        .isInstanceOf(CredentialCache.Answer.Unavailable.class);
    var second = new CompletableFuture<CredentialCache.Answer>();
    Thread impatient =
        Thread.ofVirtual()
            .start(
                () -> {
                  try {
                    second.complete(cache.get(session, LIMIT));
                  } catch (InterruptedException e) {
                    second.completeExceptionally(e);
                  }
                });
    impatient.interrupt();
    impatient.join();

    gate.countDown();

    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA1");
    assertThat(second).isCompletedExceptionally();
    assertThat(sts.calls()).hasSize(1);
  }

  @Test
  void s2SessionsThatDifferShareNothing() throws Exception {
    var other = new RoleSession(session.roleArn(), "ext", "shop.web", Duration.ofHours(1));
    var named = new RoleSession(session.roleArn(), "", "else", Duration.ofHours(1));
    var shorter = new RoleSession(session.roleArn(), "", "shop.web", Duration.ofMinutes(15));

    var tagged = session.tagged(Map.of("kubernetes-namespace", "shop"));

    for (RoleSession s : Set.of(session, other, named, shorter, tagged)) {
      cache.get(s, LIMIT);
    }

    assertThat(sts.calls()).containsExactlyInAnyOrder(session, other, named, shorter, tagged);
  }

  @Test
  void s3CredentialsAreRenewedBesideBeingServed() throws Exception {
    cache.get(session, LIMIT);
    time.advance(Duration.ofMinutes(20));
    cache.renew(Set.of(session));
    assertThat(sts.calls()).hasSize(1);

    time.advance(Duration.ofMinutes(10));
    CountDownLatch gate = sts.hang();
    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA1");
    gate.countDown();

    await(() -> key(cache.get(session, LIMIT)).equals("ASIA2"));
    assertThat(sts.calls()).hasSize(2);
  }

  @Test
  void s3TheLoopRenewsWhatNobodyAsksForAtTheMoment() throws Exception {
    Duration first = cache.renew(Set.of(session));
    await(() -> !sts.calls().isEmpty() && cache.renew(Set.of(session)).equals(first));

    time.advance(Duration.ofMinutes(30));
    cache.renew(Set.of(session));

    await(() -> sts.calls().size() == 2);
  }

  @Test
  void s3WithLittleLifeLeftARequestGetsTheNewOnes() throws Exception {
    cache.get(session, LIMIT);

    time.advance(Duration.ofMinutes(46));

    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA2");
  }

  @Test
  void s1AbandonedCallersAreServedByTheOneCallOverHttp() throws Exception {
    try (var scene = TestProxy.started(new Settings().limits(PodServer.Limits.of(128, 128)));
        var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      CountDownLatch gate = scene.sts.hang();
      scene.pod("cold", "127.0.0.18", "cold");
      var answers = new ArrayList<Future<PodClient.Response>>();
      try (var leaver = new PodClient("127.0.0.18", scene.proxy().address())) {
        leaver.write(
            "GET " + TestProxy.LISTING + "/cold HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
      }
      for (int i = 0; i < 50; i++) {
        answers.add(
            threads.submit(() -> scene.ask("127.0.0.18", "GET", TestProxy.LISTING + "/cold")));
      }
      await(() -> !scene.sts.calls().isEmpty());
      gate.countDown();

      for (Future<PodClient.Response> answer : answers) {
        assertThat(answer.get().status()).isEqualTo(200);
      }
      assertThat(scene.sts.calls()).hasSize(1);
    }
  }

  @Test
  void s2TheTagsOfAPodAreThoseThatAreConfigured() {
    Pod pod = FakeNode.pod("shop", "web", "");

    assertThat(SessionTags.of(List.of(SessionTag.values()), pod))
        .contains(
            Map.of(
                "kubernetes-namespace", "shop",
                "kubernetes-pod-name", "web",
                "kubernetes-pod-uid", "uid-shop-web",
                "kubernetes-service-account", "default"));
    assertThat(SessionTags.of(List.of(), pod)).contains(Map.of());
    assertThat(SessionTags.ofNode(List.of(SessionTag.values()), "prod", "node-1"))
        .isEqualTo(Map.of("eks-cluster-name", "prod", "kubernetes-node-name", "node-1"));
  }

  @Test
  void s2ASessionWaitsForATagThatIsNotKnownYet() throws Exception {
    try (var scene = new TestProxy()) {
      scene.runtime.start();
      scene.start(new Settings().tags(SessionTag.SERVICEACCOUNT));
      Pod web = TestProxy.withRole(FakeNode.pod("shop", "web", ""), "reader");
      scene.runtime.run(web, "127.0.0.11");
      assertThat(scene.roleOf("127.0.0.11")).startsWith("503 ");
      assertThat(scene.sts.calls()).isEmpty();

      scene.node.put(web);

      assertThat(scene.ask("127.0.0.11", "GET", TestProxy.LISTING + "/reader").status())
          .isEqualTo(200);
      assertThat(scene.sts.calls().getFirst().tags())
          .isEqualTo(Map.of("kubernetes-service-account", "default"));
    }
  }

  @Test
  void s3TheRenewalsOfOneMomentAreSpread() throws Exception {
    var waits = new HashSet<Duration>();
    for (int i = 0; i < 10; i++) {
      RoleSession one = session("role-" + i);
      cache.get(one, LIMIT);
      Duration wait = cache.renew(Set.of(one));
      time.advance(Duration.ofMinutes(25));
      assertThat(cache.renew(Set.of(one))).isLessThanOrEqualTo(Duration.ofMinutes(5));
      waits.add(cache.renew(Set.of(one)));
      assertThat(wait).isPositive();
    }
    assertThat(waits).hasSizeGreaterThan(1);
  }

  @Test
  void s3NoServedLifeIsBelowAQuarterOfAnHourWhileStsAnswers() throws Exception {
    for (int minute = 0; minute < 24 * 60; minute += 7) {
      var held = (CredentialCache.Answer.Held) cache.get(session, LIMIT);
      assertThat(Duration.between(time.now(), held.credentials().expiration()))
          .isGreaterThanOrEqualTo(Duration.ofMinutes(15));
      await(
          () ->
              sts.calls().size() == registry.getSampleValue("nodeward_metadata_sts_seconds_count"));
      time.advance(Duration.ofMinutes(7));
    }
    assertThat(sts.calls()).hasSizeBetween(24, 60);
  }

  @Test
  void s4OldCredentialsAreServedWhileStsIsDownUntilAMinuteBeforeTheirEnd() throws Exception {
    cache.get(session, LIMIT);
    sts.fail("connection refused");

    time.advance(Duration.ofMinutes(59).minusSeconds(1));
    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA1");
    assertThat(cache.trouble()).contains("connection refused");

    time.advance(Duration.ofSeconds(1));
    assertThat(cache.get(session, LIMIT))
        .isEqualTo(new CredentialCache.Answer.Unavailable("connection refused"));
  }

  @Test
  void s4WhileStsHangsOldCredentialsAreServedAtOnce() throws Exception {
    cache.get(session, LIMIT);
    CountDownLatch gate = sts.hang();
    time.advance(Duration.ofMinutes(50));

    long began = System.nanoTime();
    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA1");

    assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(5));
    gate.countDown();
  }

  @Test
  void s4StsThatRecoversIsAskedAgainAfterAPause() throws Exception {
    sts.fail("connection refused");
    cache.get(session, LIMIT);
    cache.get(session, LIMIT);
    assertThat(sts.calls()).hasSize(1);

    sts.recover();
    time.advance(Duration.ofSeconds(30));

    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA2");
    assertThat(cache.trouble()).isEmpty();
  }

  @Test
  void s5ADenialIsRememberedForHalfAMinute() throws Exception {
    sts.deny("not authorized to perform sts:AssumeRole");
    assertThat(cache.get(session, LIMIT)).isInstanceOf(CredentialCache.Answer.Denied.class);
    time.advance(Duration.ofSeconds(29));
    cache.get(session, LIMIT);
    cache.renew(Set.of(session));
    assertThat(sts.calls()).hasSize(1);

    sts.recover();
    time.advance(Duration.ofSeconds(1));
    cache.renew(Set.of(session));
    assertThat(sts.calls()).hasSize(1);

    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA2");
    assertThat(registry.getSampleValue(errors(), kind(), new String[] {"denied"})).isEqualTo(1);
  }

  @Test
  void s4WithoutStsTheAnswerIsToTryLaterOverHttp() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      scene.sts.fail("connection refused");
      scene.pod("cold", "127.0.0.18", "cold");

      PodClient.Response response = scene.ask("127.0.0.18", "GET", TestProxy.LISTING + "/cold");

      assertThat(response.status()).isEqualTo(503);
      assertThat(response.body()).isEqualTo("no credentials at present: try again\n");
      assertThat(scene.proxy().health()).isEqualTo(Health.degraded("connection refused"));
      assertThat(scene.roleOf("127.0.0.18")).isEqualTo("200 cold");
    }
  }

  @Test
  void s5ASecondDenialIsRememberedForAMinute() throws Exception {
    sts.deny("not authorized");
    cache.get(session, LIMIT);
    time.advance(Duration.ofSeconds(30));
    cache.get(session, LIMIT);
    time.advance(Duration.ofSeconds(59));
    cache.get(session, LIMIT);
    assertThat(sts.calls()).hasSize(2);

    time.advance(Duration.ofSeconds(1));
    cache.get(session, LIMIT);

    assertThat(sts.calls()).hasSize(3);
  }

  @Test
  void s5s13ADenialIsForbiddenAndKeepsStsWordsToItselfOverHttp() throws Exception {
    try (var scene = TestProxy.started(new Settings())) {
      scene.sts.deny("arn:aws:sts::123456789012:assumed-role/node/i-1 is not authorized");
      scene.pod("denied", "127.0.0.19", "secretive");

      PodClient.Response response =
          scene.ask("127.0.0.19", "GET", TestProxy.LISTING + "/secretive");

      assertThat(response.status()).isEqualTo(403);
      assertThat(response.headers()).containsEntry("content-type", "application/json");
      assertThat(response.body())
          .contains("AssumeRoleUnauthorizedAccess", "secretive")
          .doesNotContain("assumed-role");
    }
  }

  @Test
  void s6ThrottlingStopsThePrefetchAndPausesAll() throws Exception {
    sts.throttle("Rate exceeded");
    assertThat(cache.get(session, LIMIT))
        .isEqualTo(new CredentialCache.Answer.Unavailable("Rate exceeded"));

    cache.renew(Set.of(session("one"), session("two")));
    assertThat(sts.calls()).hasSize(1);
    assertThat(registry.getSampleValue(errors(), kind(), new String[] {"throttled"})).isEqualTo(1);

    sts.recover();
    time.advance(Duration.ofSeconds(31));
    cache.renew(Set.of(session("one"), session("two")));
    await(() -> sts.calls().size() == 3);
    assertThat(key(cache.get(session, LIMIT))).startsWith("ASIA");
  }

  @Test
  void s6ThrottlingThatLastsIsAskedLessAndLess() {
    var budget = new CallBudget(time);
    Duration longest = Duration.ZERO;
    for (int i = 0; i < 200; i++) {
      Duration pause = budget.throttled();
      assertThat(pause).isLessThanOrEqualTo(Duration.ofSeconds(30));
      longest = pause.compareTo(longest) > 0 ? pause : longest;
    }
    assertThat(longest).isGreaterThan(Duration.ofSeconds(10));
  }

  @Test
  void s6ThePrefetchLeavesHalfOfTheBudgetToThoseWhoAsk() {
    var budget = new CallBudget(time);
    int prefetched = 0;
    while (budget.take(CallBudget.Kind.PREFETCH).isPresent()) {
      prefetched++;
    }
    assertThat(prefetched).isEqualTo(CallBudget.BURST / 2);

    for (int i = 0; i < CallBudget.BURST / 2; i++) {
      assertThat(budget.take(CallBudget.Kind.REQUEST)).contains(Duration.ZERO);
    }
    assertThat(budget.take(CallBudget.Kind.REQUEST)).contains(Duration.ofMillis(100));
    assertThat(budget.take(CallBudget.Kind.REQUEST)).contains(Duration.ofMillis(200));

    time.advance(Duration.ofSeconds(1));
    assertThat(budget.take(CallBudget.Kind.PREFETCH)).isEmpty();
    assertThat(budget.take(CallBudget.Kind.REQUEST)).contains(Duration.ZERO);
  }

  @Test
  void s6NobodyIsPromisedATurnThatComesTooLate() {
    var budget = new CallBudget(time);
    int promised = 0;
    while (budget.take(CallBudget.Kind.REQUEST).isPresent()) {
      promised++;
    }
    assertThat(promised)
        .isEqualTo(CallBudget.BURST + (int) CallBudget.LONGEST_WAIT.toSeconds() * CallBudget.RATE);
  }

  @Test
  void s6AFullNodeIsFetchedWithinItsBudget() throws Exception {
    var wanted = new HashSet<RoleSession>();
    for (int i = 0; i < 250; i++) {
      wanted.add(session("role-" + i));
    }
    Duration[] wait = {Duration.ZERO};
    await(
        () -> {
          wait[0] = cache.renew(wanted);
          return sts.calls().size() == CallBudget.BURST / 2
              && wait[0].compareTo(Duration.ofMillis(100)) <= 0;
        });
    cache.renew(wanted);
    assertThat(sts.calls()).hasSize(CallBudget.BURST / 2);
    assertThat(wait[0]).isPositive();

    for (int second = 1; second <= 23; second++) {
      time.advance(Duration.ofSeconds(1));
      int expected = Math.min(250, CallBudget.BURST / 2 + second * CallBudget.RATE);
      await(
          () -> {
            cache.renew(wanted);
            return sts.calls().size() >= expected;
          });
    }
    assertThat(sts.calls()).hasSize(250).doesNotHaveDuplicates();
  }

  @Test
  void s7NothingIsRenewedForPodsThatAreGone() throws Exception {
    cache.get(session, LIMIT);
    await(() -> cache.renew(Set.of()).isPositive() && cache.size() == 0);

    time.advance(Duration.ofMinutes(40));
    cache.renew(Set.of());

    assertThat(sts.calls()).hasSize(1);
    assertThat(registry.getSampleValue("nodeward_metadata_sessions")).isEqualTo(0);
  }

  @Test
  void s8ADurationThatTheRoleDoesNotAllowFallsBackToAnHour() throws Exception {
    try (var aws = new RealSts()) {
      aws.sts.longestSession(session.roleArn(), Duration.ofHours(1));
      var long1 = new RoleSession(session.roleArn(), "", "shop.web", Duration.ofHours(4));

      Assumed assumed = aws.source.assume(long1);

      assertThat(assumed).isInstanceOf(Assumed.Issued.class);
      aws.source.assume(new RoleSession(session.roleArn(), "", "shop.two", Duration.ofHours(4)));
      assertThat(aws.sts.assumptions())
          .extracting(FakeSts.Assumption::duration)
          .containsExactly(Duration.ofHours(4), Duration.ofHours(1), Duration.ofHours(1));
    }
  }

  @Test
  void s8AnHourThatIsRefusedIsADenial() throws Exception {
    try (var aws = new RealSts()) {
      aws.sts.refuse(
          session.roleArn(), 400, "ValidationError", "The requested DurationSeconds exceeds it");

      assertThat(aws.source.assume(session)).isInstanceOf(Assumed.Denied.class);
      assertThat(aws.sts.assumptions()).hasSize(1);
    }
  }

  @Test
  void s9TheSessionNameIsThatOfThePodAndTagsGoWithIt() throws Exception {
    try (var aws = new RealSts()) {
      aws.source.assume(session.tagged(Map.of("kubernetes-namespace", "shop")));

      FakeSts.Assumption assumption = aws.sts.assumptions().getFirst();
      assertThat(assumption.sessionName()).isEqualTo("shop.web");
      assertThat(assumption.tags())
          .isEqualTo(Map.of("eks-cluster-name", "prod", "kubernetes-namespace", "shop"));
    }
  }

  @Test
  void s11NodeCredentialsThatAwsDoesNotKnowAnyMoreAreFetchedAnewAtOnce() throws Exception {
    try (var aws = new RealSts()) {
      aws.source.assume(session);
      aws.imds.nodeCredentials("ASIANODEROLE00000002", Instant.now().plusSeconds(3600));
      aws.sts.refuse(session.roleArn(), 403, "ExpiredToken", "is expired", 1);

      assertThat(aws.source.assume(session)).isInstanceOf(Assumed.Issued.class);

      assertThat(aws.sts.assumptions().getLast().accessKeyId()).isEqualTo("ASIANODEROLE00000002");
    }
  }

  @Test
  void s11NodeCredentialsThatStayExpiredAreAnErrorAndAskedForNextTime() throws Exception {
    try (var aws = new RealSts()) {
      aws.sts.refuse(session.roleArn(), 403, "ExpiredToken", "is expired");

      assertThatThrownBy(() -> aws.source.assume(session))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("ExpiredToken");

      assertThat(aws.sts.assumptions()).hasSize(2);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {-600, 600})
  void s12TheSkewOfTheNodesClockIsMeasuredAtEveryAnswer(long ahead) throws Exception {
    try (var aws = new RealSts(new Skewed(Duration.ofSeconds(-ahead)))) {
      assertThat(aws.source.clockSkew()).isEmpty();

      aws.source.assume(session);

      assertThat(aws.source.clockSkew().orElseThrow().toSeconds())
          .isBetween(ahead - 20, ahead + 20);
      aws.sts.deny(session.roleArn());
      assertThat(aws.source.assume(session)).isInstanceOf(Assumed.Denied.class);
      assertThat(aws.source.clockSkew()).isPresent();
    }
  }

  @Test
  void s12CredentialsEndByAwssClockNotByTheNodes() throws Exception {
    sts.skew(Duration.ofMinutes(10));
    cache.get(session, LIMIT);
    sts.fail("connection refused");

    time.advance(Duration.ofMinutes(59).minusSeconds(1));
    assertThat(key(cache.get(session, LIMIT))).isEqualTo("ASIA1");
    time.advance(Duration.ofSeconds(1));
    assertThat(cache.get(session, LIMIT)).isInstanceOf(CredentialCache.Answer.Unavailable.class);
  }

  @Test
  void s12AClockThatIsWrongIsTold() throws Exception {
    sts.skew(Duration.ofSeconds(-612));
    cache.get(session, LIMIT);

    assertThat(cache.trouble()).contains("this node's clock is 612 s ahead of AWS's");
    assertThat(registry.getSampleValue("nodeward_metadata_clock_skew_seconds")).isEqualTo(-612);

    sts.skew(Duration.ofSeconds(2));
    cache.get(session("other"), LIMIT);
    assertThat(cache.trouble()).isEmpty();
  }

  @Test
  void aFullNodeIsFetchedAFewCallsAtATime() throws Exception {
    var wanted = new HashSet<RoleSession>();
    for (int i = 0; i < 20; i++) {
      wanted.add(session("role-" + i));
    }
    CountDownLatch gate = sts.hang();

    cache.renew(wanted);
    await(() -> sts.calls().size() == 8);
    cache.renew(wanted);
    assertThat(sts.calls()).hasSize(8);
    assertThat(sts.calls()).doesNotHaveDuplicates();

    gate.countDown();
    await(
        () -> {
          cache.renew(wanted);
          return sts.calls().size() == 20;
        });
  }

  @Test
  void shortLivedCredentialsAreNotRenewedWithoutEnd() throws Exception {
    var shortLived = new RoleSession(session.roleArn(), "", "shop.web", Duration.ofMinutes(15));
    cache.get(shortLived, LIMIT);

    cache.get(shortLived, LIMIT);
    cache.renew(Set.of(shortLived));

    assertThat(sts.calls()).hasSize(1);
  }

  @Test
  void credentialsThatEndAtOnceAreNotServed() throws Exception {
    var dead = new RoleSession(session.roleArn(), "", "shop.web", Duration.ofSeconds(60));

    assertThat(cache.get(dead, LIMIT)).isInstanceOf(CredentialCache.Answer.Unavailable.class);
  }

  @Test
  void theNumberOfSessionsIsBounded() throws Exception {
    for (int i = 0; i < CredentialCache.MOST_SESSIONS; i++) {
      cache.get(session("role-" + i), LIMIT);
      time.advance(Duration.ofMillis(1000 / CallBudget.RATE));
    }

    assertThat(cache.get(session("one-more"), LIMIT))
        .isInstanceOf(CredentialCache.Answer.Unavailable.class);
    assertThat(cache.size()).isEqualTo(CredentialCache.MOST_SESSIONS);
  }

  @Test
  void s13NoSecretIsInAnyText() throws Exception {
    assertThat(cache.get(session, LIMIT).toString()).contains("ASIA1").doesNotContain("secret");
  }

  @Test
  void callsAreTimed() throws Exception {
    cache.get(session, LIMIT);

    await(() -> registry.getSampleValue("nodeward_metadata_sts_seconds_count") == 1.0);
  }

  private static RoleSession session(String role) {
    return new RoleSession(
        "arn:aws:iam::123456789012:role/" + role, "", "shop.web", Duration.ofHours(1));
  }

  private static String key(CredentialCache.Answer answer) {
    assertThat(answer).isInstanceOf(CredentialCache.Answer.Held.class);
    return ((CredentialCache.Answer.Held) answer).credentials().accessKeyId();
  }

  private static String errors() {
    return "nodeward_metadata_sts_errors_total";
  }

  private static String[] kind() {
    return new String[] {"kind"};
  }

  private interface Check {
    boolean holds() throws Exception;
  }

  private static void await(Check check) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!check.holds()) {
      assertThat(System.nanoTime()).as("deadline").isLessThan(end);
      Thread.sleep(10);
    }
  }

  /** A node's clock that is wrong by so much. */
  private record Skewed(Duration by) implements Time {
    @Override
    public Instant now() {
      return Time.SYSTEM.now().plus(by);
    }

    @Override
    public long nanos() {
      return Time.SYSTEM.nanos();
    }
  }

  /** The adapter of STS with an STS and instance metadata over HTTP. */
  private static final class RealSts implements AutoCloseable {
    private static final InetSocketAddress LOOPBACK = new InetSocketAddress("127.0.0.1", 0);

    final FakeImds imds = FakeImds.start(LOOPBACK);
    final FakeSts sts = FakeSts.start(LOOPBACK);
    final StsRoleCredentials source;
    private final Imds metadata;
    private final AwsClients clients;

    RealSts() throws IOException {
      this(Time.SYSTEM);
    }

    RealSts(Time node) throws IOException {
      metadata = new Imds(imds.endpoint(), Time.SYSTEM);
      var config =
          new Config.Aws(
              "eu-west-1",
              imds.endpoint(),
              Optional.of(sts.endpoint()),
              Optional.empty(),
              false,
              Duration.ofSeconds(20));
      clients = new AwsClients(config, metadata, node);
      source = new StsRoleCredentials(clients, Map.of("eks-cluster-name", "prod"));
    }

    @Override
    public void close() {
      clients.close();
      metadata.close();
      sts.close();
      imds.close();
    }
  }
}
