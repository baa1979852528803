package nodeward.kube;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import nodeward.config.Config;
import nodeward.termination.Permissions;

/** The agent's rights on the API server, by one SelfSubjectAccessReview each. */
public final class KubePermissions implements Permissions {
  private static final String PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

  /**
   * What the agent asks for; {@code subresource} is empty for most, so is {@code name}, which is
   * one in the agent's own namespace.
   */
  private record Right(
      String verb, String group, String resource, String subresource, String name) {
    Right(String verb, String group, String resource, String subresource) {
      this(verb, group, resource, subresource, "");
    }

    boolean endsPods() {
      return subresource.equals("eviction") || (resource.equals("pods") && verb.equals("delete"));
    }

    @Override
    public String toString() {
      String sub = subresource.isEmpty() ? "" : "/" + subresource;
      return "%s %s%s%s%s"
          .formatted(
              verb,
              resource,
              sub,
              group.isEmpty() ? "" : "." + group,
              name.isEmpty() ? "" : " " + KubeClosedNodes.NAMESPACE + "/" + name);
    }
  }

  private static final List<Right> RIGHTS =
      List.of(
          new Right("get", "", "nodes", ""),
          new Right("patch", "", "nodes", ""),
          new Right("list", "", "pods", ""),
          new Right("watch", "", "pods", ""),
          new Right("create", "", "pods", "eviction"),
          new Right("delete", "", "pods", ""),
          new Right("list", "storage.k8s.io", "volumeattachments", ""),
          new Right("create", "", "events", ""));

  private final KubeClient kube;
  private final List<Right> rights;

  /** Those that a termination needs. */
  public KubePermissions(KubeClient kube) {
    this(kube, RIGHTS);
  }

  private KubePermissions(KubeClient kube, List<Right> rights) {
    this.kube = kube;
    this.rights = rights;
  }

  /** Those that each feature that is switched on needs, and none twice. */
  public static KubePermissions of(KubeClient kube, Config config) {
    var rights = new LinkedHashSet<>(RIGHTS);
    rights.add(new Right("watch", "", "nodes", ""));
    rights.add(new Right("patch", "", "nodes", "status"));
    if (config.gate().enabled()) {
      rights.add(new Right("get", "apps", "daemonsets", ""));
    }
    if (config.metadata().enabled()
        && (config.metadata().namespaceRestrictions() || config.metadata().openByNamespace())) {
      rights.add(new Right("watch", "", "namespaces", ""));
    }
    if (config.metadata().enabled() && !config.metadata().container().listen().isEmpty()) {
      rights.add(new Right("create", "authentication.k8s.io", "tokenreviews", ""));
    }
    rights.add(new Right("watch", "policy", "poddisruptionbudgets", ""));
    if (config.runtime().enabled() && config.runtime().remediation().acts()) {
      rights.add(new Right("list", "", "nodes", ""));
      for (String verb : List.of("get", "patch")) {
        rights.add(new Right(verb, "coordination.k8s.io", "leases", "", KubeRepairTurn.LEASE));
      }
    }
    return new KubePermissions(kube, List.copyOf(rights));
  }

  @Override
  public String name() {
    return "api";
  }

  @Override
  public List<Check> check() {
    var checks = new ArrayList<Check>();
    rights.forEach(right -> checks.add(check(right)));
    return checks;
  }

  private Check check(Right right) {
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("apiVersion", "authorization.k8s.io/v1").put("kind", "SelfSubjectAccessReview");
    ObjectNode attributes = body.putObject("spec").putObject("resourceAttributes");
    attributes
        .put("verb", right.verb)
        .put("group", right.group)
        .put("resource", right.resource)
        .put("subresource", right.subresource);
    if (!right.name.isEmpty()) {
      attributes.put("namespace", KubeClosedNodes.NAMESPACE).put("name", right.name);
    }
    try {
      String operation = "review access to " + right;
      Answer answer =
          right.endsPods()
              ? kube.sendAboutPods(operation, PATH, body.toString())
              : kube.send(operation, "POST", PATH, KubeClient.JSON, body.toString());
      if (!answer.accepted()) {
        return new Check(right.toString(), Verdict.UNKNOWN, answer.summary());
      }
      return answer.json().at("/status/allowed").asBoolean()
          ? new Check(right.toString(), Verdict.GRANTED, "")
          : new Check(
              right.toString(),
              Verdict.MISSING,
              "grant \"%s\" to the agent, see daemonset/rights/rbac.yaml".formatted(right));
    } catch (IOException e) {
      return new Check(right.toString(), Verdict.UNKNOWN, String.valueOf(e.getMessage()));
    }
  }
}
