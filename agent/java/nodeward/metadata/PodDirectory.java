package nodeward.metadata;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.metadata.SandboxWitness.Seen;
import nodeward.node.Pod;
import nodeward.node.Pods;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells who asks from the source address. Two witnesses know the node's pods: the watch, and the
 * container runtime, which knows an address before the pod's first container runs and at once when
 * it changes hands. Where they contradict each other the runtime is believed on who has an address,
 * the watch on what that pod's annotations are. Pods that have ended and pods of the host network
 * never match by address. Without the API server the last state and the runtime count; without the
 * runtime, the watch alone.
 */
final class PodDirectory implements AutoCloseable {
  /** Who has an address. */
  sealed interface Asker {
    record Known(Pod pod) implements Asker {}

    /** No pod's address: not yet, not any more, or never. */
    record Unknown() implements Asker {}

    /** Two pods have it, and neither may get what is the other's. */
    record Contested(String pods) implements Asker {}

    /** The node's own address: the host, or pods of its network. */
    record Host() implements Asker {}

    /** Nobody of this node: the runtime, which knows all its pods, has no such address. */
    record Stranger() implements Asker {}
  }

  private record Snapshot(
      Map<InetAddress, Asker> askers,
      Set<InetAddress> host,
      List<Pod> pods,
      Map<String, Pod> byUid,
      Map<String, Pod> byFile) {
    /** A static pod's UID is the API server's invention; the runtime knows its file's hash. */
    Optional<Pod> of(Sandbox sandbox) {
      Pod pod = byUid.get(sandbox.uid());
      return Optional.ofNullable(
          pod != null
              ? pod
              : byFile.get(sandbox.uid() + " " + sandbox.namespace() + "/" + sandbox.name()));
    }
  }

  /**
   * How old the runtime's word may be. Between a sandbox that still runs and the first request of
   * another pod with its address lie its end, two runs of the network plugin and the start of a
   * container: 140 ms at the very least, see docs/decisions/0004.
   */
  static final Duration FRESH = Duration.ofMillis(50);

  // A runtime that takes longer does not start containers either: the watch's word does.
  private static final Duration PATIENCE = Duration.ofMillis(300);
  private static final Duration FIRST_PAUSE = Duration.ofMillis(20);
  private static final Duration LONGEST_PAUSE = Duration.ofMillis(160);
  // An address that a runtime has not got so long after the request came is no pod's.
  private static final Duration STRANGER = Duration.ofMillis(250);
  private static final Duration WITHOUT_WATCH = Duration.ofSeconds(5);
  private static final String MIRROR = "kubernetes.io/config.mirror";
  private static final Logger log = LoggerFactory.getLogger(PodDirectory.class);

  private final Pods source;
  private final SandboxWitness runtime;
  private final Runnable updated;
  private final Loop loop;
  private final Counter conflicts;
  private final AtomicInteger changes = new AtomicInteger();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  // Guarded by lock: grows with everything that is heard, so that nobody sleeps through it.
  private long version;
  // Written by one thread at a time, see update(); read by every request without a lock.
  private volatile Snapshot snapshot =
      new Snapshot(Map.of(), Set.of(), List.of(), Map.of(), Map.of());
  // Set for good once the runtime has shown a pod that the watch knows: it is the kubelet's.
  private volatile boolean ofKubelet;
  // Only touched by the thread that has asked the runtime, one after the other.
  private volatile List<Pod> lastAlone = List.of();

  /** {@code updated} runs after each change that has been taken in. */
  PodDirectory(
      Pods source, Sandboxes sandboxes, Time time, CollectorRegistry registry, Runnable updated) {
    this.source = source;
    this.runtime = new SandboxWitness(sandboxes, time, registry, this::heard);
    this.updated = updated;
    this.loop = new Loop("sandboxes", this::pass);
    this.conflicts =
        Counter.build(
                "nodeward_metadata_identity_conflicts_total",
                "Requests from an address that the watch still gives to another pod.")
            .register(registry);
  }

  /** Follows the watch from now on. */
  void start() {
    source.onChange(this::update);
    update();
    loop.start();
  }

  @Override
  public void close() {
    loop.close();
  }

  /** The pod that has the address now, if that can be told without waiting; never blocks long. */
  Optional<Pod> known(InetAddress address) {
    return runtime.settled(FRESH)
            && known(address, runtime.recent(FRESH)) instanceof Asker.Known(Pod pod)
        ? Optional.of(pod)
        : Optional.empty();
  }

