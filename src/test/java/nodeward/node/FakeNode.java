package nodeward.node;

import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;

/**
 * A Node with its pods in memory, behind all the ports of the domain. It refuses a change that was
 * decided on an older resourceVersion of what it changes, as the guard of the real adapter does.
 */
public final class FakeNode implements Nodes, Evictions, NodeEvents {
  private final String name;
  private final List<Runnable> listeners = new ArrayList<>();
  private final Map<String, Pod> pods = new LinkedHashMap<>();
  private final Map<String, Evicted> answers = new HashMap<>();

  /** What was told and asked, in order. */
  public final List<String> events = new ArrayList<>();

  public final List<String> podEvents = new ArrayList<>();

  public final List<String> evictions = new ArrayList<>();

  /** How each of {@link #evictions} was asked. */
  public final List<Manner> manners = new ArrayList<>();

  public final List<NodeChange> changes = new ArrayList<>();
  public final List<List<Condition>> statusPatches = new ArrayList<>();
  public final List<String> removedConditions = new ArrayList<>();

  private Optional<NodeView> node = Optional.empty();
  private Optional<IOException> failure = Optional.empty();
  private Optional<Runnable> beforeChange = Optional.empty();
  private List<String> taintManagers = List.of();
  private boolean watching = true;
  private boolean mayTaint = true;
  private boolean listed = true;
  private int version;
  private int registrations;

  public FakeNode(String name) {
    this.name = name;
  }

  // --- what a test does to it

  /** From now on taints are as closed to the agent as they are to a kubelet. */
  public synchronized FakeNode refuseTaints() {
    mayTaint = false;
    return this;
  }

  /** Registers the Node with these taints, as a kubelet does; each time it is another Node. */
  public synchronized FakeNode register(Taint... taints) {
    registrations++;
    node =
        Optional.of(
            new NodeView(
                name,
                "uid-" + name + (registrations == 1 ? "" : "-" + registrations),
                nextVersion(),
                "aws:///eu-west-1a/i-0123456789abcdef0",
                "boot-1",
                false,
                List.of(taints),
                Map.of("kubernetes.io/hostname", name),
                Map.of(),
                List.of()));
    tellListeners();
    return this;
  }

  /** Somebody else edits the Node. */
  public synchronized void edit(UnaryOperator<NodeChange> edit) {
    node = Optional.of(apply(edit.apply(NodeChange.of(node.orElseThrow()))));
    tellListeners();
  }

  public synchronized void unregister() {
    node = Optional.empty();
    tellListeners();
  }

  public synchronized void put(Pod pod) {
    pods.put(pod.uid(), pod);
    tellListeners();
  }

  public synchronized void remove(Pod pod) {
    pods.remove(pod.uid());
    tellListeners();
  }

  /** Who owns the taints from now on, newest first. */
  public synchronized void taintsManagedBy(String... managers) {
    taintManagers = List.of(managers);
  }

  /** Every call fails with this, or none when empty. */
  public synchronized void failWith(Optional<IOException> failure) {
    this.failure = failure;
  }

  public synchronized void watching(Watch watch) {
    watching = watch == Watch.CONNECTED;
    listed = watch != Watch.UNLISTED;
    tellListeners();
  }

  /** Whether the watches are connected. */
  public enum Watch {
    CONNECTED,
    LOST,
    UNLISTED
  }

  /** Runs once, right before the next change is compared with what is stored. */
  public synchronized void beforeNextChange(Runnable edit) {
    beforeChange = Optional.of(edit);
  }

  /** The answer to evictions of this pod; {@link Evicted.Accepted} without one. */
  public synchronized void answer(Pod pod, Evicted evicted) {
    answers.put(pod.uid(), evicted);
  }

  // --- Nodes

  @Override
  public String nodeName() {
    return name;
  }

  @Override
  public synchronized Optional<NodeView> current() {
    return node;
  }

  @Override
  public synchronized boolean watching() {
    return watching;
  }

