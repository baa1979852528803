package nodeward.metadata;

import java.time.Instant;

/** Temporary credentials of a role. Only {@link #accessKeyId} may ever be written to a log. */
public record Credentials(
    String accessKeyId, String secretAccessKey, String token, Instant expiration) {
  @Override
  public String toString() {
    return "Credentials[accessKeyId=" + accessKeyId + ", expiration=" + expiration + "]";
  }
}
