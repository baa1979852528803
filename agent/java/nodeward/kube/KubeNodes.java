package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The Nodes of the cluster, for commands that choose some by their labels. */
public final class KubeNodes {
  private static final int PAGE = 500;

  private final KubeClient kube;

  public KubeNodes(KubeClient kube) {
    this.kube = kube;
  }

  /** The names of those that the label selector matches, in the API's notation. */
  public List<String> select(String labelSelector) throws IOException {
    var names = new ArrayList<String>();
    String next = "";
    do {
      Answer answer = page(labelSelector, next);
      if (answer.code() == 410 && !next.isEmpty()) {
        // The list took longer than the API server remembers its first page: all over again.
        names.clear();
        answer = page(labelSelector, "");
      }
      if (!answer.accepted()) {
        throw answer.failure();
      }
      for (JsonNode node : answer.json().path("items")) {
        names.add(node.at("/metadata/name").asText());
      }
      next = answer.json().at("/metadata/continue").asText("");
    } while (!next.isEmpty());
    return List.copyOf(names);
  }

  private Answer page(String labelSelector, String next) throws IOException {
    String path =
        "/api/v1/nodes?labelSelector=%s&limit=%d"
            .formatted(KubeClient.segment(labelSelector), PAGE);
    return kube.get(
        "list nodes with " + labelSelector,
        next.isEmpty() ? path : path + "&continue=" + KubeClient.segment(next));
  }
}
