package nodeward.aws;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import nodeward.aws.PlainHttp.Answer;
import nodeward.aws.PlainHttp.Request;
import nodeward.component.Time;

/**
 * The instance metadata service of one instance over real HTTP. It follows the rules of version 2
 * for tokens, knows the paths that the agent and SDKs read, and fails in the ways the real one
 * does. Any thread may change it while it serves. Without {@link #faults} and notices it is the
 * instance {@link #INSTANCE_ID} in service.
 */
public final class FakeImds implements AutoCloseable {
  public static final String INSTANCE_ID = "i-0123456789abcdef0";
  public static final String REGION = "eu-west-1";
  public static final String ACCOUNT = "123456789012";
  public static final String NODE_ROLE = "nodeward-node";
  public static final String NODE_ACCESS_KEY = "ASIANODEROLE00000001";
  public static final String NODE_SECRET = "node-secret-of-the-fake";
  public static final String NODE_TOKEN = "node-session-token-of-the-fake";

  public static final String TOKEN = "/latest/api/token";
  public static final String ROLES = "/latest/meta-data/iam/security-credentials/";
  public static final String INFO = "/latest/meta-data/iam/info";
  public static final String IDENTITY = "/latest/dynamic/instance-identity/document";
  public static final String SPOT = "/latest/meta-data/spot/instance-action";
  public static final String SCHEDULED = "/latest/meta-data/events/maintenance/scheduled";
  public static final String HISTORY = "/latest/meta-data/events/maintenance/history";
  public static final String REBALANCE = "/latest/meta-data/events/recommendations/rebalance";
  public static final String TARGET_STATE = "/latest/meta-data/autoscaling/target-lifecycle-state";

  /** How requests go wrong. */
  public enum Fault {
    /** 401, as after a stop and start of the instance: each token known so far is forgotten. */
    UNAUTHORIZED,
    /** 403: metadata is switched off. */
    FORBIDDEN,
    /** 503: too many requests. */
    BUSY,
    /** No answer until the fault is cleared or the server closed. */
    HANG,
    /** 200 with a body that is no text of any path. */
    GARBAGE
  }

  /** Whether requests without a token are served. */
  public enum HttpTokens {
    REQUIRED,
    OPTIONAL
  }

  private record Failing(Fault fault, int left) {}

  private static final String TTL = "X-aws-ec2-metadata-token-ttl-seconds";
  private static final String TOKEN_HEADER = "X-aws-ec2-metadata-token";

  private final PlainHttp server;
  private final Time time;
  private final Map<String, String> bodies = new TreeMap<>();
  private final Map<String, Instant> tokens = new HashMap<>();
  private final Map<String, Integer> requests = new TreeMap<>();
  private final Set<InetSocketAddress> clients = new HashSet<>();
  private final Map<String, Failing> faults = new HashMap<>();
  private CountDownLatch unhang = new CountDownLatch(1);
  private HttpTokens httpTokens = HttpTokens.REQUIRED;

  private FakeImds(InetSocketAddress bind, Time time) throws IOException {
    this.time = time;
    this.server = new PlainHttp(bind, this::handle);
    Instant now = time.now().truncatedTo(ChronoUnit.SECONDS);
    put("/latest/meta-data/instance-id", INSTANCE_ID);
    put("/latest/meta-data/instance-type", "m7i.large");
    put("/latest/meta-data/instance-life-cycle", "on-demand");
    put("/latest/meta-data/ami-id", "ami-0123456789abcdef0");
    put("/latest/meta-data/local-hostname", "ip-10-0-0-10." + REGION + ".compute.internal");
    put("/latest/meta-data/local-ipv4", "10.0.0.10");
    put("/latest/meta-data/placement/region", REGION);
    put("/latest/meta-data/placement/availability-zone", REGION + "a");
    put("/latest/meta-data/placement/availability-zone-id", "euw1-az1");
    put(SCHEDULED, "[]");
    put(HISTORY, "[]");
    put(
        IDENTITY,
        """
        {
          "accountId" : "%s",
          "architecture" : "x86_64",
          "availabilityZone" : "%sa",
          "imageId" : "ami-0123456789abcdef0",
          "instanceId" : "%s",
          "instanceType" : "m7i.large",
          "pendingTime" : "%s",
          "privateIp" : "10.0.0.10",
          "region" : "%s",
          "version" : "2017-09-30"
        }\
        """
            .formatted(ACCOUNT, REGION, INSTANCE_ID, now, REGION));
    instanceProfile("arn:aws:iam::" + ACCOUNT + ":instance-profile/" + NODE_ROLE);
    nodeCredentials(NODE_ACCESS_KEY, now.plus(Duration.ofHours(6)));
  }