  /** Who has the address now; waits for the runtime when its last word is too old. */
  Asker find(InetAddress address) throws InterruptedException {
    return known(address, runtime.within(FRESH, PATIENCE));
  }

  /** As {@link #find}, but waits until the address is one pod's, as long as given. */
  Asker await(InetAddress address, Duration limit) throws InterruptedException {
    long began = System.nanoTime();
    Duration pause = FIRST_PAUSE;
    Optional<Seen> word = runtime.within(FRESH, shorter(PATIENCE, limit));
    while (true) {
      long version = version();
      Seen before = runtime.last();
      Asker asker = known(address, word);
      Duration waited = Duration.ofNanos(System.nanoTime() - began);
      Duration left = limit.minus(waited);
      if (asker instanceof Asker.Known || asker instanceof Asker.Host || !left.isPositive()) {
        return asker;
      }
      if (waited.compareTo(STRANGER) >= 0 && isStranger(address, word)) {
        return new Asker.Stranger();
      }
      awaitChange(version, shorter(pause, left));
      pause = shorter(pause.multipliedBy(2), LONGEST_PAUSE);
      left = limit.minusNanos(System.nanoTime() - began);
      word = left.isPositive() ? runtime.after(before, shorter(left, PATIENCE)) : Optional.empty();
    }
  }

  /** The pods that may ask, also those whose address is not known yet. */
  List<Pod> pods() {
    Snapshot s = snapshot;
    var pods = new ArrayList<>(ofRuntimeAlone(s));
    boolean outdated = !source.watching() && ofKubelet && runtime.failure().isEmpty();
    Set<String> running = runtime.last().uids();
    for (Pod pod : s.pods) {
      if (!outdated || pod.addresses().isEmpty() || running.contains(runtimeUid(pod))) {
        pods.add(pod);
      }
    }
    return List.copyOf(pods);
  }

  boolean watching() {
    return source.watching();
  }

  /** What the runtime says, in words for people. */
  String runtime() {
    String failure = runtime.failure();
    return failure.isEmpty() ? runtime.last().uids().size() + " pods" : failure;
  }

  /** Who has the address by the watch and the runtime's word, where it has given one. */
  private Asker known(InetAddress address, Optional<Seen> word) {
    Snapshot s = snapshot;
    if (s.host.contains(address)) {
      return new Asker.Host();
    }
    Asker byWatch = s.askers.getOrDefault(address, new Asker.Unknown());
    if (word.isEmpty()) {
      return byWatch instanceof Asker.Unknown ? remembered(address, s) : byWatch;
    }
    Sandbox sandbox = word.get().byAddress().get(address);
    if (sandbox == null) {
      return ofKubelet && word.get().complete() ? new Asker.Unknown() : byWatch;
    }
    Asker bySandbox = of(sandbox, s);
    if (byWatch instanceof Asker.Known(Pod old)
        && !(bySandbox instanceof Asker.Known(Pod now) && now.uid().equals(old.uid()))) {
      conflicts.inc();
      log.debug(
          "metadata: address changed hands address={} watch={} runtime={}/{}",
          address.getHostAddress(),
          old.fullName(),
          sandbox.namespace(),
          sandbox.name());
    }
    return bySandbox;
  }

  /**
   * What a runtime said that does not answer any more. It makes no pods meanwhile, so it is right
   * as long as the watch says nothing else of the pod.
   */
  private Asker remembered(InetAddress address, Snapshot s) {
    Sandbox sandbox = runtime.last().byAddress().get(address);
    if (sandbox == null) {
      return new Asker.Unknown();
    }
    Optional<Pod> pod = s.of(sandbox);
    boolean newer = pod.isPresent() && !pod.get().addresses().isEmpty();
    boolean gone = pod.isEmpty() && source.watching();
    return newer || gone ? new Asker.Unknown() : of(sandbox, s);
  }

  /** The watch's pod of a sandbox, for its annotations; else the sandbox's own. */
  private static Asker of(Sandbox sandbox, Snapshot s) {
    Optional<Pod> pod = s.of(sandbox);
    if (pod.isEmpty()) {
      return new Asker.Known(sandbox.pod());
    }
    return pod.get().finished() || pod.get().hostNetwork()
        ? new Asker.Unknown()
        : new Asker.Known(pod.get());
  }

