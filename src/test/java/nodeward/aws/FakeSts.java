package nodeward.aws;

import static nodeward.aws.QueryServer.xml;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import nodeward.aws.QueryServer.Call;
import nodeward.aws.QueryServer.Refused;
import nodeward.component.Time;

/**
 * STS over real HTTP: AssumeRole and GetCallerIdentity. Each role may be assumed unless it is told
 * otherwise; the n-th credentials have the access key {@code ASIAFAKE} and n in 12 digits. Any
 * thread may change it while it serves.
 */
public final class FakeSts implements AutoCloseable {
  /** An AssumeRole as it came, refused ones included. {@code externalId} may be empty. */
  public record Assumption(
      String role,
      String sessionName,
      String externalId,
      Duration duration,
      String accessKeyId,
      boolean sessionToken,
      Map<String, String> tags) {}

  static final String NODE =
      "arn:aws:sts::%s:assumed-role/%s/%s"
          .formatted(FakeImds.ACCOUNT, FakeImds.NODE_ROLE, FakeImds.INSTANCE_ID);

  private record Trouble(Refused refused, int left) {}

  private final Time time;
  private final QueryServer server;
  private final List<Assumption> assumptions = new ArrayList<>();
  private final Map<String, Trouble> troubles = new HashMap<>();
  private final Map<String, String> externalIds = new HashMap<>();
  private final Map<String, Duration> longest = new HashMap<>();
  private final Map<String, Duration> delays = new HashMap<>();
  private final Map<String, CountDownLatch> held = new HashMap<>();
  private final Map<String, String> callers = new HashMap<>();
  private int issued;

  private FakeSts(InetSocketAddress bind, Time time) throws IOException {
    this.time = time;
    this.server =
        new QueryServer(
            bind, "sts", "2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/", this::answer);
  }

  /** On a free port of the loopback address. */
  public static FakeSts start() throws IOException {
    return start(new InetSocketAddress("127.0.0.1", 0));
  }

  public static FakeSts start(InetSocketAddress bind) throws IOException {
    return start(bind, Time.SYSTEM);
  }

  public static FakeSts start(InetSocketAddress bind, Time time) throws IOException {
    return new FakeSts(bind, time);
  }

  public URI endpoint() {
    return server.endpoint();
  }

  public int port() {
    return server.port();
  }

  // --- what a test does to it

  /** The role does not trust the node. */
  public synchronized FakeSts deny(String role) {
    return trouble(role, denied(role), Integer.MAX_VALUE);
  }

  /** The next requests of this role are refused with Throttling. */
  public synchronized FakeSts throttle(String role, int times) {
    return trouble(role, Refused.throttled(), times);
  }

  /** The next requests of this role fail with status 500. */
  public synchronized FakeSts fail(String role, int times) {
    return trouble(role, Refused.broken(), times);
  }

  /** Each request of this role fails with this error. */
  public synchronized FakeSts refuse(String role, int status, String code, String message) {
    return trouble(role, new Refused(status, code, message), Integer.MAX_VALUE);
  }

  /** The next requests of this role fail with this error. */
  public synchronized FakeSts refuse(
      String role, int status, String code, String message, int times) {
    return trouble(role, new Refused(status, code, message), times);
  }

  /** The role's trust policy asks for this external id. */
  public synchronized FakeSts requireExternalId(String role, String externalId) {
    externalIds.put(role, externalId);
    return this;
  }

  /** The role's longest session. */
  public synchronized FakeSts longestSession(String role, Duration duration) {
    longest.put(role, duration);
    return this;
  }

  /** Answers of this role take this long. */
  public synchronized FakeSts delay(String role, Duration delay) {
    delays.put(role, delay);
    return this;
  }

  /** Requests of this role wait until the returned action runs. */
  public synchronized Runnable hold(String role) {
    CountDownLatch latch = new CountDownLatch(1);
    held.put(role, latch);
    return latch::countDown;
  }

  /** Ends all trouble of this role. */
  public synchronized FakeSts recover(String role) {
    troubles.remove(role);
    delays.remove(role);
    CountDownLatch latch = held.remove(role);
    if (latch != null) {
      latch.countDown();
    }
    return this;
  }

  /** Every AssumeRole so far, in order. */
  public synchronized List<Assumption> assumptions() {
    return List.copyOf(assumptions);
  }

  /** The AssumeRole requests of this role so far. */
  public synchronized int assumptions(String role) {
    return (int) assumptions.stream().filter(a -> a.role().equals(role)).count();
  }

  @Override
  public void close() {
    server.close();
  }

  // --- the service

  private FakeSts trouble(String role, Refused refused, int times) {
    troubles.put(role, new Trouble(refused, times));
    return this;
  }

  private static Refused denied(String role) {
    return new Refused(
        403,
        "AccessDenied",
        "User: " + NODE + " is not authorized to perform: sts:AssumeRole on resource: " + role);
  }

