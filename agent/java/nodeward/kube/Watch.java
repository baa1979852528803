package nodeward.kube;

import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.Informable;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import java.util.function.Supplier;
import nodeward.component.Health;
import nodeward.component.Loop;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One list and watch of the API server, kept up for the agent's whole life by a fabric8 informer
 * and stored as our records. Whatever stands in its way (no kubeconfig, no API server, no
 * permission, a dead connection) is tried again without end; the first failure of a series is told
 * once, its end too. Listeners run on the informer's thread, and on the one that opens the watch
 * when it is open.
 *
 * @param <T> the type of the API
 * @param <V> what is kept of it
 */
final class Watch<T extends Watched<V>, V> implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Watch.class);
  private static final int REASONS_REMEMBERED = 8;
  // Between a handshake and the informer's own knowledge of it.
  private static final Duration HANDOVER = Duration.ofMillis(10);

  private final String resource;
  private final KubeClient kube;
  private final Function<KubernetesClient, Informable<T>> selection;
  private final ViewStore<T, V> store;
  private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
  private final Loop starter;
  private final Series series = new Series();
  // Set by each handshake, cleared by the starter when listeners have heard of it.
  private final AtomicBoolean opening = new AtomicBoolean();
  // Written once by the starter, read by watching(), which must not block.
  private volatile Optional<SharedIndexInformer<T>> informer = Optional.empty();
  // Set by the informer's first complete list, read by everybody.
  private volatile boolean synced;

  Watch(
      String resource,
      KubeClient kube,
      Function<KubernetesClient, Informable<T>> selection,
      Supplier<T> empty) {
    this.resource = resource;
    this.kube = kube;
    this.selection = selection;
    this.store = new ViewStore<>(empty);
    this.starter = new Loop("watch-" + resource, this::pass);
  }

  void start() {
    kube.onWatch(resource, series, this::watching);
    starter.start();
  }

  List<V> current() {
    return store.views();
  }

  boolean watching() {
    return synced && informer.map(SharedIndexInformer::isWatching).orElse(false);
  }

  /** Whether there has been a complete list, so that what is missing in it does not exist. */
  boolean synced() {
    return synced;
  }

  void onChange(Runnable listener) {
    listeners.add(listener);
  }

  Health health() {
    if (watching()) {
      return Health.healthy();
    }
    if (informer.isEmpty()) {
      return starter.health() instanceof Health.Degraded d
          ? Health.degraded("cannot watch " + resource + ": " + d.why())
          : Health.degraded("watch of " + resource + " is starting");
    }
    String why = series.current();
    return Health.degraded(
        why.isEmpty()
            ? "watch of " + resource + " is being opened"
            : "cannot watch " + resource + ": " + why);
  }

  @Override
  public void close() {
    starter.close();
    informer.ifPresent(SharedIndexInformer::stop);
    kube.offWatch(resource, series);
  }

  /**
   * Opens the watch, then tells listeners each time that it is open: the list before it was heard
   * while the watch did not stand yet, and nothing else need ever happen.
   */
  private Duration pass(Instant now) throws IOException {
    if (informer.isEmpty()) {
      open();
    }
    if (!opening.getAndSet(false)) {
      return Loop.UNTIL_WOKEN;
    }
    if (!watching()) {
      opening.set(true);
      return HANDOVER;
    }
    tellListeners();
    return Loop.UNTIL_WOKEN;
  }

  /** Waits only for credentials: from there on the informer tries again by itself. */
  private void open() throws IOException {
    SharedIndexInformer<T> opened =
        selection
            .apply(kube.client())
            .runnableInformer(0)
            .itemStore(store)
            .exceptionHandler(
                (started, failure) -> {
                  series.failed(Failures.text(failure));
                  return true;
                })
            .addEventHandler(new Changes());
    informer = Optional.of(opened);
    // Its failures come through the exception handler; this one would only repeat the first.
    var _ = opened.start();
  }

  private void tellListeners() {
    for (Runnable listener : listeners) {
      try {
        listener.run();
      } catch (RuntimeException e) {
        log.error("kubernetes: a listener of {} failed", resource, e);
      }
    }
  }

  private final class Changes implements ResourceEventHandler<T> {
    @Override
    public void onAdd(T added) {
      tellListeners();
    }

    @Override
    public void onUpdate(T before, T after) {
      tellListeners();
    }

    @Override
    public void onDelete(T last, boolean finalStateUnknown) {
      tellListeners();
    }

    @Override
    public void onList(String resourceVersion, boolean remainedEmpty) {
      synced = true;
      tellListeners();
    }
  }

  /** A series of failures and what was told of it. */
  private final class Series implements WatchAttempts {
    private final Set<String> told = new HashSet<>();
    private String last = "";

    @Override
    public synchronized void refused(String why) {
      opening.set(false);
      last = why;
      if (told.size() < REASONS_REMEMBERED && told.add(why)) {
        log.warn("kubernetes: cannot watch {}, trying again without end: {}", resource, why);
      } else {
        log.debug("kubernetes: cannot watch {} again: {}", resource, why);
      }
    }

    /** Requests tell their own failures, with more of the API server's words. */
    synchronized void failed(String why) {
      if (last.isEmpty()) {
        refused(why);
      }
    }

    @Override
    public synchronized void opened() {
      if (!last.isEmpty()) {
        log.info("kubernetes: watching {} again", resource);
      }
      last = "";
      told.clear();
      opening.set(true);
      starter.wake();
    }

    synchronized String current() {
      return last;
    }
  }
}