  /** On a free port of the loopback address. */
  public static FakeImds start() throws IOException {
    return start(new InetSocketAddress("127.0.0.1", 0));
  }

  public static FakeImds start(InetSocketAddress bind) throws IOException {
    return start(bind, Time.SYSTEM);
  }

  public static FakeImds start(InetSocketAddress bind, Time time) throws IOException {
    FakeImds imds = new FakeImds(bind, time);
    imds.server.start();
    return imds;
  }

  /** Where it answers; on a wildcard address as the loopback reaches it. */
  public URI endpoint() {
    return QueryServer.uri(server.address());
  }

  public int port() {
    return server.address().getPort();
  }

  // --- what a test does to it

  /** Serves this body at this path. */
  public synchronized FakeImds put(String path, String body) {
    bodies.put(path, body);
    return this;
  }

  /** Answers 404 at this path. */
  public synchronized FakeImds remove(String path) {
    bodies.remove(path);
    return this;
  }

  public FakeImds instanceProfile(String arn) {
    return put(
        INFO,
        """
        {
          "Code" : "Success",
          "LastUpdated" : "%s",
          "InstanceProfileArn" : "%s",
          "InstanceProfileId" : "AIPAFAKEPROFILE000001"
        }\
        """
            .formatted(time.now().truncatedTo(ChronoUnit.SECONDS), arn));
  }

  /** The node's role has these credentials from now on. */
  public FakeImds nodeCredentials(String accessKeyId, Instant expiration) {
    put(ROLES, NODE_ROLE);
    return put(
        ROLES + NODE_ROLE,
        """
        {
          "Code" : "Success",
          "LastUpdated" : "%s",
          "Type" : "AWS-HMAC",
          "AccessKeyId" : "%s",
          "SecretAccessKey" : "%s",
          "Token" : "%s",
          "Expiration" : "%s"
        }\
        """
            .formatted(
                time.now().truncatedTo(ChronoUnit.SECONDS),
                accessKeyId,
                NODE_SECRET,
                NODE_TOKEN,
                expiration.truncatedTo(ChronoUnit.SECONDS)));
  }

  /** The instance has no role, as without an instance profile. */
  public FakeImds noInstanceProfile() {
    return remove(INFO).remove(ROLES).remove(ROLES + NODE_ROLE);
  }

  /** EC2 will {@code terminate}, {@code stop} or {@code hibernate} the instance at this time. */
  public FakeImds spotNotice(String action, Instant at) {
    return put(
        SPOT,
        "{\"action\":\"%s\",\"time\":\"%s\"}"
            .formatted(action, at.truncatedTo(ChronoUnit.SECONDS)));
  }

  public FakeImds withdrawSpotNotice() {
    return remove(SPOT);
  }

  /** EC2 recommends to move elsewhere, since this time. */
  public FakeImds rebalance(Instant noticed) {
    return put(
        REBALANCE, "{\"noticeTime\":\"%s\"}".formatted(noticed.truncatedTo(ChronoUnit.SECONDS)));
  }

  /** The state that Auto Scaling moves the instance to, {@code Terminated} for example. */
  public FakeImds targetState(String state) {
    return put(TARGET_STATE, state);
  }

  /** The scheduled events, as the JSON array that EC2 shows. */
  public FakeImds maintenance(String events) {
    return put(SCHEDULED, events);
  }

  public FakeImds maintenanceHistory(String events) {
    return put(HISTORY, events);
  }

  public synchronized FakeImds httpTokens(HttpTokens tokens) {
    this.httpTokens = tokens;
    return this;
  }

  /** Each request of this path fails, {@link #TOKEN} included; "" is every path. */
  public FakeImds fail(String path, Fault fault) {
    return fail(path, fault, Integer.MAX_VALUE);
  }

  /** The next requests of this path fail. */
  public synchronized FakeImds fail(String path, Fault fault, int times) {
    faults.put(path, new Failing(fault, times));
    return this;
  }

  /** Ends all faults; requests that hang are answered with 503. */
  public synchronized FakeImds recover() {
    faults.clear();
    unhang.countDown();
    unhang = new CountDownLatch(1);
    return this;
  }

  /** The requests of this path so far, failed ones included. */
  public synchronized int requests(String path) {
    return requests.getOrDefault(path, 0);
  }

