package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import nodeward.component.Time;
import nodeward.metadata.Assumed;
import nodeward.metadata.Credentials;
import nodeward.metadata.RoleSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StsRoleCredentialsTest {
  private static final String ROLE = "arn:aws:iam::123456789012:role/team/app";
  private static final Duration HOUR = Duration.ofHours(1);
  private static final RoleSession SESSION = new RoleSession(ROLE, "", "pod-app-1", HOUR);

  // The SDK signs with the system's clock, so the fakes run on it too.
  private FakeAws aws;
  private StsRoleCredentials credentials;

  @BeforeEach
  void start() throws IOException {
    aws = new FakeAws(Time.SYSTEM);
    credentials = new StsRoleCredentials(aws.clients, Map.of());
  }

  @AfterEach
  void close() {
    aws.close();
  }

  @Test
  void assumesTheRoleWithTheNodesOwnRole() throws IOException {
    Instant before = Instant.now().truncatedTo(ChronoUnit.SECONDS);

    Credentials issued = issued(credentials.assume(SESSION));

    assertThat(issued.accessKeyId()).isEqualTo("ASIAFAKE000000000001");
    assertThat(issued.secretAccessKey()).isEqualTo("secret-key-of-session-000000000001");
    assertThat(issued.token()).isEqualTo("session-token-000000000001");
    assertThat(issued.expiration()).isBetween(before.plus(HOUR), Instant.now().plus(HOUR));
    assertThat(aws.sts.assumptions())
        .containsExactly(
            new FakeSts.Assumption(
                ROLE, "pod-app-1", "", HOUR, FakeImds.NODE_ACCESS_KEY, true, Map.of()));
  }

  @Test
  void passesTheExternalIdAndTheDuration() throws IOException {
    aws.sts.requireExternalId(ROLE, "partner-7");
    RoleSession with = new RoleSession(ROLE, "partner-7", "s1", Duration.ofMinutes(15));

    assertThat(credentials.assume(with)).isInstanceOf(Assumed.Issued.class);
    assertThat(credentials.assume(SESSION)).isInstanceOf(Assumed.Denied.class);

    assertThat(aws.sts.assumptions())
        .extracting(FakeSts.Assumption::externalId)
        .containsExactly("partner-7", "");
    assertThat(aws.sts.assumptions().getFirst().duration()).isEqualTo(Duration.ofMinutes(15));
  }

  @Test
  void manyCallersShareClientAndNodeCredentials() throws Exception {
    List<Future<Assumed>> answers = new ArrayList<>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int i = 0; i < 20; i++) {
        RoleSession session = new RoleSession(ROLE + i, "", "s" + i, HOUR);
        answers.add(threads.submit(() -> credentials.assume(session)));
      }
    }

    for (Future<Assumed> answer : answers) {
      assertThat(answer.resultNow()).isInstanceOf(Assumed.Issued.class);
    }
    assertThat(aws.metadata.requests(FakeImds.ROLES + FakeImds.NODE_ROLE)).isEqualTo(1);
  }

  @Test
  void aRoleThatDoesNotTrustTheNodeIsDeniedInAwssWords() throws IOException {
    aws.sts.deny(ROLE);

    Assumed assumed = credentials.assume(SESSION);

    assertThat(assumed).isInstanceOf(Assumed.Denied.class);
    assertThat(((Assumed.Denied) assumed).why())
        .startsWith("AccessDenied (403): User: arn:aws:sts::123456789012:assumed-role/")
        .endsWith("is not authorized to perform: sts:AssumeRole on resource: " + ROLE);
    assertThat(aws.sts.assumptions(ROLE)).isEqualTo(1);
  }

  @ParameterizedTest
  @CsvSource({
    "400, ValidationError",
    "404, NoSuchEntity",
    "400, MalformedPolicyDocument",
    "400, PackedPolicyTooLarge"
  })
  void refusalsOfTheRoleAreDenials(int status, String code) throws IOException {
    aws.sts.refuse(ROLE, status, code, "said\nso");

    assertThat(credentials.assume(SESSION))
        .isEqualTo(new Assumed.Denied(code + " (" + status + "): said so"));
  }

  @Test
  void aDenialDoesNotQuoteTheExternalId() throws IOException {
    RoleSession odd = new RoleSession(ROLE, "hush hush", "s1", HOUR);

    Assumed assumed = credentials.assume(odd);

    assertThat(((Assumed.Denied) assumed).why()).contains("'***' at 'externalId'");
    assertThat(assumed.toString()).doesNotContain("hush");
  }

  @Test
  void aThrottledOrBrokenAnswerIsTriedAgainByTheSdk() throws IOException {
    aws.sts.throttle(ROLE, 1);
    issued(credentials.assume(SESSION));
    aws.sts.fail(ROLE, 2);
    issued(credentials.assume(SESSION));

    assertThat(aws.sts.assumptions(ROLE)).isEqualTo(5);
  }

  @Test
  void lastingThrottlingIsToldAsWhatItIs() throws IOException {
    aws.sts.throttle(ROLE, 100);

    Assumed assumed = credentials.assume(SESSION);

    assertThat(assumed).isInstanceOf(Assumed.Throttled.class);
    assertThat(((Assumed.Throttled) assumed).why())
        .contains("AssumeRole role=" + ROLE, "Throttling");
    assertThat(aws.sts.assumptions(ROLE)).isEqualTo(3);
  }

  @Test
  void lastingFailuresAreErrorsThatNameTheRole() {
    aws.sts.fail(ROLE, 100);

    assertThatThrownBy(() -> credentials.assume(SESSION))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("AssumeRole role=" + ROLE)
        .hasMessageContaining("InternalFailure");
    assertThat(aws.sts.assumptions(ROLE)).isEqualTo(3);
  }

  @Test
  void aServerThatIsGoneIsAnError() {
    aws.sts.close();

    assertThatThrownBy(() -> credentials.assume(SESSION))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("AssumeRole role=" + ROLE);
  }

  @Test
  void aServerThatDoesNotAnswerIsGivenUp() throws IOException {
    try (FakeAws slow = new FakeAws(Time.SYSTEM, Duration.ofMillis(200))) {
      slow.sts.hold(ROLE);

      assertThatThrownBy(() -> new StsRoleCredentials(slow.clients, Map.of()).assume(SESSION))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("AssumeRole role=" + ROLE);
    }
  }

  @Test
  void anInterruptEndsTheCall() throws Exception {
    issued(credentials.assume(SESSION));
    aws.sts.hold(ROLE);
    CompletableFuture<Throwable> thrown = new CompletableFuture<>();
    CountDownLatch interrupted = new CountDownLatch(1);
    Thread caller =
        Thread.startVirtualThread(
            () -> {
              try {
                credentials.assume(SESSION);
              } catch (IOException e) {
                if (Thread.currentThread().isInterrupted()) {
                  interrupted.countDown();
                }
                thrown.complete(e);
              }
            });
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(5);
    while (aws.sts.assumptions(ROLE) < 2 && System.nanoTime() < deadline) {
      TimeUnit.MILLISECONDS.sleep(10);
    }

    caller.interrupt();

    assertThat(thrown.get(5, TimeUnit.SECONDS)).isInstanceOf(InterruptedIOException.class);
    assertThat(interrupted.await(5, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void aNodeWithoutARoleIsAnErrorThatSaysSo() {
    aws.metadata.noInstanceProfile();

    assertThatThrownBy(() -> credentials.assume(SESSION))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("the instance has no instance profile");
  }

  @Test
  void aRefusedSignatureIsToldWithoutTheRequestThatItQuotes() {
    aws.sts.refuse(
        ROLE,
        403,
        "SignatureDoesNotMatch",
        "The Canonical String should have been 'x-amz-security-token:" + FakeImds.NODE_TOKEN + "'");

    assertThatThrownBy(() -> credentials.assume(SESSION))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("SignatureDoesNotMatch (403)")
        .satisfies(e -> assertThat(stackTrace(e)).doesNotContain(FakeImds.NODE_TOKEN));
  }

  @Test
  void nothingIsBuiltAfterClose() {
    aws.clients.close();

    assertThatThrownBy(() -> credentials.assume(SESSION))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("closed");
  }

  private static String stackTrace(Throwable e) {
    StringWriter text = new StringWriter();
    e.printStackTrace(new PrintWriter(text));
    return text.toString();
  }

  private static Credentials issued(Assumed assumed) {
    assertThat(assumed).isInstanceOf(Assumed.Issued.class);
    return ((Assumed.Issued) assumed).credentials();
  }
}
