package nodeward.metadata;

import java.io.IOException;

/** What the API server says of a ServiceAccount token. */
@FunctionalInterface
public interface TokenReviews {
  /** Whose it is. */
  sealed interface Verdict {
    /** Of a pod that the API server knows at this moment. */
    record Genuine(String namespace, String pod, String podUid) implements Verdict {}

    record Refused(String why) implements Verdict {}
  }

  /** Asks whether the token is good for this audience, one request; never retries by itself. */
  Verdict review(String token, String audience) throws IOException;
}
