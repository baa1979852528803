package nodeward.aws;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nodeward.aws.MetadataConnection.Reply;
import nodeward.component.Time;
import nodeward.metadata.Credentials;

/**
 * The instance metadata service of this node, version 2 only: without a token nothing is asked, so
 * a refused token never falls back to version 1. Any thread may ask; all share one connection and
 * wait for each other, each for two seconds or so. A path that does not exist is empty, everything
 * else that is not an answer is an {@link IOException} that names the path.
 *
 * <p>Protocol: "Use IMDSv2" in the EC2 user guide.
 */
public final class Imds implements AutoCloseable {
  /** Who this instance is, from its identity document. */
  public record InstanceIdentity(
      String accountId,
      String instanceId,
      String region,
      String availabilityZone,
      String instanceType) {}

  private static final Duration CONNECT_LIMIT = Duration.ofSeconds(1);
  private static final Duration LIMIT = Duration.ofSeconds(2);
  private static final Duration SAME_CLOCK = Duration.ofSeconds(5);
  private static final String TOKEN_PATH = "/latest/api/token";
  private static final String ROLE_PATH = "/latest/meta-data/iam/security-credentials/";
  private static final String TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds";
  private static final String TOKEN_HEADER = "X-aws-ec2-metadata-token";
  private static final long TTL_SECONDS = 21_600;
  private static final Pattern PATH = Pattern.compile("/[\\w/.:@+=,%-]*");
  private static final Pattern PROFILE =
      Pattern.compile("(arn:[\\w-]+:iam::\\d{12}:)instance-profile/.+");
  private static final JsonMapper json = new JsonMapper();

  private record Token(String value, long renewAt) {}

  private final URI endpoint;
  private final Time time;
  private final MetadataConnection connection;
  // Guards the connection and the token: one request after the other.
  private final ReentrantLock lock = new ReentrantLock();
  private Optional<Token> token = Optional.empty();
  // Written under the lock, read by any thread.
  private volatile Duration ahead = Duration.ZERO;

  public Imds(URI endpoint, Time time) {
    this(endpoint, time, CONNECT_LIMIT, LIMIT);
  }

  Imds(URI endpoint, Time time, Duration connectLimit, Duration limit) {
    if (!"http".equals(endpoint.getScheme()) || endpoint.getHost() == null) {
      throw new IllegalArgumentException(
          "metadata endpoint \"" + endpoint + "\" is not like http://169.254.169.254");
    }
    this.endpoint = endpoint;
    this.time = time;
    int port = endpoint.getPort() < 0 ? 80 : endpoint.getPort();
    this.connection = new MetadataConnection(endpoint.getHost(), port, connectLimit, limit);
  }

  /** The text at a path like {@code /latest/meta-data/instance-id}; empty where there is none. */
  public Optional<String> get(String path) throws IOException {
    if (!PATH.matcher(path).matches()) {
      throw new IllegalArgumentException("metadata path \"" + path + "\"");
    }
    try {
      lock.lockInterruptibly();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException(told(path, "interrupted"));
    }
    try {
      Reply reply = ask(path, token());
      if (reply.status() == 401) {
        token = Optional.empty();
        reply = ask(path, token());
      }
      return switch (reply.status()) {
        case 200 -> Optional.of(reply.body());
        case 404 -> Optional.empty();
        case 401 -> throw new IOException(told(path, "a fresh token is refused (401)"));
        case 403 ->
            throw new IOException(
                told(path, "refused (403): instance metadata is switched off or not allowed"));
        case 429, 503 -> throw new IOException(told(path, "busy (" + reply.status() + ")"));
        default -> throw new IOException(told(path, "unexpected status " + reply.status()));
      };
    } finally {
      lock.unlock();
    }
  }

  public String instanceId() throws IOException {
    return word("/latest/meta-data/instance-id")
        .orElseThrow(() -> new IOException(told("/latest/meta-data/instance-id", "not there")));
  }

  public String region() throws IOException {
    Optional<String> region = word("/latest/meta-data/placement/region");
    return region.isPresent() ? region.get() : identity().region();
  }

  public InstanceIdentity identity() throws IOException {
    String path = "/latest/dynamic/instance-identity/document";
    JsonNode document = document(path).orElseThrow(() -> new IOException(told(path, "not there")));
    return new InstanceIdentity(
        text(path, document, "accountId"),
        text(path, document, "instanceId"),
        text(path, document, "region"),
        text(path, document, "availabilityZone"),
        text(path, document, "instanceType"));
  }

  /**
   * What role names are appended to, {@code arn:aws:iam::123456789012:role/}, in the account and
   * partition of the instance profile; empty when the instance has none.
   */
  public Optional<String> baseRoleArn() throws IOException {
    String path = "/latest/meta-data/iam/info";
    Optional<JsonNode> info = document(path);
    if (info.isEmpty()) {
      return Optional.empty();
    }
    Matcher profile = PROFILE.matcher(text(path, info.get(), "InstanceProfileArn"));
    if (!profile.matches()) {
      throw new IOException(told(path, "InstanceProfileArn is not the ARN of an instance profile"));
    }
    return Optional.of(profile.group(1) + "role/");
  }

