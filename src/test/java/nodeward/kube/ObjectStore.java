package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.Predicate;
import nodeward.component.Time;
import org.jspecify.annotations.Nullable;

/**
 * The objects behind {@link FakeApiServer} and what kube-apiserver does with them: one counter of
 * resourceVersions, a history for watches, graceful deletion, evictions under disruption budgets.
 * Objects go in and out as copies. Every method holds the store's lock, subscribers are called
 * under it and must not block.
 */
final class ObjectStore {
  /** A type of the API. */
  record Kind(String group, String version, String resource, String kind, boolean namespaced) {
    String apiVersion() {
      return group.isEmpty() ? version : group + "/" + version;
    }

    /** As messages name it: {@code pods}, {@code daemonsets.apps}. */
    String qualified() {
      return group.isEmpty() ? resource : resource + "." + group;
    }
  }

  static final Kind NODES = new Kind("", "v1", "nodes", "Node", false);
  static final Kind PODS = new Kind("", "v1", "pods", "Pod", true);
  static final Kind NAMESPACES = new Kind("", "v1", "namespaces", "Namespace", false);
  static final Kind SERVICE_ACCOUNTS =
      new Kind("", "v1", "serviceaccounts", "ServiceAccount", true);
  static final Kind BUDGETS =
      new Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true);
  static final List<Kind> KINDS =
      List.of(
          NODES,
          PODS,
          NAMESPACES,
          BUDGETS,
          new Kind("", "v1", "events", "Event", true),
          SERVICE_ACCOUNTS,
          new Kind("apps", "v1", "daemonsets", "DaemonSet", true),
          new Kind("apps", "v1", "replicasets", "ReplicaSet", true),
          new Kind("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", false),
          new Kind("", "v1", "persistentvolumes", "PersistentVolume", false),
          new Kind("coordination.k8s.io", "v1", "leases", "Lease", true));

  /** Which part of an object a write is about; the other part stays. */
  enum Part {
    MAIN,
    STATUS
  }

  /** What became of one object at one resourceVersion; before is null when it was added. */
  record Event(long version, Kind kind, Type type, ObjectNode object, @Nullable ObjectNode before) {
    enum Type {
      ADDED,
      MODIFIED,
      DELETED
    }
  }

  /** Hears of every change; returns nothing and does not block. */
  interface Subscriber {
    void changed(Event event);
  }

  record Page(List<ObjectNode> items, long version, String next, int remaining) {}

  private static final int HISTORY = 10_000;
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
  private static final Set<String> EFFECTS = Set.of("NoSchedule", "PreferNoSchedule", "NoExecute");
  private static final Set<String> GENERATIONS =
      Set.of("pods", "daemonsets", "replicasets", "poddisruptionbudgets");
  private static final Duration DEFAULT_GRACE = Duration.ofSeconds(30);

  private final Time time;
  private final TreeMap<String, ObjectNode> objects = new TreeMap<>();
  private final Deque<Event> history = new ArrayDeque<>();
  private final Map<Subscriber, Kind> subscribers = new LinkedHashMap<>();
  private final List<Subscriber> everything = new ArrayList<>();
  // Far from 1, so that a test that writes a resourceVersion by hand writes an old one.
  private long version = 100;
  private long oldest = version;

  ObjectStore(Time time) {
    this.time = time;
    for (String namespace : List.of("default", "kube-system", "kube-public", "kube-node-lease")) {
      create(
          NAMESPACES,
          "",
          JSON.objectNode().set("metadata", JSON.objectNode().put("name", namespace)),
          "apiserver");
    }
  }

  // --- reading

  synchronized long version() {
    return version;
  }

  synchronized Optional<ObjectNode> get(Kind kind, String namespace, String name) {
    return Optional.ofNullable(objects.get(key(kind, namespace, name))).map(ObjectNode::deepCopy);
  }

  synchronized List<ObjectNode> list(Kind kind, String namespace, Predicate<JsonNode> selector) {
    return matching(kind, namespace, selector).stream().map(ObjectNode::deepCopy).toList();
  }

  /** A page of at most so many objects; zero: all. */
  synchronized Page page(
      Kind kind, String namespace, Predicate<JsonNode> selector, int limit, String next) {
    String after = next.isEmpty() ? "" : afterToken(next);
    List<ObjectNode> rest =
        matching(kind, namespace, selector).stream()
            .filter(o -> key(kind, o).compareTo(after) > 0)
            .toList();
    if (limit <= 0 || rest.size() <= limit) {
      return new Page(copies(rest), version, "", 0);
    }
    List<ObjectNode> page = rest.subList(0, limit);
    String token =
        Base64.getUrlEncoder()
            .withoutPadding()
            .encodeToString(
                (version + " " + key(kind, page.getLast())).getBytes(StandardCharsets.UTF_8));
    return new Page(copies(page), version, token, rest.size() - limit);
  }

  // --- watching

  /**
   * Delivers what happened after the version, or with version 0 what is there, and from then on
   * each change.
   */
  synchronized void subscribe(Kind kind, long after, Subscriber subscriber) {
    if (after != 0 && after < oldest) {
      throw Refusal.expired("too old resource version: %d (%d)".formatted(after, oldest));
    }
    if (after == 0) {
      matching(kind, "", o -> true)
          .forEach(
              o ->
                  subscriber.changed(
                      new Event(version, kind, Event.Type.ADDED, o.deepCopy(), null)));
    } else {
      history.stream()
          .filter(e -> e.version > after && e.kind == kind)
          .forEach(subscriber::changed);
    }
    subscribers.put(subscriber, kind);
  }

  /** Each change of every kind from now on. */
  synchronized void subscribeAll(Subscriber subscriber) {
    everything.add(subscriber);
  }

  synchronized void unsubscribe(Subscriber subscriber) {
    subscribers.remove(subscriber);
  }

  /** Forgets what happened, as etcd's compaction and a restart of the API server do. */
  synchronized void forgetHistory() {
    history.clear();
    oldest = version;
  }

  // --- writing, as the API does it

  /** {@code manager} is who writes, for the record of field managers. */
  synchronized ObjectNode create(Kind kind, String namespace, ObjectNode given, String manager) {
    ObjectNode object = given.deepCopy();
    ObjectNode meta = object.withObject("/metadata");
    if (meta.path("name").asText().isEmpty() && meta.has("generateName")) {
      String suffix = UUID.randomUUID().toString().substring(0, 5);
      meta.put("name", meta.path("generateName").asText() + suffix);
    }
    String name = meta.path("name").asText();
    if (name.isEmpty()) {
      throw Refusal.invalid(
          kind, "", "metadata.name: Required value: name or generateName is required");
    }
    if (kind.namespaced()) {
      String own = meta.path("namespace").asText(namespace);
      if (!own.equals(namespace)) {
        throw Refusal.badRequest(
            "the namespace of the provided object does not match the namespace sent on the"
                + " request");
      }
      meta.put("namespace", namespace);
      admit(kind, namespace, name);
    }
    if (objects.containsKey(key(kind, namespace, name))) {
      throw Refusal.exists(kind, name);
    }
    prepareNew(kind, object);
    validate(kind, object);
    recordManager(kind, object, JSON.objectNode(), manager);
    return store(kind, object);
  }

  /**
   * Replaces one part of an object. A resourceVersion in it must be the current one; nothing is
   * written when nothing differs.
   */
  synchronized ObjectNode update(
      Kind kind, String namespace, String name, Part part, ObjectNode given, String manager) {
    ObjectNode current = existing(kind, namespace, name);
    ObjectNode next = given.deepCopy();
    ObjectNode meta = next.withObject("/metadata");
    String seen = meta.path("resourceVersion").asText("");
    if (!seen.isEmpty() && !seen.equals(current.at("/metadata/resourceVersion").asText())) {
      throw Refusal.modified(kind, name);
    }
    next.put("kind", kind.kind()).put("apiVersion", kind.apiVersion());
    for (String fixed :
        List.of(
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields")) {
      keep(fixed, meta, current.path("metadata"));
    }
    keep(part == Part.MAIN ? "status" : "spec", next, current);
    validate(kind, next);
    if (GENERATIONS.contains(kind.resource()) && !next.path("spec").equals(current.path("spec"))) {
      meta.put("generation", meta.path("generation").asLong() + 1);
    }
    normalize(kind, next);
    recordManager(kind, next, current, manager);
    if (next.equals(current)) {
      return current.deepCopy();
    }
    return store(kind, next);
  }

  synchronized ObjectNode patch(
      Kind kind,
      String namespace,
      String name,
      Part part,
      String contentType,
      String patch,
      String manager) {
    ObjectNode current = existing(kind, namespace, name);
    ObjectNode patched = Patches.apply(contentType, patch, current);
    return update(kind, namespace, name, part, patched, manager);
  }

  /** Returns the object as it was last; a pod on a node only begins to end. */
  synchronized ObjectNode delete(Kind kind, String namespace, String name, JsonNode options) {
    ObjectNode current = existing(kind, namespace, name);
    requireUid(kind, name, current, options);
    if (options.path("dryRun").size() > 0) {
      return current.deepCopy();
    }
    if (kind == NAMESPACES) {
      ObjectNode ending = current.deepCopy();
      ending.withObject("/metadata").put("deletionTimestamp", now());
      ending.withObject("/status").put("phase", "Terminating");
      return store(kind, ending);
    }
    if (kind == PODS) {
      long grace = grace(current, options);
      if (grace > 0) {
        return endGracefully(current, grace);
      }
    }
    return remove(kind, current);
  }

  /** The eviction subresource, in the order of checks of kube-apiserver. */
  synchronized void evict(String namespace, String name, JsonNode eviction) {
    JsonNode options = eviction.path("deleteOptions");
    admit(PODS, namespace, name);
    ObjectNode pod = existing(PODS, namespace, name);
    if (!eviction.at("/metadata/name").asText(name).equals(name)) {
      throw Refusal.badRequest("name in URL does not match name in Eviction object");
    }
    boolean dryRun = options.path("dryRun").size() > 0;
    if (budgetApplies(pod)) {
      List<ObjectNode> budgets =
          matching(
              BUDGETS,
              namespace,
              b -> Selectors.selects(b.at("/spec/selector"), pod.at("/metadata/labels")));
      if (budgets.size() > 1) {
        throw Refusal.twoBudgets();
      }
      if (budgets.size() == 1 && !unhealthyMayGo(budgets.getFirst(), pod)) {
        useBudget(budgets.getFirst(), name, dryRun);
      }
    }
    requireUid(PODS, name, pod, options);
    if (!dryRun) {
      ObjectNode disrupted = pod.deepCopy();
      addDisruptionTarget(disrupted);
      store(PODS, disrupted);
      delete(PODS, namespace, name, options);
    }
  }

  // --- writing past the API, as a simulated kubelet or controller does it

  /** Adds the object or replaces it whole, status included. */
  synchronized ObjectNode put(Kind kind, ObjectNode given) {
    ObjectNode object = given.deepCopy();
    object.put("kind", kind.kind()).put("apiVersion", kind.apiVersion());
    ObjectNode meta = object.withObject("/metadata");
    if (kind.namespaced() && meta.path("namespace").asText().isEmpty()) {
      meta.put("namespace", "default");
    }
    ObjectNode current = objects.get(key(kind, object));
    if (current == null) {
      ObjectNode status = object.path("status") instanceof ObjectNode s ? s.deepCopy() : null;
      prepareNew(kind, object);
      if (status != null) {
        object.set("status", status);
      }
    } else {
      for (String fixed : List.of("uid", "creationTimestamp")) {
        keep(fixed, meta, current.path("metadata"));
      }
      if (kind == NAMESPACES) {
        label(object);
      }
    }
    return store(kind, object);
  }

  synchronized boolean delete(Kind kind, String namespace, String name) {
    ObjectNode current = objects.get(key(kind, namespace, name));
    if (current != null) {
      remove(kind, current);
    }
    return current != null;
  }

  /** Removes the pods whose grace is over at the time. */
  synchronized void endTerminating(Instant now) {
    matching(
            PODS,
            "",
            p ->
                p.at("/metadata").has("deletionTimestamp")
                    && !Instant.parse(p.at("/metadata/deletionTimestamp").asText()).isAfter(now))
        .forEach(p -> remove(PODS, p));
  }

  // --- inside

  private void prepareNew(Kind kind, ObjectNode object) {
    object.put("kind", kind.kind()).put("apiVersion", kind.apiVersion());
    ObjectNode meta = object.withObject("/metadata");
    meta.put("uid", UUID.randomUUID().toString()).put("creationTimestamp", now());
    if (GENERATIONS.contains(kind.resource())) {
      meta.put("generation", 1);
      // Node and Event keep what they are created with; of these the status is the server's.
      object.putObject("status");
    }
    if (kind == PODS) {
      object.withObject("/status").put("phase", "Pending");
      ObjectNode spec = object.withObject("/spec");
      if (!spec.has("terminationGracePeriodSeconds")) {
        spec.put("terminationGracePeriodSeconds", DEFAULT_GRACE.toSeconds());
      }
    }
    if (kind == NAMESPACES) {
      object.withObject("/status").put("phase", "Active");
    }
    normalize(kind, object);
  }

  /** The admission plugin TaintNodesByCondition: a Node that comes by the API is not ready yet. */
  static void taintNew(ObjectNode node) {
    String key = "node.kubernetes.io/not-ready";
    for (JsonNode taint : node.at("/spec/taints")) {
      if (taint.path("key").asText().equals(key)) {
        return;
      }
    }
    node.withObject("/spec")
        .withArray("/taints")
        .addObject()
        .put("key", key)
        .put("effect", "NoSchedule");
  }

  private static void validate(Kind kind, ObjectNode object) {
    if (kind != NODES) {
      return;
    }
    String name = object.at("/metadata/name").asText();
    var seen = new ArrayList<String>();
    for (JsonNode taint : object.at("/spec/taints")) {
      String effect = taint.path("effect").asText();
      if (!EFFECTS.contains(effect)) {
        throw Refusal.invalid(
            kind,
            name,
            "metadata.taints[%d].effect: Unsupported value: \"%s\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""
                .formatted(seen.size(), effect));
      }
      String value = taint.path("value").asText();
      if (!value.matches("([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")) {
        throw Refusal.invalid(
            kind,
            name,
            "metadata.taints[%d].value: Invalid value: \"%s\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
                .formatted(seen.size(), value));
      }
      String pair = taint.path("key").asText() + ":" + effect;
      if (seen.contains(pair)) {
        throw Refusal.invalid(
            kind,
            name,
            "metadata.taints[%d]: Duplicate value: taints must be unique by key and effect pair"
                .formatted(seen.size()));
      }
      seen.add(pair);
    }
  }

  /** Empty and false fields are absent in what the API server stores. */
  private static void normalize(Kind kind, ObjectNode object) {
    ObjectNode meta = object.withObject("/metadata");
    for (String map : List.of("labels", "annotations")) {
      if (meta.path(map).isObject() && meta.path(map).isEmpty()) {
        meta.remove(map);
      }
    }
    if (kind == NAMESPACES) {
      label(object);
    }
    if (kind == NODES && object.path("spec") instanceof ObjectNode spec) {
      if (spec.path("taints").isEmpty()) {
        spec.remove("taints");
      }
      if (!spec.path("unschedulable").asBoolean()) {
        spec.remove("unschedulable");
      }
    }
  }

  /** The label that the API server puts on each namespace. */
  private static void label(ObjectNode namespace) {
    String name = namespace.at("/metadata/name").asText();
    namespace.withObject("/metadata/labels").put("kubernetes.io/metadata.name", name);
  }

  /** Of all managed fields only the taints of Nodes: a list that has one owner, its last writer. */
  private void recordManager(Kind kind, ObjectNode object, ObjectNode before, String manager) {
    JsonNode taints = object.at("/spec/taints");
    if (kind != NODES || taints.equals(before.at("/spec/taints"))) {
      return;
    }
    ObjectNode meta = object.withObject("/metadata");
    meta.remove("managedFields");
    if (taints.isEmpty()) {
      return;
    }
    ObjectNode entry = meta.putArray("managedFields").addObject();
    entry.put("manager", manager).put("operation", "Update").put("apiVersion", "v1");
    entry.put("time", now()).put("fieldsType", "FieldsV1");
    entry.putObject("fieldsV1").putObject("f:spec").putObject("f:taints");
  }

  private ObjectNode store(Kind kind, ObjectNode object) {
    version++;
    object.withObject("/metadata").put("resourceVersion", Long.toString(version));
    ObjectNode before = objects.put(key(kind, object), object);
    tell(
        new Event(
            version,
            kind,
            before == null ? Event.Type.ADDED : Event.Type.MODIFIED,
            object.deepCopy(),
            before));
    return object.deepCopy();
  }

  private ObjectNode remove(Kind kind, ObjectNode current) {
    version++;
    objects.remove(key(kind, current));
    ObjectNode last = current.deepCopy();
    last.withObject("/metadata").put("resourceVersion", Long.toString(version));
    tell(new Event(version, kind, Event.Type.DELETED, last, current));
    return last.deepCopy();
  }

  private void tell(Event event) {
    history.addLast(event);
    if (history.size() > HISTORY) {
      oldest = history.removeFirst().version;
    }
    everything.forEach(s -> s.changed(event));
    subscribers.forEach(
        (subscriber, kind) -> {
          if (kind == event.kind) {
            subscriber.changed(event);
          }
        });
  }

  private ObjectNode existing(Kind kind, String namespace, String name) {
    ObjectNode current = objects.get(key(kind, namespace, name));
    if (current == null) {
      throw Refusal.notFound(kind, name);
    }
    return current;
  }

  private void admit(Kind kind, String namespace, String name) {
    ObjectNode in = existing(NAMESPACES, "", namespace);
    if (in.at("/status/phase").asText().equals("Terminating")) {
      throw Refusal.terminating(kind, name, namespace);
    }
  }

  private static void requireUid(Kind kind, String name, ObjectNode current, JsonNode options) {
    String wanted = options.at("/preconditions/uid").asText("");
    String found = current.at("/metadata/uid").asText();
    if (!wanted.isEmpty() && !wanted.equals(found)) {
      throw Refusal.otherUid(kind, name, wanted, found);
    }
  }

  private static long grace(ObjectNode pod, JsonNode options) {
    if (pod.at("/spec/nodeName").asText().isEmpty() || finished(pod)) {
      return 0;
    }
    JsonNode asked = options.path("gracePeriodSeconds");
    return asked.isNumber()
        ? asked.asLong()
        : pod.at("/spec/terminationGracePeriodSeconds").asLong(DEFAULT_GRACE.toSeconds());
  }

  /** A second deletion can only shorten the first's grace. */
  private ObjectNode endGracefully(ObjectNode pod, long grace) {
    Instant end = time.now().plusSeconds(grace).truncatedTo(ChronoUnit.SECONDS);
    JsonNode before = pod.at("/metadata/deletionTimestamp");
    if (before.isTextual() && !Instant.parse(before.asText()).isAfter(end)) {
      return pod.deepCopy();
    }
    ObjectNode ending = pod.deepCopy();
    ObjectNode meta = ending.withObject("/metadata");
    meta.put("deletionTimestamp", end.toString())
        .put("deletionGracePeriodSeconds", grace)
        .put("generation", meta.path("generation").asLong() + 1);
    return store(PODS, ending);
  }

  private static boolean finished(ObjectNode pod) {
    String phase = pod.at("/status/phase").asText();
    return phase.equals("Succeeded") || phase.equals("Failed");
  }

  private static boolean budgetApplies(ObjectNode pod) {
    return !finished(pod)
        && !pod.at("/status/phase").asText().equals("Pending")
        && !pod.path("metadata").has("deletionTimestamp");
  }

  private static boolean unhealthyMayGo(ObjectNode budget, ObjectNode pod) {
    for (JsonNode condition : pod.at("/status/conditions")) {
      if (condition.path("type").asText().equals("Ready")
          && condition.path("status").asText().equals("True")) {
        return false;
      }
    }
    JsonNode status = budget.path("status");
    return budget.at("/spec/unhealthyPodEvictionPolicy").asText().equals("AlwaysAllow")
        || (status.path("desiredHealthy").asInt() > 0
            && status.path("currentHealthy").asInt() >= status.path("desiredHealthy").asInt());
  }

  private void useBudget(ObjectNode budget, String pod, boolean dryRun) {
    String name = budget.at("/metadata/name").asText();
    JsonNode status = budget.path("status");
    if (status.path("observedGeneration").asLong() < budget.at("/metadata/generation").asLong()) {
      throw Refusal.budget(
              "The disruption budget " + name + " is still being processed by the server.")
          .retryAfter(10);
    }
    int allowed = status.path("disruptionsAllowed").asInt();
    if (allowed < 0) {
      throw Refusal.of(
          403,
          "Forbidden",
          "poddisruptionbudgets.policy \"%s\" is forbidden: pdb disruptions allowed is negative"
              .formatted(name));
    }
    if (allowed == 0) {
      throw Refusal.budget(
          "The disruption budget %s needs %d healthy pods and has %d currently"
              .formatted(
                  name,
                  status.path("desiredHealthy").asInt(),
                  status.path("currentHealthy").asInt()));
    }
    if (!dryRun) {
      ObjectNode used = budget.deepCopy();
      used.withObject("/status").put("disruptionsAllowed", allowed - 1);
      used.withObject("/status").withObject("/disruptedPods").put(pod, now());
      store(BUDGETS, used);
    }
  }

  private void addDisruptionTarget(ObjectNode pod) {
    for (JsonNode condition : pod.at("/status/conditions")) {
      if (condition.path("type").asText().equals("DisruptionTarget")) {
        return;
      }
    }
    pod.withObject("/status")
        .withArray("/conditions")
        .addObject()
        .put("type", "DisruptionTarget")
        .put("status", "True")
        .put("lastTransitionTime", now())
        .put("reason", "EvictionByEvictionAPI")
        .put("message", "Eviction API: evicting");
  }

  private List<ObjectNode> matching(Kind kind, String namespace, Predicate<JsonNode> selector) {
    String prefix = key(kind, namespace, "");
    return List.copyOf(objects.tailMap(prefix).entrySet()).stream()
        .takeWhile(e -> e.getKey().startsWith(prefix))
        .map(Map.Entry::getValue)
        .filter(selector)
        .toList();
  }

  private static List<ObjectNode> copies(List<ObjectNode> objects) {
    return objects.stream().map(ObjectNode::deepCopy).toList();
  }

  private String afterToken(String token) {
    String[] parts;
    try {
      parts =
          new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8).split(" ", 2);
      if (Long.parseLong(parts[0]) >= oldest) {
        return parts[1];
      }
    } catch (IllegalArgumentException e) {
      throw Refusal.badRequest(
          "invalid continue token: continue key is not valid: " + e.getMessage());
    }
    throw Refusal.expired(
        "The provided continue parameter is too old to display a consistent list result. You can"
            + " start a new list without the continue parameter.");
  }

  private static void keep(String field, ObjectNode in, JsonNode of) {
    if (of.has(field)) {
      in.set(field, of.get(field).deepCopy());
    } else {
      in.remove(field);
    }
  }

  private static String key(Kind kind, ObjectNode object) {
    JsonNode meta = object.path("metadata");
    return key(kind, meta.path("namespace").asText(), meta.path("name").asText());
  }

  /** An empty name makes the prefix of all names, an empty namespace that of all namespaces. */
  private static String key(Kind kind, String namespace, String name) {
    String all = kind.qualified() + "/";
    if (!kind.namespaced()) {
      return all + name;
    }
    return namespace.isEmpty() ? all : all + namespace + "/" + name;
  }

  private String now() {
    return time.now().truncatedTo(ChronoUnit.SECONDS).toString();
  }
}
