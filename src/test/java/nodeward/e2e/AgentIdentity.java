package nodeward.e2e;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nodeward.cluster.ControlPlane;

/** Who the agent is on the API server: the ServiceAccount of the shipped RBAC, with its rights. */
public final class AgentIdentity {
  public static final String USER = "system:serviceaccount:nodeward:nodeward";
  public static final List<String> GROUPS =
      List.of("system:serviceaccounts", "system:serviceaccounts:nodeward");

  /** What the agent's User-Agent begins with, for the audit log. */
  public static final String USER_AGENT = "nodeward/";

  private AgentIdentity() {}

  /**
   * Applies the rights that are shipped, and nothing else: no admission policy, which wants a token
   * of a pod where these tests show a certificate.
   */
  public static void grant(ControlPlane plane) throws IOException {
    for (String file : List.of("rights/rbac.yaml", "base/evictions.yaml")) {
      plane.apply(Files.readString(manifests().resolve(file)));
    }
  }

  static Path manifests() {
    return Path.of(System.getProperty("nodeward.basedir"), "daemonset");
  }
}
