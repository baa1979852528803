package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.metadata.Namespaces;

/**
 * The namespaces that were asked for, in one watch: the API server puts the label {@code
 * kubernetes.io/metadata.name} on each (KEP 2161, Kubernetes 1.22), which a watch can select
 * several names by. Another one asked for means a list and a watch anew, while the old watch serves
 * on; nothing is asked of the API server before the first question. Safe for use by several
 * threads.
 */
public final class KubeNamespaces implements Namespaces, Component {
  private static final String NAME_LABEL = "kubernetes.io/metadata.name";
  // Pods that come together ask for their namespaces together.
  private static final Duration GATHER = Duration.ofMillis(20);
  // What kubectl keeps there is as large as the rest and needed by nobody here.
  private static final String LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

  record View(String name, Map<String, String> annotations) {}

  /** One watch, the names that it selects and what it has told. */
  private record Followed(Set<String> names, Watch<Watched.NamespaceItem, View> watch) {}

  private final KubeClient kube;
  private final Loop loop = new Loop("namespaces", this::pass);
  private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition told = lock.newCondition();
  // All below is guarded by lock.
  private final Set<String> wanted = new TreeSet<>();
  private Map<String, Map<String, String>> found = Map.of();
  private Optional<Followed> serving = Optional.empty();
  private Optional<Followed> opening = Optional.empty();
  private Instant gatherUntil = Instant.MIN;
  private boolean closed;

  public KubeNamespaces(KubeClient kube) {
    this.kube = kube;
  }

  @Override
  public String name() {
    return "namespaces";
  }

  @Override
  public void start() {
    loop.start();
  }

  /** Healthy while nobody asks. */
  @Override
  public Health health() {
    lock.lock();
    try {
      return opening.or(() -> serving).map(f -> f.watch.health()).orElseGet(Health::healthy);
    } finally {
      lock.unlock();
    }
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    lock.lock();
    try {
      status.put("followed", wanted.size());
    } finally {
      lock.unlock();
    }
    return status;
  }

  @Override
  public void close() {
    loop.close();
    Optional<Followed> first;
    Optional<Followed> second;
    lock.lock();
    try {
      closed = true;
      first = serving;
      second = opening;
      told.signalAll();
    } finally {
      lock.unlock();
    }
    first.ifPresent(f -> f.watch.close());
    second.ifPresent(f -> f.watch.close());
  }

  @Override
  public Answer find(String namespace) {
    boolean news;
    Answer answer;
    lock.lock();
    try {
      news = wanted.add(namespace);
      answer = answer(namespace);
    } finally {
      lock.unlock();
    }
    if (news) {
      loop.wake();
    }
    return answer;
  }

  @Override
  public Answer await(String namespace, Duration limit) throws InterruptedException {
    Answer answer = find(namespace);
    long left = limit.toNanos();
    lock.lockInterruptibly();
    try {
      while (answer instanceof Answer.Unknown && left > 0 && !closed) {
        left = told.awaitNanos(left);
        answer = answer(namespace);
      }
      return answer;
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void onChange(Runnable listener) {
    listeners.add(listener);
  }

  @Override
  public void keep(Set<String> namespaces) {
    lock.lock();
    try {
      // The watch goes on as it is: what it tells too much is cheaper than a list and a watch.
      wanted.retainAll(namespaces);
    } finally {
      lock.unlock();
    }
  }

  private Answer answer(String namespace) {
    if (serving.isEmpty() || !serving.get().names.contains(namespace)) {
      String why = "namespace " + namespace + " is not read yet";
      return new Answer.Unknown(
          opening.flatMap(f -> trouble(f.watch)).map(t -> why + ": " + t).orElse(why));
    }
    Map<String, String> annotations = found.get(namespace);
    return annotations == null ? new Answer.Absent() : new Answer.Found(annotations);
  }

  private static Optional<String> trouble(Watch<Watched.NamespaceItem, View> watch) {
    return watch.health() instanceof Health.Degraded d ? Optional.of(d.why()) : Optional.empty();
  }

  /** Opens a watch for all that is wanted when the present ones do not select it. */
  private Duration pass(Instant now) throws IOException {
    Optional<Followed> replaced;
    Followed next;
    lock.lock();
    try {
      Optional<Followed> newest = opening.or(() -> serving);
      if (closed || wanted.isEmpty() || newest.filter(this::selectsAll).isPresent()) {
        gatherUntil = Instant.MIN;
        return Loop.UNTIL_WOKEN;
      }
      if (gatherUntil.equals(Instant.MIN)) {
        gatherUntil = now.plus(GATHER);
      }
      if (now.isBefore(gatherUntil)) {
        return Duration.between(now, gatherUntil);
      }
      gatherUntil = Instant.MIN;
      Set<String> names = Set.copyOf(wanted);
      next = new Followed(names, watch(names));
      replaced = opening;
      opening = Optional.of(next);
    } finally {
      lock.unlock();
    }
    replaced.ifPresent(f -> f.watch.close());
    next.watch.onChange(() -> changed(next));
    next.watch.start();
    return Loop.UNTIL_WOKEN;
  }

  private boolean selectsAll(Followed followed) {
    return followed.names.containsAll(wanted);
  }

  private Watch<Watched.NamespaceItem, View> watch(Set<String> names) {
    String[] selected = names.stream().sorted().toArray(String[]::new);
    return new Watch<>(
        "namespaces",
        kube,
        client -> client.resources(Watched.NamespaceItem.class).withLabelIn(NAME_LABEL, selected),
        Watched.NamespaceItem::new);
  }

  /** Takes in what the watch has told; the one that it replaces serves until its first list. */
  private void changed(Followed followed) {
    if (!followed.watch.synced()) {
      return;
    }
    Optional<Followed> replaced = Optional.empty();
    lock.lock();
    try {
      if (opening.filter(followed::equals).isPresent()) {
        replaced = serving;
        serving = opening;
        opening = Optional.empty();
      }
      if (serving.filter(followed::equals).isEmpty()) {
        return;
      }
      var next = new HashMap<String, Map<String, String>>();
      followed.watch.current().forEach(v -> next.put(v.name, v.annotations));
      found = Map.copyOf(next);
      told.signalAll();
    } finally {
      lock.unlock();
    }
    replaced.ifPresent(f -> f.watch.close());
    listeners.forEach(Runnable::run);
  }

  static View view(JsonNode namespace) {
    var annotations = new HashMap<>(Domain.annotations(namespace));
    annotations.remove(LAST_APPLIED);
    return new View(namespace.at("/metadata/name").asText(""), Map.copyOf(annotations));
  }
}
