package nodeward.kube;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import nodeward.component.Backoff;
import nodeward.component.Time;
import nodeward.readiness.ClosedNodes;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The closed nodes in annotation {@code nodeward.dev/closed} of one Lease: a JSON object from the
 * name of each node to the time of its last take. A node that has not taken its place again within
 * fifteen minutes has lost it, so that one which ended while closed does not count for ever. Writes
 * carry the resourceVersion; those that lose to another node's are tried again a few times, with
 * pauses of a random length. Blocks; safe for use by several threads.
 */
public final class KubeClosedNodes implements ClosedNodes {
  /** Where the agent's rights let it write Leases. */
  public static final String NAMESPACE = "nodeward";

  static final String LEASE = "nodeward-gate";
  static final String ANNOTATION = "nodeward.dev/closed";

  private static final Logger log = LoggerFactory.getLogger(KubeClosedNodes.class);
  private static final Duration STALE = Duration.ofMinutes(15);
  // A place that was taken later than this is kept without a write.
  private static final Duration RENEW = STALE.dividedBy(3);
  private static final int ATTEMPTS = 10;
  private static final Duration FIRST_PAUSE = Duration.ofMillis(20);
  private static final Duration LONGEST_PAUSE = Duration.ofMillis(500);
  // A share is a decimal fraction: 0.29 of 100 nodes are 29, not 28.
  private static final double ROUNDING = 1e-9;
  private static final ObjectMapper JSON = new ObjectMapper();

  /** The Lease as it was read; stale places are left out, except this node's own. */
  private record Seen(String resourceVersion, SortedMap<String, String> places) {}

  private final KubeClient kube;
  private final String node;
  private final String leaseName;
  private final String lease;
  private final String leases;
  private final Time time;

  public KubeClosedNodes(KubeClient kube, String node, Time time) {
    this(kube, node, NAMESPACE, time);
  }

  public KubeClosedNodes(KubeClient kube, String node, String namespace, Time time) {
    this(kube, node, namespace, LEASE, time);
  }

  /** For places of another kind, in a Lease of their own. */
  KubeClosedNodes(KubeClient kube, String node, String namespace, String leaseName, Time time) {
    this.kube = kube;
    this.node = node;
    this.leaseName = leaseName;
    this.lease = namespace + "/" + leaseName;
    this.leases =
        "/apis/coordination.k8s.io/v1/namespaces/" + KubeClient.segment(namespace) + "/leases";
    this.time = time;
  }

  /**
   * Costs one read while there is no place, and while the own one is fresh. To keep a place it has
   * to be taken again within fifteen minutes. Fails when the Lease cannot be read or written, and
   * when other nodes were faster ten times.
   */
  @Override
  public Place take(double share) throws IOException {
    var backoff = new Backoff(FIRST_PAUSE, LONGEST_PAUSE);
    for (int attempt = 1; ; attempt++) {
      Optional<Seen> seen = read();
      Answer answer;
      if (seen.isEmpty()) {
        answer = create();
      } else {
        SortedMap<String, String> places = seen.get().places;
        if (isFresh(places.get(node))) {
          return Place.TAKEN;
        }
        if (!places.containsKey(node) && !places.isEmpty() && places.size() >= limit(share)) {
          return Place.FULL;
        }
        places.put(node, time.now().toString());
        answer = write(seen.get());
      }
      if (answer.accepted()) {
        return Place.TAKEN;
      }
      // Somebody made, changed or deleted the Lease since it was read.
      boolean lost = answer.code() == 409 || (seen.isPresent() && answer.code() == 404);
      if (!lost || attempt == ATTEMPTS) {
        throw answer.failure();
      }
      pause(backoff);
    }
  }

  @Override
  public void release() throws IOException {
    var backoff = new Backoff(FIRST_PAUSE, LONGEST_PAUSE);
    for (int attempt = 1; ; attempt++) {
      Optional<Seen> seen = read();
      if (seen.isEmpty() || seen.get().places.remove(node) == null) {
        return;
      }
      Answer answer = write(seen.get());
      if (answer.accepted() || answer.code() == 404) {
        return;
      }
      if (answer.code() != 409 || attempt == ATTEMPTS) {
        throw answer.failure();
      }
      pause(backoff);
    }
  }

