package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.stream.StreamSupport;
import nodeward.metadata.TokenReviews;

/**
 * TokenReview of authentication.k8s.io/v1, one request for each token. A token that is not bound to
 * a pod is refused: it proves a ServiceAccount, which any number of pods share.
 */
public final class KubeTokenReviews implements TokenReviews {
  private static final String PATH = "/apis/authentication.k8s.io/v1/tokenreviews";
  private static final String EXTRA = "authentication.kubernetes.io/";
  private static final String SERVICE_ACCOUNT = "system:serviceaccount:";
  private static final ObjectMapper JSON = new ObjectMapper();

  private final KubeClient kube;

  public KubeTokenReviews(KubeClient kube) {
    this.kube = kube;
  }

  @Override
  public Verdict review(String token, String audience) throws IOException {
    var review = JSON.createObjectNode();
    review.put("apiVersion", "authentication.k8s.io/v1").put("kind", "TokenReview");
    var spec = review.putObject("spec");
    spec.put("token", token);
    spec.putArray("audiences").add(audience);
    Answer answer =
        kube.send(
            "review a ServiceAccount token", "POST", PATH, KubeClient.JSON, review.toString());
    if (!answer.accepted()) {
      throw answer.failure();
    }
    return verdict(answer.json().path("status"), audience);
  }

  private static Verdict verdict(JsonNode status, String audience) {
    if (!status.path("authenticated").asBoolean()) {
      return new Verdict.Refused("the API server does not know the token");
    }
    // An API server that knows nothing of audiences says nothing of them, and proves nothing.
    boolean meant =
        StreamSupport.stream(status.path("audiences").spliterator(), false)
            .anyMatch(a -> a.asText().equals(audience));
    if (!meant) {
      return new Verdict.Refused("the token is not for audience " + audience);
    }
    JsonNode user = status.path("user");
    String[] name = user.path("username").asText().split(":", -1);
    String pod = user.path("extra").path(EXTRA + "pod-name").path(0).asText();
    String uid = user.path("extra").path(EXTRA + "pod-uid").path(0).asText();
    if (!user.path("username").asText().startsWith(SERVICE_ACCOUNT)
        || name.length != 4
        || pod.isEmpty()
        || uid.isEmpty()) {
      return new Verdict.Refused("the token is not bound to a pod");
    }
    return new Verdict.Genuine(name[2], pod, uid);
  }
}