  @Override
  public synchronized void onChange(Runnable listener) {
    listeners.add(listener);
  }

  @Override
  public synchronized Optional<NodeView> read() throws IOException {
    mayFail();
    return node;
  }

  @Override
  public synchronized List<String> taintManagers() throws IOException {
    mayFail();
    return taintManagers;
  }

  @Override
  public synchronized boolean mayTaint() {
    return mayTaint;
  }

  @Override
  public synchronized Changed change(NodeChange change) throws IOException {
    if (!mayTaint && !change.taints().equals(change.seen().taints())) {
      throw new IOException("node \"" + name + "\" is not allowed to modify taints");
    }
    mayFail();
    Optional<Runnable> edit = beforeChange;
    beforeChange = Optional.empty();
    edit.ifPresent(Runnable::run);
    if (node.isEmpty()) {
      return new Changed.Absent();
    }
    if (change.isEmpty()) {
      return new Changed.Done(node.get());
    }
    if (!change.seen().resourceVersion().equals(node.get().resourceVersion())) {
      return new Changed.Stale("the object has been modified");
    }
    changes.add(change);
    node = Optional.of(apply(change));
    tellListeners();
    return new Changed.Done(node.get());
  }

  @Override
  public synchronized Changed writeConditions(List<Condition> conditions) throws IOException {
    mayFail();
    if (node.isEmpty()) {
      return new Changed.Absent();
    }
    statusPatches.add(List.copyOf(conditions));
    var merged = new LinkedHashMap<String, Condition>();
    node.get().conditions().forEach(c -> merged.put(c.type(), c));
    conditions.forEach(c -> merged.put(c.type(), c));
    NodeView n = node.get();
    node =
        Optional.of(
            new NodeView(
                name,
                n.uid(),
                nextVersion(),
                n.providerId(),
                n.bootId(),
                n.unschedulable(),
                n.taints(),
                n.labels(),
                n.annotations(),
                List.copyOf(merged.values())));
    tellListeners();
    return new Changed.Done(node.get());
  }

  @Override
  public synchronized Changed removeConditions(List<String> types) throws IOException {
    mayFail();
    if (node.isEmpty()) {
      return new Changed.Absent();
    }
    removedConditions.addAll(types);
    NodeView n = node.get();
    node =
        Optional.of(
            new NodeView(
                name,
                n.uid(),
                nextVersion(),
                n.providerId(),
                n.bootId(),
                n.unschedulable(),
                n.taints(),
                n.labels(),
                n.annotations(),
                n.conditions().stream().filter(c -> !types.contains(c.type())).toList()));
    tellListeners();
    return new Changed.Done(node.get());
  }

  // --- Pods. Its read() would clash with Nodes.read(): asPods() is this node's Pods port.

  /** The pods of this node as a port of their own. */
  public Pods asPods() {
    return new Pods() {
      @Override
      public List<Pod> current() {
        return pods();
      }

      @Override
      public boolean watching() {
        return FakeNode.this.watching();
      }

      @Override
      public boolean listed() {
        synchronized (FakeNode.this) {
          return listed;
        }
      }

      @Override
      public void onChange(Runnable listener) {
        FakeNode.this.onChange(listener);
      }

      @Override
      public List<Pod> read() throws IOException {
        synchronized (FakeNode.this) {
          mayFail();
          return pods();
        }
      }
    };
  }

  public synchronized List<Pod> pods() {
    return List.copyOf(pods.values());
  }

  // --- Evictions: an accepted pod is terminating until the test removes it

  @Override
  public synchronized Evicted evict(Pod pod, Manner manner) throws IOException {
    mayFail();
    if (manner.extent() == Extent.DONE) {
      evictions.add(pod.fullName());
      manners.add(manner);
    }
    if (!pods.containsKey(pod.uid())) {
      return new Evicted.Gone();
    }
    // No budget holds up a deletion.
    Evicted answer =
        manner.way() == Way.DELETION
            ? new Evicted.Accepted()
            : answers.getOrDefault(pod.uid(), new Evicted.Accepted());
    if (answer instanceof Evicted.Accepted && manner.extent() == Extent.DONE) {
      put(terminating(pods.get(pod.uid()), Instant.parse("2026-11-21T08:00:00Z")));
    }
    return answer;
  }