  private String answer(Call call) throws Refused, InterruptedException {
    return switch (call.action()) {
      case "AssumeRole" -> assumeRole(call);
      case "GetCallerIdentity" -> callerIdentity(call);
      default -> throw server.unknown(call.action());
    };
  }

  private String assumeRole(Call call) throws Refused, InterruptedException {
    String role = call.required("RoleArn");
    String session = call.required("RoleSessionName");
    String externalId = call.field("ExternalId").orElse("");
    String seconds = call.field("DurationSeconds").orElse("3600");
    pattern("roleSessionName", session, "[\\w+=,.@-]{2,64}");
    pattern("durationSeconds", seconds, "\\d{1,9}");
    if (call.field("ExternalId").isPresent()) {
      pattern("externalId", externalId, "[\\w+=,.@:/-]{2,1224}");
    }
    Duration duration = Duration.ofSeconds(Long.parseLong(seconds));
    if (duration.toSeconds() < 900 || duration.toSeconds() > 43_200) {
      throw invalid("durationSeconds", seconds);
    }
    record(
        new Assumption(
            role, session, externalId, duration, call.accessKeyId(), call.session(), tags(call)));
    pause(role);
    return issue(role, session, externalId, duration);
  }

  private static Map<String, String> tags(Call call) throws Refused {
    var tags = new HashMap<String, String>();
    for (int i = 1; call.field("Tags.member." + i + ".Key").isPresent(); i++) {
      String key = call.required("Tags.member." + i + ".Key");
      String value = call.field("Tags.member." + i + ".Value").orElse("");
      pattern("tags", key, "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{1,128}");
      pattern("tags", value, "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{0,256}");
      tags.put(key, value);
    }
    return tags;
  }

  private static void pattern(String member, String value, String pattern) throws Refused {
    if (!value.matches(pattern)) {
      throw invalid(member, value);
    }
  }

  private static Refused invalid(String member, String value) {
    return Refused.validation(
        "1 validation error detected: Value '"
            + value
            + "' at '"
            + member
            + "' failed to satisfy constraint");
  }

  private synchronized void record(Assumption assumption) {
    assumptions.add(assumption);
  }

  private void pause(String role) throws InterruptedException {
    Optional<CountDownLatch> latch;
    Duration delay;
    synchronized (this) {
      latch = Optional.ofNullable(held.get(role));
      delay = delays.getOrDefault(role, Duration.ZERO);
    }
    if (latch.isPresent()) {
      latch.get().await();
    }
    TimeUnit.NANOSECONDS.sleep(delay.toNanos());
  }

  private synchronized String issue(
      String role, String session, String externalId, Duration duration) throws Refused {
    Trouble trouble = troubles.get(role);
    if (trouble != null) {
      if (trouble.left() <= 1) {
        troubles.remove(role);
      } else if (trouble.left() != Integer.MAX_VALUE) {
        troubles.put(role, new Trouble(trouble.refused(), trouble.left() - 1));
      }
      throw trouble.refused();
    }
    if (!role.matches("arn:[\\w-]+:iam::\\d{12}:role/.+")) {
      throw Refused.validation(role + " is invalid");
    }
    if (!externalId.equals(externalIds.getOrDefault(role, externalId))) {
      throw denied(role);
    }
    if (duration.compareTo(longest.getOrDefault(role, Duration.ofHours(12))) > 0) {
      throw Refused.validation(
          "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    }
    int n = ++issued;
    String accessKey = "ASIAFAKE%012d".formatted(n);
    String account = role.split(":")[4];
    String name = role.substring(role.lastIndexOf('/') + 1);
    String partition = role.split(":")[1];
    String assumed =
        "arn:%s:sts::%s:assumed-role/%s/%s".formatted(partition, account, name, session);
    callers.put(accessKey, assumed);
    Instant expiration = time.now().plus(duration).truncatedTo(ChronoUnit.SECONDS);
    return "<Credentials>"
        + xml("AccessKeyId", accessKey)
        + xml("SecretAccessKey", "secret-key-of-session-%012d".formatted(n))
        + xml("SessionToken", "session-token-%012d".formatted(n))
        + xml("Expiration", expiration.toString())
        + "</Credentials><AssumedRoleUser>"
        + xml("AssumedRoleId", "AROAFAKEROLE00000001:" + session)
        + xml("Arn", assumed)
        + "</AssumedRoleUser>"
        + xml("PackedPolicySize", "0");
  }

  private synchronized String callerIdentity(Call call) {
    String arn = callers.getOrDefault(call.accessKeyId(), NODE);
    String session = arn.substring(arn.lastIndexOf('/') + 1);
    return xml("Arn", arn)
        + xml("UserId", "AROAFAKEROLE00000001:" + session)
        + xml("Account", arn.split(":")[4]);
  }
}