  /** All requests so far, those for tokens included. */
  public synchronized int requests() {
    return requests.values().stream().mapToInt(Integer::intValue).sum();
  }

  /** The connections that requests have come over so far. */
  public synchronized int connections() {
    return clients.size();
  }

  @Override
  public void close() {
    recover();
    server.close();
  }

  // --- the service

  private Answer handle(Request request) throws InterruptedException {
    CountDownLatch recovered = recovered();
    Optional<Fault> fault = count(request);
    if (fault.isPresent() && fault.get() != Fault.UNAUTHORIZED) {
      return switch (fault.get()) {
        case HANG -> {
          recovered.await();
          yield answer(503, "");
        }
        case FORBIDDEN -> error(403, "Forbidden");
        case BUSY -> error(503, "Service Unavailable");
        case GARBAGE, UNAUTHORIZED -> answer(200, "\u0000\u0001{[<garbage");
      };
    }
    return request.path().equals(TOKEN) ? token(request) : item(request);
  }

  private synchronized CountDownLatch recovered() {
    return unhang;
  }

  private synchronized Optional<Fault> count(Request request) {
    String path = request.path();
    requests.merge(path, 1, Integer::sum);
    clients.add(request.client());
    String key = faults.containsKey(path) ? path : "";
    Failing failing = faults.get(key);
    if (failing == null || (failing.fault() == Fault.UNAUTHORIZED && path.equals(TOKEN))) {
      return Optional.empty();
    }
    if (failing.left() <= 1) {
      faults.remove(key);
    } else if (failing.left() != Integer.MAX_VALUE) {
      faults.put(key, new Failing(failing.fault(), failing.left() - 1));
    }
    if (failing.fault() == Fault.UNAUTHORIZED) {
      tokens.clear();
    }
    return Optional.of(failing.fault());
  }

  private Answer token(Request request) {
    String seconds = request.header(TTL).orElse("");
    if (!request.method().equals("PUT")) {
      return error(405, "Method Not Allowed");
    }
    if (request.header("X-Forwarded-For").isPresent()) {
      return error(403, "Forbidden");
    }
    if (!seconds.matches("\\d{1,5}") || !inRange(seconds)) {
      return error(400, "Bad Request");
    }
    String token = "AQAEA" + UUID.randomUUID().toString().replace("-", "") + "==";
    synchronized (this) {
      tokens.put(token, time.now().plusSeconds(Long.parseLong(seconds)));
    }
    return answer(200, token).with(TTL, seconds);
  }

  private static boolean inRange(String seconds) {
    int ttl = Integer.parseInt(seconds);
    return 1 <= ttl && ttl <= 21_600;
  }

  private synchronized Answer item(Request request) {
    Optional<String> token = request.header(TOKEN_HEADER);
    long left = 0;
    if (token.isPresent() || httpTokens == HttpTokens.REQUIRED) {
      Instant until = token.map(t -> tokens.getOrDefault(t, Instant.MIN)).orElse(Instant.MIN);
      left = time.now().isBefore(until) ? Duration.between(time.now(), until).toSeconds() : 0;
      if (left <= 0) {
        return error(401, "Unauthorized");
      }
    }
    if (!request.method().equals("GET")) {
      return error(405, "Method Not Allowed");
    }
    // A list answers without its slash too, and a single item with one: botocore asks so.
    String path = request.path();
    Answer answer =
        Stream.of(path, path + "/", path.replaceFirst("/$", ""))
            .filter(bodies::containsKey)
            .findFirst()
            .map(found -> answer(200, bodies.get(found)))
            .orElseGet(() -> error(404, "Not Found"));
    return token.isPresent() ? answer.with(TTL, String.valueOf(left)) : answer;
  }

  private Answer answer(int status, String body) {
    String date = DateTimeFormatter.RFC_1123_DATE_TIME.format(time.now().atOffset(ZoneOffset.UTC));
    return Answer.of(status, body)
        .with("Content-Type", body.startsWith("<") ? "text/html" : "text/plain")
        .with("Date", date)
        .with("Server", "EC2ws");
  }

  private Answer error(int status, String text) {
    return answer(
        status,
        """
        <?xml version="1.0" encoding="iso-8859-1"?>
        <!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
        	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
        <html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
         <head>
          <title>%d - %s</title>
         </head>
         <body>
          <h1>%d - %s</h1>
         </body>
        </html>
        """
            .formatted(status, text, status, text));
  }
}