  @Override
  public synchronized void tell(Type type, String reason, String message) {
    events.add(type.text() + " " + reason + " " + message);
  }

  @Override
  public synchronized void tell(Pod pod, Type type, String reason, String message) {
    podEvents.add(pod.fullName() + " " + type.text() + " " + reason + " " + message);
  }

  // --- pods for tests

  /** A running pod of a ReplicaSet. */
  public static Pod pod(String namespace, String name, String address) {
    return pod(namespace, name, address, new Owner("apps/v1", "ReplicaSet", name, "rs", true));
  }

  /** A running pod of a DaemonSet; the pod's name is the DaemonSet's with a suffix. */
  public static Pod daemonPod(String namespace, String daemonSet) {
    var owner = new Owner("apps/v1", "DaemonSet", daemonSet, "ds-" + daemonSet, true);
    return pod(namespace, daemonSet + "-x7x7x", "", owner);
  }

  private static Pod pod(String namespace, String name, String address, Owner owner) {
    return new Pod(
        namespace,
        name,
        "uid-" + namespace + "-" + name,
        "node-1",
        Pod.Phase.RUNNING,
        address.isEmpty() ? List.of() : List.of(InetAddress.ofLiteral(address)),
        false,
        Pod.NEVER,
        Pod.NEVER,
        Duration.ofSeconds(30),
        0,
        false,
        "default",
        List.of(owner),
        Map.of(),
        Map.of());
  }

  public static Pod ready(Pod p, Instant since) {
    return with(p, p.phase(), since, p.deletion(), p.annotations());
  }

  public static Pod terminating(Pod p, Instant since) {
    return with(p, p.phase(), p.readySince(), since, p.annotations());
  }

  public static Pod inPhase(Pod p, Pod.Phase phase) {
    return with(p, phase, p.readySince(), p.deletion(), p.annotations());
  }

  public static Pod annotated(Pod p, String key, String value) {
    var all = new HashMap<>(p.annotations());
    all.put(key, value);
    return with(p, p.phase(), p.readySince(), p.deletion(), all);
  }

  /** The same pod with a claim of this name. */
  public static Pod withClaim(Pod p, String claim) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        p.phase(),
        p.addresses(),
        p.hostNetwork(),
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        p.owners(),
        p.labels(),
        p.annotations(),
        new Pod.Volumes(List.of(claim), List.of()));
  }

  /** The same pod under another UID and owner. */
  public static Pod owned(Pod p, String uid, Owner owner) {
    return new Pod(
        p.namespace(),
        p.name() + "-2",
        uid,
        p.nodeName(),
        p.phase(),
        p.addresses(),
        p.hostNetwork(),
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        List.of(owner),
        p.labels(),
        p.annotations());
  }

  private static Pod with(
      Pod p, Pod.Phase phase, Instant ready, Instant deletion, Map<String, String> annotations) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        phase,
        p.addresses(),
        p.hostNetwork(),
        ready,
        deletion,
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        p.owners(),
        p.labels(),
        annotations,
        p.volumes());
  }

  private NodeView apply(NodeChange change) {
    NodeView n = node.orElseThrow();
    return new NodeView(
        name,
        n.uid(),
        nextVersion(),
        n.providerId(),
        n.bootId(),
        change.unschedulable(),
        change.taints(),
        change.labels(),
        change.annotations(),
        n.conditions());
  }

  private String nextVersion() {
    return Integer.toString(++version);
  }

  private void mayFail() throws IOException {
    if (failure.isPresent()) {
      throw failure.get();
    }
  }

  private void tellListeners() {
    List.copyOf(listeners).forEach(Runnable::run);
  }
}
