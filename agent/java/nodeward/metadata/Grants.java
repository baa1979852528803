package nodeward.metadata;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Histogram;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.time.Duration;
import java.util.Collection;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.metadata.PodDirectory.Asker;
import nodeward.node.Pod;

/**
 * The one place where requests meet who asks, what that pod may have and what is held of it. Each
 * question has two forms: one that never blocks and knows only what is known, and one that waits.
 */
final class Grants {
  /** How long a request may wait. Most SDKs give up after one second and do not try again. */
  record Patience(Duration unknownPod, Duration sts) {
    static final Patience OF_SDKS = new Patience(Duration.ofMillis(900), Duration.ofSeconds(5));
  }

  // With less, the cache waits a little for newer ones first.
  private static final Duration GOOD_LIFE = Duration.ofMinutes(15);

  private record Granted(Pod pod, Optional<String> base, PodRole role) {}

  private final ConcurrentHashMap<String, Granted> granted = new ConcurrentHashMap<>();
  private final boolean restricted;
  private final PodDirectory directory;
  private final RolePolicy policy;
  private final CredentialCache cache;
  private final Patience patience;
  private final Time time;
  private final Histogram hold;

  Grants(
      Config.Metadata config,
      PodDirectory directory,
      RolePolicy policy,
      CredentialCache cache,
      Patience patience,
      CollectorRegistry registry,
      Time time) {
    this.restricted = config.namespaceRestrictions();
    this.directory = directory;
    this.policy = policy;
    this.cache = cache;
    this.patience = patience;
    this.time = time;
    this.hold =
        Histogram.build(
                "nodeward_metadata_hold_seconds",
                "Time that requests waited for their pod to become known.")
            .buckets(0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
            .register(registry);
  }

  Optional<Pod> pod(InetAddress address) {
    return directory.known(address);
  }

  /** An address that is no pod's yet is waited for, the host's own is not. */
  Asker awaitPod(InetAddress address) throws InterruptedException {
    long began = System.nanoTime();
    Asker asker = directory.find(address);
    if (asker instanceof Asker.Unknown && isOfThisHost(address)) {
      return new Asker.Host();
    }
    if (asker instanceof Asker.Known || asker instanceof Asker.Host) {
      return asker;
    }
    try {
      return directory.await(address, patience.unknownPod.minusNanos(System.nanoTime() - began));
    } finally {
      hold.observe((System.nanoTime() - began) / 1e9);
    }
  }

  /** Whether an address that is not known may still become a pod's. */
  boolean watching() {
    return directory.watching();
  }

  /**
   * What the policy says; its last word on the same pod counts while nothing that it depends on has
   * changed, and is not kept where namespaces have a say.
   */
  @SuppressWarnings("ReferenceEquality") // the watch makes a new one for each change
  PodRole role(Pod pod) {
    if (restricted) {
      return policy.of(pod);
    }
    Optional<String> base = policy.baseArn();
    Granted last = granted.get(pod.uid());
    if (last == null || !last.pod.equals(pod) || !last.base.equals(base)) {
      last = new Granted(pod, base, policy.of(pod));
      granted.put(pod.uid(), last);
    }
    return last.role;
  }

  /** Forgets the pods that are gone. */
  void keep(Collection<Pod> pods) {
    granted.keySet().retainAll(pods.stream().map(Pod::uid).collect(Collectors.toSet()));
  }

  /** As {@link #role}, but waits while the pod's namespace is not known. */
  PodRole awaitRole(Pod pod) throws InterruptedException {
    return policy.await(pod, patience.unknownPod);
  }

  /** Empty when something has to be waited for. */
  Optional<CredentialCache.Answer.Held> held(RoleSession session) throws InterruptedException {
    return cache.get(session, Duration.ZERO) instanceof CredentialCache.Answer.Held held
            && time.now().plus(GOOD_LIFE).isBefore(held.credentials().expiration())
        ? Optional.of(held)
        : Optional.empty();
  }

  CredentialCache.Answer await(RoleSession session) throws InterruptedException {
    return cache.get(session, patience.sts);
  }

  private static boolean isOfThisHost(InetAddress address) {
    try {
      return NetworkInterface.getByInetAddress(address) != null;
    } catch (SocketException e) {
      return false;
    }
  }
}
