package nodeward.kube;

import static java.util.Comparator.comparing;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.StreamSupport;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Time;
import nodeward.node.Changed;
import nodeward.node.Condition;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Nodes;

/**
 * One Node on the API server, watched by its name once started; reading and writing need no start.
 * A Node that does not exist yet is waited for, an API server that is away is tried again without
 * end. Safe for use by several threads.
 */
public final class OwnNode implements Nodes, Component {
  private static final String STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json";
  // How the API server says that a JSON patch does not fit the object; a 422 with another text
  // is about what would be written and does not pass by itself.
  private static final String PATCH_DOES_NOT_FIT = "the server rejected our request";

  private final KubeClient kube;
  private final String name;
  private final Time time;
  private final Watch<Watched.NodeItem, NodeView> watch;

  public OwnNode(KubeClient kube, String name, Time time) {
    this.kube = kube;
    this.name = name;
    this.time = time;
    this.watch =
        new Watch<>(
            "nodes",
            kube,
            client -> client.resources(Watched.NodeItem.class).withField("metadata.name", name),
            Watched.NodeItem::new);
  }

  @Override
  public String name() {
    return "node";
  }

  @Override
  public void start() {
    watch.start();
  }

  /** Degraded with the reason while the watch is not connected, and when there is no such Node. */
  @Override
  public Health health() {
    Health health = watch.health();
    return health.isHealthy() && current().isEmpty()
        ? Health.degraded("node " + name + " is not registered")
        : health;
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("name", name);
    status.put("watching", watching());
    current()
        .ifPresent(
            node -> {
              status.put("unschedulable", node.unschedulable());
              status.put("taints", node.taints().stream().map(Object::toString).toList());
            });
    return status;
  }

  @Override
  public void close() {
    watch.close();
  }

  @Override
  public String nodeName() {
    return name;
  }

  @Override
  public Optional<NodeView> current() {
    return watch.current().stream().findFirst();
  }

  @Override
  public boolean watching() {
    return watch.watching();
  }

  @Override
  public void onChange(Runnable listener) {
    watch.onChange(listener);
  }

  @Override
  public Optional<NodeView> read() throws IOException {
    Answer answer = kube.get("read node " + name, path());
    return switch (answer.code()) {
      case 200 -> Optional.of(view(answer));
      case 404 -> Optional.empty();
      default -> throw answer.failure();
    };
  }

  @Override
  public List<String> taintManagers() throws IOException {
    Answer answer = kube.get("read managers of node " + name, path());
    return switch (answer.code()) {
      case 200 ->
          StreamSupport.stream(answer.json().at("/metadata/managedFields").spliterator(), false)
              .filter(m -> m.path("fieldsV1").path("f:spec").has("f:taints"))
              // Times of the API all have the same form, so that texts sort as they do.
              .sorted(comparing((JsonNode m) -> m.path("time").asText("")).reversed())
              .map(m -> m.path("manager").asText(""))
              .distinct()
              .toList();
      case 404 -> List.of();
      default -> throw answer.failure();
    };
  }

  /** A kubelet may cordon its Node, but not change its taints (NodeRestriction). */
  @Override
  public boolean mayTaint() throws IOException {
    return !kube.isKubelet();
  }

  @Override
  public Changed change(NodeChange change) throws IOException {
    if (change.isEmpty()) {
      return new Changed.Done(change.seen());
    }
    NodePatch patch = NodePatch.of(change);
    return changed(
        kube.send(
            "patch node " + name, "PATCH", path(), patch.contentType(), patch.body().toString()));
  }

  @Override
  public Changed writeConditions(List<Condition> conditions) throws IOException {
    if (conditions.isEmpty()) {
      return read().<Changed>map(Changed.Done::new).orElseGet(Changed.Absent::new);
    }
    return changed(
        kube.send(
            "patch status of node " + name,
            "PATCH",
            path() + "/status",
            STRATEGIC_MERGE_PATCH,
            statusPatch(conditions).toString()));
  }

  @Override
  public Changed removeConditions(List<String> types) throws IOException {
    ObjectNode patch = JsonNodeFactory.instance.objectNode();
    ArrayNode list = patch.putObject("status").putArray("conditions");
    types.forEach(type -> list.addObject().put("$patch", "delete").put("type", type));
    return changed(
        kube.send(
            "remove conditions of node " + name,
            "PATCH",
            path() + "/status",
            STRATEGIC_MERGE_PATCH,
            patch.toString()));
  }

  private ObjectNode statusPatch(List<Condition> conditions) {
    ObjectNode patch = JsonNodeFactory.instance.objectNode();
    ArrayNode list = patch.putObject("status").putArray("conditions");
    String now = text(time.now());
    for (Condition c : conditions) {
      list.addObject()
          .put("type", c.type())
          .put("status", c.status().text())
          .put("reason", c.reason())
          .put("message", c.message())
          .put("lastHeartbeatTime", now)
          .put("lastTransitionTime", text(c.lastTransition()));
    }
    return patch;
  }

  private Changed changed(Answer answer) throws IOException {
    if (answer.code() == 422 && answer.message().startsWith(PATCH_DOES_NOT_FIT)) {
      return new Changed.Stale("the node is not as it was read");
    }
    return switch (answer.code()) {
      case 200 -> new Changed.Done(view(answer));
      case 404 -> new Changed.Absent();
      case 409 -> new Changed.Stale(answer.message());
      default -> throw answer.failure();
    };
  }

  private NodeView view(Answer answer) {
    return Domain.node(answer.json());
  }

  private String path() {
    return "/api/v1/nodes/" + KubeClient.segment(name);
  }

  /** Times of the API have whole seconds. */
  private static String text(Instant time) {
    return time.truncatedTo(ChronoUnit.SECONDS).toString();
  }
}
