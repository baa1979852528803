package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import nodeward.node.Attachments;

/**
 * The VolumeAttachments of storage.k8s.io/v1 that name this node. The API has no selector for their
 * node, so all of them are read, in pages; each volume of this node is then looked up for its
 * claim. Never retries by itself. Safe for use by several threads.
 */
public final class KubeAttachments implements Attachments {
  private static final String PATH = "/apis/storage.k8s.io/v1/volumeattachments";
  private static final int PAGE = 500;

  private final KubeClient kube;
  private final String node;

  public KubeAttachments(KubeClient kube, String node) {
    this.kube = kube;
    this.node = node;
  }

  @Override
  public List<String> of(Set<String> claims) throws IOException {
    var found = new ArrayList<String>();
    for (JsonNode attachment : here()) {
      String volume = attachment.at("/spec/source/persistentVolumeName").asText("");
      if (!volume.isEmpty() && claims.contains(claim(volume))) {
        found.add(attachment.at("/metadata/name").asText());
      }
    }
    return List.copyOf(found);
  }

  @Override
  public boolean isThere(String attachment) throws IOException {
    Answer answer =
        kube.get(
            "read volume attachment " + attachment, PATH + "/" + KubeClient.segment(attachment));
    return switch (answer.code()) {
      case 200 -> true;
      case 404 -> false;
      default -> throw answer.failure();
    };
  }

  private List<JsonNode> here() throws IOException {
    var here = new ArrayList<JsonNode>();
    String next = "";
    do {
      Answer answer = page(next);
      if (answer.code() == 410 && !next.isEmpty()) {
        // The list took longer than the API server remembers its first page: all over again.
        here.clear();
        answer = page("");
      }
      if (!answer.accepted()) {
        throw answer.failure();
      }
      for (JsonNode item : answer.json().path("items")) {
        if (item.at("/spec/nodeName").asText().equals(node)) {
          here.add(item);
        }
      }
      next = answer.json().at("/metadata/continue").asText("");
    } while (!next.isEmpty());
    return here;
  }

  private Answer page(String next) throws IOException {
    String path = PATH + "?limit=" + PAGE;
    return kube.get(
        "list volume attachments",
        next.isEmpty() ? path : path + "&continue=" + KubeClient.segment(next));
  }

  /** {@code namespace/name} of the claim that the volume is bound to, empty without one. */
  private String claim(String volume) throws IOException {
    Answer answer =
        kube.get(
            "read persistent volume " + volume,
            "/api/v1/persistentvolumes/" + KubeClient.segment(volume));
    return switch (answer.code()) {
      case 200 -> {
        JsonNode claim = answer.json().at("/spec/claimRef");
        yield claim.path("namespace").asText("") + "/" + claim.path("name").asText("");
      }
      case 404 -> "";
      default -> throw answer.failure();
    };
  }
}
