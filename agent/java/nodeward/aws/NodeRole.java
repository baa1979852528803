package nodeward.aws;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import nodeward.component.Time;
import nodeward.metadata.Credentials;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.core.exception.SdkClientException;

/**
 * The node's own role for the SDK, from instance metadata. Kept until little life is left, then
 * fetched anew by the call that needs it; while that fails the old ones serve until they expire.
 */
final class NodeRole implements AwsCredentialsProvider {
  private static final Logger log = LoggerFactory.getLogger(NodeRole.class);

  /** IMDS has new credentials at least five minutes before the old ones expire. */
  private static final Duration EARLY = Duration.ofMinutes(5);

  private static final Duration PAUSE = Duration.ofSeconds(30);

  private final Imds imds;
  private final Time time;
  // Guarded by this: callers that come together cause one fetch.
  private Optional<Credentials> kept = Optional.empty();
  private Instant nextFetch = Instant.MIN;

  NodeRole(Imds imds, Time time) {
    this.imds = imds;
    this.time = time;
  }

  @Override
  public AwsCredentials resolveCredentials() {
    Credentials credentials;
    try {
      credentials = current();
    } catch (IOException e) {
      throw SdkClientException.create("node role: " + e.getMessage(), e);
    }
    return AwsSessionCredentials.builder()
        .accessKeyId(credentials.accessKeyId())
        .secretAccessKey(credentials.secretAccessKey())
        .sessionToken(credentials.token())
        .build();
  }

  /** Drops what is kept, after AWS has refused it. */
  synchronized void forget() {
    kept = Optional.empty();
  }

  private synchronized Credentials current() throws IOException {
    Instant now = time.now();
    boolean alive = kept.isPresent() && now.isBefore(kept.get().expiration());
    boolean due = kept.isEmpty() || !now.isBefore(kept.get().expiration().minus(EARLY));
    if (!due || (alive && now.isBefore(nextFetch))) {
      return kept.get();
    }
    nextFetch = now.plus(PAUSE);
    try {
      Credentials fetched = imds.nodeCredentials();
      kept = Optional.of(fetched);
      return fetched;
    } catch (IOException e) {
      if (!alive) {
        throw e;
      }
      log.warn(
          "aws: node role not renewed, kept until={} why=\"{}\"",
          kept.get().expiration(),
          e.getMessage());
      return kept.get();
    }
  }
}
