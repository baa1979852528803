package nodeward.metadata;

import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import nodeward.node.Pod;
import nodeward.node.Pods;

/**
 * Tells who asks from the source address, by the node's pods. Pods that have ended never match and
 * pods of the host network never do by address; of two pods with one address the terminating one
 * loses, and two that both live get nothing. While the API server is away the last state counts.
 */
final class PodDirectory {
  /** Who has an address. */
  sealed interface Asker {
    record Known(Pod pod) implements Asker {}

    /** No pod's address: not yet, not any more, or never. */
    record Unknown() implements Asker {}

    /** Two pods have it, and neither may get what is the other's. */
    record Contested(String pods) implements Asker {}

    /** The node's own address: the host, or pods of its network. */
    record Host() implements Asker {}
  }

  private record Snapshot(Map<InetAddress, Asker> askers, Set<InetAddress> host, List<Pod> pods) {}

  private final Pods source;
  private final Runnable updated;
  private final AtomicInteger changes = new AtomicInteger();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  // Written by one thread at a time, see update(); read by every request without a lock.
  private volatile Snapshot snapshot = new Snapshot(Map.of(), Set.of(), List.of());

  /** {@code updated} runs after each change that has been taken in. */
  PodDirectory(Pods source, Runnable updated) {
    this.source = source;
    this.updated = updated;
  }

  /** Follows the watch from now on. */
  void start() {
    source.onChange(this::update);
    update();
  }

  Asker find(InetAddress address) {
    Snapshot s = snapshot;
    Asker asker = s.askers.get(address);
    if (asker != null) {
      return asker;
    }
    return s.host.contains(address) ? new Asker.Host() : new Asker.Unknown();
  }

  /** As {@link #find}, but waits until the address is one pod's, as long as given. */
  Asker await(InetAddress address, Duration limit) throws InterruptedException {
    long left = limit.toNanos();
    lock.lockInterruptibly();
    try {
      Asker asker = find(address);
      while (!(asker instanceof Asker.Known) && left > 0) {
        left = changed.awaitNanos(left);
        asker = find(address);
      }
      return asker;
    } finally {
      lock.unlock();
    }
  }

  /** The pods that may ask, also those whose address is not known yet. */
  List<Pod> pods() {
    return snapshot.pods;
  }

  boolean watching() {
    return source.watching();
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
      lock.lock();
      try {
        snapshot = next;
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    } while (!changes.compareAndSet(seen, 0));
    updated.run();
  }

  private static Snapshot read(List<Pod> pods) {
    var candidates = new HashMap<InetAddress, List<Pod>>();
    var host = new HashSet<InetAddress>();
    var askers = new HashMap<InetAddress, Asker>();
    var may = new ArrayList<Pod>();
    for (Pod pod : pods) {
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
    return new Snapshot(askers, host, List.copyOf(may));
  }

  private static Asker winner(List<Pod> pods) {
    List<Pod> live = pods.stream().filter(p -> !p.terminating()).toList();
    List<Pod> left = live.isEmpty() ? pods : live;
    return left.size() == 1
        ? new Asker.Known(left.getFirst())
        : new Asker.Contested(String.join(" ", left.stream().map(Pod::fullName).toList()));
  }
}
