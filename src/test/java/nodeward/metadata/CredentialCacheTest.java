package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import org.junit.jupiter.api.Test;

class CredentialCacheTest {
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

    for (RoleSession s : Set.of(session, other, named, shorter)) {
      cache.get(s, LIMIT);
    }

    assertThat(sts.calls()).containsExactlyInAnyOrder(session, other, named, shorter);
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
  void s7NothingIsRenewedForPodsThatAreGone() throws Exception {
    cache.get(session, LIMIT);
    await(() -> cache.renew(Set.of()).isPositive() && cache.size() == 0);

    time.advance(Duration.ofMinutes(40));
    cache.renew(Set.of());

    assertThat(sts.calls()).hasSize(1);
    assertThat(registry.getSampleValue("nodeward_metadata_sessions")).isEqualTo(0);
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
}
