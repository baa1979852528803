package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import nodeward.cluster.ControlPlane;
import nodeward.component.Time;
import nodeward.metadata.Namespaces;
import nodeward.metadata.TokenReviews;
import nodeward.readiness.ClosedNodes;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** kube-apiserver and etcd, and nothing else. */
@Tag("e2e")
class RealApiServerContractTest extends ApiServerContract {
  private static final String RIGHTS = "daemonset/rights/rbac.yaml";

  @TempDir static Path directory;
  private static ControlPlane plane;

  @BeforeAll
  static void start() throws IOException {
    plane = ControlPlane.start(directory);
  }

  @AfterAll
  static void stop() {
    plane.close();
  }

  @Test
  void theRightsOfTheManifestAreEnoughForTheGateAndNoMore() throws IOException {
    plane.apply(Files.readString(Path.of(System.getProperty("nodeward.basedir"), RIGHTS)));
    Path kubeconfig =
        plane.kubeconfig(
            "system:serviceaccount:nodeward:nodeward",
            List.of("system:serviceaccounts", "system:authenticated"));
    var config = Scene.config(kubeconfig.toString(), Duration.ofSeconds(10), Duration.ofSeconds(1));
    try (var kube = Scene.client(config, "rights", Map.of(), new CollectorRegistry())) {
      var closed = new KubeClosedNodes(kube, "one", Time.SYSTEM);
      var elsewhere = new KubeClosedNodes(kube, "one", "default", Time.SYSTEM);
      var daemonSets = new KubeDaemonSets(kube);

      Await.until("the rights are known", () -> allows(() -> daemonSets.select("default", "a=b")));
      Await.until("the Lease's too", () -> allows(closed::release));
      assertThat(daemonSets.read("default", "missing")).isEmpty();
      assertThat(new OwnNode(kube, "missing", Time.SYSTEM).taintManagers()).isEmpty();
      assertThat(closed.take(0)).isEqualTo(ClosedNodes.Place.TAKEN);
      assertThat(new KubeClosedNodes(kube, "two", Time.SYSTEM).take(0))
          .isEqualTo(ClosedNodes.Place.FULL);
      closed.release();
      try (var namespaces = new KubeNamespaces(kube)) {
        namespaces.start();
        assertThat(namespaces.await("kube-system", Duration.ofSeconds(15)))
            .isInstanceOf(Namespaces.Answer.Found.class);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      assertThatThrownBy(() -> elsewhere.take(0))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith("read lease default/nodeward-gate of closed nodes:")
          .hasMessageContaining("is forbidden: User \"system:serviceaccount:nodeward:nodeward\"")
          .hasMessageEndingWith("(403)");
    }
  }

  @Test
  void aTokenIsReviewedWithTheRightsOfTheManifest() throws IOException {
    plane.apply(Files.readString(Path.of(System.getProperty("nodeward.basedir"), RIGHTS)));
    plane.apply(
        """
        apiVersion: v1
        kind: ServiceAccount
        metadata: {name: cart, namespace: default}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: cart, namespace: default}
        spec:
          serviceAccountName: cart
          nodeName: node-1
          containers: [{name: main, image: none}]
        """);
    var limit = Duration.ofSeconds(10);
    Path rights =
        plane.kubeconfig(
            "system:serviceaccount:nodeward:nodeward",
            List.of("system:serviceaccounts", "system:authenticated"));
    try (var admin = client(plane.adminKubeconfig(), limit);
        var kube = client(rights, limit)) {
      String uid =
          admin
              .get("read pod", "/api/v1/namespaces/default/pods/cart")
              .json()
              .at("/metadata/uid")
              .asText();
      String bound =
          "\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":\"cart\",\"uid\":\""
              + uid
              + "\"},";
      String ours = token(admin, bound, "nodeward.dev");
      String foreign = token(admin, bound, "somebody-else");
      String ofNoPod = token(admin, "", "nodeward.dev");
      var reviews = new KubeTokenReviews(kube);

      Await.until("the rights are known", () -> allows(() -> reviews.review("x", "nodeward.dev")));
      assertThat(reviews.review(ours, "nodeward.dev"))
          .isEqualTo(new TokenReviews.Verdict.Genuine("default", "cart", uid));
      for (String other : List.of(foreign, ofNoPod, ours.substring(0, ours.length() - 8), "x")) {
        assertThat(reviews.review(other, "nodeward.dev"))
            .isInstanceOf(TokenReviews.Verdict.Refused.class);
      }
    }
  }

  private static KubeClient client(Path kubeconfig, Duration limit) {
    return Scene.client(
        Scene.config(kubeconfig.toString(), limit, limit),
        "reviews",
        Map.of(),
        new CollectorRegistry());
  }

  private static String token(KubeClient admin, String bound, String audience) throws IOException {
    Answer answer =
        admin.send(
            "make a token",
            "POST",
            "/api/v1/namespaces/default/serviceaccounts/cart/token",
            KubeClient.JSON,
            "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":{"
                + bound
                + "\"audiences\":[\""
                + audience
                + "\"]}}");
    assertThat(answer.accepted()).as(answer.summary()).isTrue();
    return answer.json().at("/status/token").asText();
  }

  /** The API server learns of new rights by a watch of its own. */
  private static boolean allows(Request request) {
    try {
      request.send();
      return true;
    } catch (IOException e) {
      assertThat(e).hasMessageContaining("is forbidden");
      return false;
    }
  }

  private interface Request {
    void send() throws IOException;
  }

  @Override
  Path kubeconfig() throws IOException {
    return plane.adminKubeconfig();
  }

  @Override
  void killApiServer() {
    plane.killApiServer();
  }

  @Override
  void startApiServer() throws IOException {
    plane.startApiServer();
  }
}
