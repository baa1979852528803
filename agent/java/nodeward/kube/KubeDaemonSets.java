package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import nodeward.node.DaemonSetView;
import nodeward.node.DaemonSets;
import nodeward.node.Placement;

/**
 * The DaemonSets of apps/v1, each call one request, or one per page. They are read field by field
 * from the JSON, where any field may be missing, since fabric8's classes for them are many. Never
 * retries by itself. Safe for use by several threads.
 */
public final class KubeDaemonSets implements DaemonSets {
  private static final int PAGE = 500;

  private final KubeClient kube;
  private final int page;

  public KubeDaemonSets(KubeClient kube) {
    this(kube, PAGE);
  }

  KubeDaemonSets(KubeClient kube, int page) {
    this.kube = kube;
    this.page = page;
  }

  /**
   * Answered from the API server's cache, as every node of the cluster asks at the same time: what
   * it says may be some moments old.
   */
  @Override
  public Optional<DaemonSetView> read(String namespace, String name) throws IOException {
    Answer answer =
        kube.get(
            "read daemonset " + namespace + "/" + name,
            path(namespace) + "/" + KubeClient.segment(name) + "?resourceVersion=0");
    return switch (answer.code()) {
      case 200 -> Optional.of(view(answer.json()));
      case 404 -> Optional.empty();
      default -> throw answer.failure();
    };
  }

  @Override
  public List<DaemonSetView> select(String namespace, String labelSelector) throws IOException {
    var found = new ArrayList<DaemonSetView>();
    String next = "";
    do {
      Answer answer = page(namespace, labelSelector, next);
      if (answer.code() == 410 && !next.isEmpty()) {
        // The list took longer than the API server remembers its first page: all over again.
        found.clear();
        answer = page(namespace, labelSelector, "");
      }
      if (!answer.accepted()) {
        throw answer.failure();
      }
      all(answer.json().path("items")).map(KubeDaemonSets::view).forEach(found::add);
      next = answer.json().at("/metadata/continue").asText("");
    } while (!next.isEmpty());
    return List.copyOf(found);
  }

  private Answer page(String namespace, String labelSelector, String next) throws IOException {
    String path =
        path(namespace)
            + "?labelSelector=%s&limit=%d".formatted(KubeClient.segment(labelSelector), page);
    return kube.get(
        "list daemonsets of namespace " + namespace + " with " + labelSelector,
        next.isEmpty() ? path : path + "&continue=" + KubeClient.segment(next));
  }

  private static String path(String namespace) {
    return "/apis/apps/v1/namespaces/" + KubeClient.segment(namespace) + "/daemonsets";
  }

  private static DaemonSetView view(JsonNode daemonSet) {
    JsonNode meta = daemonSet.path("metadata");
    return new DaemonSetView(
        text(meta, "namespace"),
        text(meta, "name"),
        text(meta, "uid"),
        placement(daemonSet.at("/spec/template/spec")));
  }

  private static Placement placement(JsonNode pod) {
    JsonNode required =
        pod.at("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    return new Placement(
        text(pod, "nodeName"),
        map(pod.path("nodeSelector")),
        required.isObject() ? Placement.Affinity.REQUIRED : Placement.Affinity.NONE,
        all(required.path("nodeSelectorTerms")).map(KubeDaemonSets::term).toList(),
        all(pod.path("tolerations")).map(KubeDaemonSets::toleration).toList(),
        pod.path("hostNetwork").asBoolean());
  }

  private static Placement.Term term(JsonNode term) {
    return new Placement.Term(
        all(term.path("matchExpressions")).map(KubeDaemonSets::expression).toList(),
        all(term.path("matchFields")).map(KubeDaemonSets::expression).toList());
  }

  private static Placement.Expression expression(JsonNode expression) {
    return new Placement.Expression(
        text(expression, "key"),
        text(expression, "operator"),
        all(expression.path("values")).map(v -> v.asText("")).toList());
  }

  private static Placement.Toleration toleration(JsonNode toleration) {
    String operator = text(toleration, "operator");
    return new Placement.Toleration(
        text(toleration, "key"),
        operator.isEmpty() ? "Equal" : operator,
        text(toleration, "value"),
        text(toleration, "effect"));
  }

  private static String text(JsonNode object, String field) {
    return object.path(field).asText("");
  }

  private static Stream<JsonNode> all(JsonNode list) {
    return StreamSupport.stream(list.spliterator(), false);
  }

  private static Map<String, String> map(JsonNode object) {
    var map = new HashMap<String, String>();
    object.properties().forEach(e -> map.put(e.getKey(), e.getValue().asText("")));
    return map;
  }
}