  /** The node's own role's credentials, which IMDS renews well before they expire. */
  public Credentials nodeCredentials() throws IOException {
    String role =
        word(ROLE_PATH)
            .orElseThrow(
                () -> new IOException(told(ROLE_PATH, "the instance has no instance profile")));
    String path = ROLE_PATH + role;
    JsonNode document = document(path).orElseThrow(() -> new IOException(told(path, "not there")));
    String code = document.path("Code").asText("Success");
    if (!code.equalsIgnoreCase("Success")) {
      String message = document.path("Message").asText("");
      throw new IOException(told(path, OneLine.of(code + ": " + message)));
    }
    String expiration = text(path, document, "Expiration");
    try {
      return new Credentials(
          text(path, document, "AccessKeyId"),
          text(path, document, "SecretAccessKey"),
          text(path, document, "Token"),
          Instant.parse(expiration));
    } catch (DateTimeParseException e) {
      throw new IOException(told(path, "Expiration is not a time"), e);
    }
  }

  /**
   * How far AWS's clock is ahead of this machine's, by the last answer's {@code Date}; zero when it
   * is less than a few seconds, or unknown.
   */
  public Duration ahead() {
    return ahead;
  }

  @Override
  public void close() {
    connection.close();
  }

  private Reply ask(String path, String token) throws IOException {
    try {
      Reply reply = connection.exchange("GET", path, Map.of(TOKEN_HEADER, token));
      reply.header("date").ifPresent(this::compareClocks);
      return reply;
    } catch (IOException e) {
      throw new IOException(told(path, reason(e)), e);
    }
  }

  private void compareClocks(String date) {
    try {
      Instant there = Instant.from(DateTimeFormatter.RFC_1123_DATE_TIME.parse(date));
      Duration apart = Duration.between(time.now(), there);
      ahead = apart.abs().compareTo(SAME_CLOCK) <= 0 ? Duration.ZERO : apart;
    } catch (DateTimeException e) {
      ahead = Duration.ZERO;
    }
  }

  private String token() throws IOException {
    long now = time.nanos();
    if (token.isEmpty() || now - token.get().renewAt() >= 0) {
      token = Optional.of(newToken(now));
    }
    return token.get().value();
  }

  private Token newToken(long now) throws IOException {
    Reply reply;
    try {
      reply =
          connection.exchange("PUT", TOKEN_PATH, Map.of(TTL_HEADER, String.valueOf(TTL_SECONDS)));
    } catch (ConnectException e) {
      throw new IOException(told(TOKEN_PATH, reason(e)), e);
    } catch (SocketTimeoutException e) {
      throw new IOException(
          told(
              TOKEN_PATH,
              "the token request timed out: most likely the instance's metadata hop limit is too"
                  + " low for where the agent runs (host network needs 1, a pod network 2)"),
          e);
    } catch (IOException e) {
      throw new IOException(told(TOKEN_PATH, reason(e)), e);
    }
    String value = reply.body().strip();
    if (reply.status() != 200) {
      throw new IOException(
          told(
              TOKEN_PATH,
              reply.status() == 403
                  ? "no token (403): instance metadata is switched off or not allowed"
                  : "no token (" + reply.status() + ")"));
    }
    if (!value.matches("[\\x21-\\x7e]{1,1024}")) {
      throw new IOException(told(TOKEN_PATH, "the answer is not a token"));
    }
    long ttl = reply.header(TTL_HEADER).map(Imds::seconds).orElse(TTL_SECONDS);
    long early = Math.min(300, ttl / 2);
    return new Token(value, now + Duration.ofSeconds(ttl - early).toNanos());
  }

  private static long seconds(String text) {
    return text.matches("\\d{1,5}") ? Math.clamp(Long.parseLong(text), 1, TTL_SECONDS) : 1;
  }

  /** The first line, as one word that is safe in a path, a label or a log. */
  private Optional<String> word(String path) throws IOException {
    Optional<String> body = get(path);
    if (body.isEmpty()) {
      return Optional.empty();
    }
    String word = body.get().lines().findFirst().orElse("").strip();
    if (!word.matches("[\\w+=,.@-]{1,128}")) {
      throw new IOException(told(path, "the answer is not a name"));
    }
    return Optional.of(word);
  }

  private Optional<JsonNode> document(String path) throws IOException {
    Optional<String> body = get(path);
    if (body.isEmpty()) {
      return Optional.empty();
    }
    try {
      JsonNode document = json.readTree(body.get());
      if (document.isObject()) {
        return Optional.of(document);
      }
    } catch (JsonProcessingException e) {
      // Its message quotes the document, which may hold a secret.
    }
    throw new IOException(told(path, "the answer is not a JSON object"));
  }

  private String text(String path, JsonNode document, String field) throws IOException {
    JsonNode value = document.path(field);
    if (!value.isTextual() || value.textValue().isBlank()) {
      throw new IOException(told(path, field + " is missing"));
    }
    return value.textValue();
  }

  private static String reason(IOException e) {
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }

  private String told(String path, String why) {
    return "instance metadata " + endpoint + path + ": " + why;
  }
}
