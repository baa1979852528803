package nodeward.aws;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import nodeward.metadata.Assumed;
import nodeward.metadata.Credentials;
import nodeward.metadata.RoleCredentials;
import nodeward.metadata.RoleSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.sts.model.AssumeRoleRequest;
import software.amazon.awssdk.services.sts.model.AssumeRoleResponse;
import software.amazon.awssdk.services.sts.model.Tag;

/**
 * Assumes roles at STS with the node's role. Any thread may ask and waits for the answer, at most
 * four request time-outs long; retries of throttled and broken requests are the SDK's.
 */
public final class StsRoleCredentials implements RoleCredentials {
  private static final Logger log = LoggerFactory.getLogger(StsRoleCredentials.class);

  /** Refusals of this role or request, which repetition does not change. */
  private static final Set<String> DENIED =
      Set.of(
          "AccessDenied",
          "AccessDeniedException",
          "NoSuchEntity",
          "ValidationError",
          "MalformedPolicyDocument",
          "PackedPolicyTooLarge");

  /** What every role allows. */
  private static final Duration HOUR = Duration.ofHours(1);

  private static final int MOST_SHORTENED = 1024;

  private final AwsClients clients;
  private final List<Tag> tagsOfNode;
  // Roles that allow no longer session than an hour.
  private final Set<String> shortened = ConcurrentHashMap.newKeySet();

  /** {@code tags} are those that each session has beside its own. */
  public StsRoleCredentials(AwsClients clients, Map<String, String> tags) {
    this.clients = clients;
    this.tagsOfNode = tags(tags);
  }

  @Override
  public Optional<Duration> clockSkew() {
    return clients.clockSkew();
  }

  @Override
  public Assumed assume(RoleSession session) throws IOException {
    boolean shorten = shortened.contains(session.roleArn());
    Duration duration =
        shorten && session.duration().compareTo(HOUR) > 0 ? HOUR : session.duration();
    String what = "sts: AssumeRole role=" + OneLine.of(session.roleArn());
    try {
      return issued(what, ask(session, duration));
    } catch (AwsServiceException e) {
      if (tooLong(e) && duration.compareTo(HOUR) > 0) {
        if (shortened.size() < MOST_SHORTENED && shortened.add(session.roleArn())) {
          log.warn(
              "sts: role allows no session of {}, asked for {} from now on role={} why=\"{}\"",
              duration,
              HOUR,
              OneLine.of(session.roleArn()),
              withoutExternalId(AwsClients.why(e), session));
        }
        return again(what, session, HOUR);
      }
      if (clients.refusedOurOwn(e)) {
        return again(what, session, duration);
      }
      return refused(what, session, e);
    } catch (SdkException e) {
      throw clients.failed(what, e);
    }
  }

  /** Once more after a refusal whose reason has been taken away. */
  private Assumed again(String what, RoleSession session, Duration duration) throws IOException {
    try {
      return issued(what, ask(session, duration));
    } catch (AwsServiceException e) {
      return refused(what, session, e);
    } catch (SdkException e) {
      throw clients.failed(what, e);
    }
  }

  private AssumeRoleResponse ask(RoleSession session, Duration duration) throws IOException {
    AssumeRoleRequest.Builder request =
        AssumeRoleRequest.builder()
            .roleArn(session.roleArn())
            .roleSessionName(session.sessionName())
            .durationSeconds(Math.toIntExact(duration.toSeconds()));
    if (!session.externalId().isEmpty()) {
      request.externalId(session.externalId());
    }
    if (!tagsOfNode.isEmpty() || !session.tags().isEmpty()) {
      var tags = new ArrayList<>(tagsOfNode);
      tags.addAll(tags(session.tags()));
      request.tags(tags);
    }
    return clients.sts().assumeRole(request.build());
  }

  private Assumed refused(String what, RoleSession session, AwsServiceException e)
      throws IOException {
    if (e.isThrottlingException()) {
      return new Assumed.Throttled(what + ": " + AwsClients.why(e));
    }
    if (DENIED.contains(AwsClients.code(e))) {
      return new Assumed.Denied(withoutExternalId(AwsClients.why(e), session));
    }
    throw clients.failed(what, e);
  }

  /** The role's own limit, or the hour of a role that another role assumes ("role chaining"). */
  private static boolean tooLong(AwsServiceException e) {
    return AwsClients.code(e).equals("ValidationError")
        && AwsClients.why(e).contains("DurationSeconds");
  }

  private static List<Tag> tags(Map<String, String> tags) {
    return tags.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .map(tag -> Tag.builder().key(tag.getKey()).value(tag.getValue()).build())
        .toList();
  }

  private static Assumed issued(String what, AssumeRoleResponse response) throws IOException {
    var issued = response.credentials();
    if (issued == null
        || issued.accessKeyId() == null
        || issued.secretAccessKey() == null
        || issued.sessionToken() == null
        || issued.expiration() == null) {
      throw new IOException(what + ": the answer holds no credentials");
    }
    return new Assumed.Issued(
        new Credentials(
            issued.accessKeyId(),
            issued.secretAccessKey(),
            issued.sessionToken(),
            issued.expiration()));
  }

  /** A validation error quotes the value that it refuses. */
  private static String withoutExternalId(String why, RoleSession session) {
    return session.externalId().isEmpty() ? why : why.replace(session.externalId(), "***");
  }
}
