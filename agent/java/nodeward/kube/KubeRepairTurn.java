package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import nodeward.component.Time;
import nodeward.runtime.RepairTurn;

/**
 * The turn as the holder of one Lease, for fifteen minutes from when it was taken last. Writes
 * carry the resourceVersion; whoever loses to another node has been denied. How many nodes are
 * healthy is read from their conditions, in pages, only by a node that is about to mend itself.
 * Blocks.
 */
public final class KubeRepairTurn implements RepairTurn {
  static final String LEASE = "nodeward-repair";

  private static final Duration STALE = Duration.ofMinutes(15);
  private static final int PAGE = 500;
  private static final String UNHEALTHY = "ContainerRuntimeUnhealthy";
  // A share is a decimal fraction.
  private static final double ROUNDING = 1e-9;
  // The API's MicroTime.
  private static final DateTimeFormatter MICROS =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

  private final KubeClient kube;
  private final String node;
  private final String leases;
  private final Time time;

  public KubeRepairTurn(KubeClient kube, String node, Time time) {
    this(kube, node, KubeClosedNodes.NAMESPACE, time);
  }

  KubeRepairTurn(KubeClient kube, String node, String namespace, Time time) {
    this.kube = kube;
    this.node = node;
    this.leases =
        "/apis/coordination.k8s.io/v1/namespaces/" + KubeClient.segment(namespace) + "/leases";
    this.time = time;
  }

  @Override
  public Answer take(double minHealthyShare) throws IOException {
    Answer answer = takeLease();
    if (answer instanceof Answer.Denied) {
      return answer;
    }
    double share = healthyShare();
    if (share + ROUNDING < minHealthyShare) {
      release();
      return new Answer.Denied(
          "only %.0f %% of the other nodes are healthy".formatted(100 * share));
    }
    return answer;
  }

  private Answer takeLease() throws IOException {
    nodeward.kube.Answer read = kube.get("read lease " + LEASE, leases + "/" + LEASE);
    nodeward.kube.Answer written;
    switch (read.code()) {
      case 200 -> {
        String holder = read.json().at("/spec/holderIdentity").asText("");
        String renewed = read.json().at("/spec/renewTime").asText("");
        if (!holder.isEmpty() && !holder.equals(node) && isFresh(renewed)) {
          return new Answer.Denied("node " + holder + " is being mended");
        }
        ObjectNode patch = JsonNodeFactory.instance.objectNode();
        patch
            .putObject("metadata")
            .put("resourceVersion", read.json().at("/metadata/resourceVersion").asText());
        hold(patch, node);
        written = patch(patch);
      }
      case 404 -> {
        ObjectNode lease = JsonNodeFactory.instance.objectNode();
        lease.put("apiVersion", "coordination.k8s.io/v1").put("kind", "Lease");
        lease.putObject("metadata").put("name", LEASE);
        hold(lease, node);
        written =
            kube.send("create lease " + LEASE, "POST", leases, KubeClient.JSON, lease.toString());
      }
      default -> throw read.failure();
    }
    if (written.code() == 409) {
      return new Answer.Denied("another node was faster");
    }
    if (!written.accepted()) {
      throw written.failure();
    }
    return new Answer.Granted();
  }

  @Override
  public void release() throws IOException {
    nodeward.kube.Answer read = kube.get("read lease " + LEASE, leases + "/" + LEASE);
    if (read.code() == 404) {
      return;
    }
    if (!read.accepted()) {
      throw read.failure();
    }
    if (!read.json().at("/spec/holderIdentity").asText("").equals(node)) {
      return;
    }
    ObjectNode patch = JsonNodeFactory.instance.objectNode();
    patch
        .putObject("metadata")
        .put("resourceVersion", read.json().at("/metadata/resourceVersion").asText());
    hold(patch, "");
    nodeward.kube.Answer written = patch(patch);
    // Somebody else changed it meanwhile, who then has it.
    if (!written.accepted() && written.code() != 409) {
      throw written.failure();
    }
  }

  private nodeward.kube.Answer patch(ObjectNode patch) throws IOException {
    return kube.send(
        "patch lease " + LEASE,
        "PATCH",
        leases + "/" + LEASE,
        NodePatch.MERGE_PATCH,
        patch.toString());
  }

  private void hold(ObjectNode lease, String holder) {
    lease
        .putObject("spec")
        .put("holderIdentity", holder)
        .put("leaseDurationSeconds", STALE.toSeconds())
        .put("renewTime", MICROS.format(time.now()));
  }

  private boolean isFresh(String renewed) {
    try {
      // Without a sign: a time far ahead is as little to be believed as one long ago.
      return Duration.between(Instant.parse(renewed), time.now()).abs().compareTo(STALE) <= 0;
    } catch (DateTimeException e) {
      return false;
    }
  }

  /** Of the other nodes; 1 when there are none. */
  private double healthyShare() throws IOException {
    int others = 0;
    int healthy = 0;
    String more = "";
    do {
      nodeward.kube.Answer page =
          kube.get(
              "look at the other nodes",
              "/api/v1/nodes?limit="
                  + PAGE
                  + (more.isEmpty() ? "" : "&continue=" + KubeClient.segment(more)));
      if (!page.accepted()) {
        throw page.failure();
      }
      for (JsonNode other : page.json().path("items")) {
        if (!other.at("/metadata/name").asText().equals(node)) {
          others++;
          healthy += isHealthy(other) ? 1 : 0;
        }
      }
      more = page.json().at("/metadata/continue").asText("");
    } while (!more.isEmpty());
    return others == 0 ? 1 : (double) healthy / others;
  }

  private static boolean isHealthy(JsonNode other) {
    boolean ready = false;
    for (JsonNode condition : other.at("/status/conditions")) {
      boolean holds = condition.path("status").asText().equals("True");
      switch (condition.path("type").asText()) {
        case "Ready" -> ready = holds;
        case UNHEALTHY -> {
          if (holds) {
            return false;
          }
        }
        default -> {}
      }
    }
    return ready;
  }
}