  /** Whether a runtime that knows this node's pods says that the address is none's. */
  private boolean isStranger(InetAddress address, Optional<Seen> word) {
    return ofKubelet
        && word.filter(Seen::complete).filter(w -> !w.byAddress().containsKey(address)).isPresent()
        && !snapshot.askers.containsKey(address);
  }

  private long version() {
    lock.lock();
    try {
      return version;
    } finally {
      lock.unlock();
    }
  }

  /** Waits until something has been heard since, but not longer than this. */
  private void awaitChange(long since, Duration limit) throws InterruptedException {
    long left = limit.toNanos();
    lock.lockInterruptibly();
    try {
      while (left > 0 && version == since) {
        left = changed.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Pods that only the runtime knows: the API server is away, or the watch lags behind. */
  private List<Pod> ofRuntimeAlone(Snapshot s) {
    return runtime.last().byAddress().values().stream()
        .distinct()
        .filter(sandbox -> s.of(sandbox).isEmpty())
        .map(Sandbox::pod)
        .toList();
  }

  /** Asks without a request only while the watch cannot tell, or until it has caught up. */
  private Duration pass(Instant now) throws InterruptedException {
    if (!source.watching() || !ofRuntimeAlone(snapshot).isEmpty()) {
      runtime.within(FRESH, WITHOUT_WATCH);
    }
    return WITHOUT_WATCH;
  }

  /** An answer of the runtime, or its failure. */
  private void heard() {
    prove();
    List<Pod> alone = ofRuntimeAlone(snapshot);
    boolean news = !alone.equals(lastAlone);
    lastAlone = alone;
    signal();
    if (news) {
      updated.run();
    }
  }

  private void prove() {
    Snapshot s = snapshot;
    if (!ofKubelet
        && s.pods.stream()
            .map(PodDirectory::runtimeUid)
            .anyMatch(runtime.last().uids()::contains)) {
      ofKubelet = true;
      log.info("metadata: container runtime is the kubelet's, addresses are taken from it");
    }
  }

  private void signal() {
    lock.lock();
    try {
      version++;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Only one thread reads at a time and it reads again for those that came meanwhile, so a later
   * state is never overwritten by an earlier one, and no lock is held while the port is asked.
   */
  private void update() {
    if (changes.getAndIncrement() > 0) {
      return;
    }
    int seen;
    do {
      seen = changes.get();
      Snapshot next;
      try {
        next = read(source.current());
      } catch (RuntimeException e) {
        changes.set(0); // the next change must not find the door shut
        throw e;
      }
      snapshot = next;
      prove();
      signal();
    } while (!changes.compareAndSet(seen, 0));
    updated.run();
  }

  private static Snapshot read(List<Pod> pods) {
    var candidates = new HashMap<InetAddress, List<Pod>>();
    var host = new HashSet<InetAddress>();
    var askers = new HashMap<InetAddress, Asker>();
    var may = new ArrayList<Pod>();
    var byUid = new HashMap<String, Pod>();
    var byFile = new HashMap<String, Pod>();
    for (Pod pod : pods) {
      byUid.put(pod.uid(), pod);
      pod.annotation(MIRROR).ifPresent(file -> byFile.put(file + " " + pod.fullName(), pod));
      if (pod.hostNetwork()) {
        host.addAll(pod.addresses());
      } else if (!pod.finished()) {
        may.add(pod);
        for (InetAddress address : pod.addresses()) {
          candidates.computeIfAbsent(address, a -> new ArrayList<>()).add(pod);
        }
      }
    }
    candidates.forEach((address, those) -> askers.put(address, winner(those)));
    askers.keySet().removeAll(host);
    return new Snapshot(askers, host, List.copyOf(may), byUid, byFile);
  }

  private static Asker winner(List<Pod> pods) {
    List<Pod> live = pods.stream().filter(p -> !p.terminating()).toList();
    List<Pod> left = live.isEmpty() ? pods : live;
    return left.size() == 1
        ? new Asker.Known(left.getFirst())
        : new Asker.Contested(String.join(" ", left.stream().map(Pod::fullName).toList()));
  }

  private static String runtimeUid(Pod pod) {
    return pod.annotation(MIRROR).orElse(pod.uid());
  }

  private static Duration shorter(Duration a, Duration b) {
    return a.compareTo(b) <= 0 ? a : b;
  }
}
