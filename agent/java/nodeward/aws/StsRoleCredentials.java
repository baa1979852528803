package nodeward.aws;

import java.io.IOException;
import java.util.Set;
import nodeward.metadata.Assumed;
import nodeward.metadata.Credentials;
import nodeward.metadata.RoleCredentials;
import nodeward.metadata.RoleSession;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.sts.model.AssumeRoleRequest;
import software.amazon.awssdk.services.sts.model.AssumeRoleResponse;

/**
 * Assumes roles at STS with the node's role. Any thread may ask and waits for the answer, at most
 * four request time-outs long; retries of throttled and broken requests are the SDK's.
 */
public final class StsRoleCredentials implements RoleCredentials {
  /** Refusals of this role or request, which repetition does not change. */
  private static final Set<String> DENIED =
      Set.of(
          "AccessDenied",
          "AccessDeniedException",
          "NoSuchEntity",
          "ValidationError",
          "MalformedPolicyDocument",
          "PackedPolicyTooLarge");

  private final AwsClients clients;

  public StsRoleCredentials(AwsClients clients) {
    this.clients = clients;
  }

  @Override
  public Assumed assume(RoleSession session) throws IOException {
    String what = "sts: AssumeRole role=" + OneLine.of(session.roleArn());
    AssumeRoleRequest.Builder request =
        AssumeRoleRequest.builder()
            .roleArn(session.roleArn())
            .roleSessionName(session.sessionName())
            .durationSeconds(Math.toIntExact(session.duration().toSeconds()));
    if (!session.externalId().isEmpty()) {
      request.externalId(session.externalId());
    }
    try {
      return issued(what, clients.sts().assumeRole(request.build()));
    } catch (AwsServiceException e) {
      if (!e.isThrottlingException() && DENIED.contains(AwsClients.code(e))) {
        return new Assumed.Denied(withoutExternalId(AwsClients.why(e), session));
      }
      throw clients.failed(what, e);
    } catch (SdkException e) {
      throw clients.failed(what, e);
    }
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