  private Optional<Seen> read() throws IOException {
    Answer answer =
        kube.get(
            "read lease " + lease + " of closed nodes",
            leases + "/" + KubeClient.segment(leaseName));
    return switch (answer.code()) {
      case 200 -> {
        JsonNode meta = answer.json().path("metadata");
        yield Optional.of(
            new Seen(
                meta.path("resourceVersion").asText(""),
                places(meta.path("annotations").path(ANNOTATION).asText(""))));
      }
      case 404 -> Optional.empty();
      default -> throw answer.failure();
    };
  }

  private Answer create() throws IOException {
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("apiVersion", "coordination.k8s.io/v1").put("kind", "Lease");
    ObjectNode meta = body.putObject("metadata").put("name", leaseName);
    annotate(meta, Map.of(node, time.now().toString()));
    return kube.send(
        "create lease " + lease + " of closed nodes",
        "POST",
        leases,
        KubeClient.JSON,
        body.toString());
  }

  private Answer write(Seen seen) throws IOException {
    ObjectNode patch = JsonNodeFactory.instance.objectNode();
    ObjectNode meta = patch.putObject("metadata").put("resourceVersion", seen.resourceVersion);
    annotate(meta, seen.places);
    return kube.send(
        "patch lease " + lease + " of closed nodes",
        "PATCH",
        leases + "/" + KubeClient.segment(leaseName),
        NodePatch.MERGE_PATCH,
        patch.toString());
  }

  private static void annotate(ObjectNode meta, Map<String, String> places) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    places.forEach(json::put);
    meta.putObject("annotations").put(ANNOTATION, json.toString());
  }

  /**
   * An own place that is stale but still there may be kept: whoever takes one writes the stale ones
   * away.
   */
  private SortedMap<String, String> places(String annotation) {
    var places = new TreeMap<String, String>();
    object(annotation)
        .properties()
        .forEach(
            e -> {
              String taken = e.getValue().asText("");
              if (e.getKey().equals(node) || age(taken).compareTo(STALE) <= 0) {
                places.put(e.getKey(), taken);
              }
            });
    return places;
  }

  private JsonNode object(String annotation) {
    if (annotation.isEmpty()) {
      return JsonNodeFactory.instance.objectNode();
    }
    try {
      JsonNode json = JSON.readTree(annotation);
      if (json.isObject()) {
        return json;
      }
    } catch (JsonProcessingException e) {
      log.debug("gate: annotation {} of lease {} is not JSON", ANNOTATION, lease, e);
    }
    // The next write puts it right.
    log.warn(
        "gate: annotation {} of lease {} is no JSON object, taken as empty", ANNOTATION, lease);
    return JsonNodeFactory.instance.objectNode();
  }

  private boolean isFresh(@Nullable String taken) {
    return taken != null && age(taken).compareTo(RENEW) <= 0;
  }

  /** Without a sign: a time far ahead is as little to be believed as one long ago. */
  private Duration age(String taken) {
    try {
      return Duration.between(Instant.parse(taken), time.now()).abs();
    } catch (DateTimeException | ArithmeticException _) {
      return Duration.ofSeconds(Long.MAX_VALUE);
    }
  }

  private long limit(double share) throws IOException {
    return Math.max(1, (long) Math.floor(share * nodes() + ROUNDING));
  }

  private long nodes() throws IOException {
    Answer answer = kube.get("count nodes", "/api/v1/nodes?limit=1");
    if (!answer.accepted()) {
      throw answer.failure();
    }
    return answer.json().path("items").size()
        + answer.json().at("/metadata/remainingItemCount").asLong();
  }

  private void pause(Backoff backoff) throws IOException {
    try {
      Thread.sleep(backoff.next());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      var interrupted =
          new InterruptedIOException("lease " + lease + " of closed nodes: interrupted");
      interrupted.initCause(e);
      throw interrupted;
    }
  }
}
