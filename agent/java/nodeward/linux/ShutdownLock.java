package nodeward.linux;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Gauge;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import nodeward.component.Component;
import nodeward.component.Health;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Holds a delay lock of logind where the kubelet holds one: then the kubelet ends all pods before
 * any unit is stopped, and the drain has to begin when logind says that a shutdown is prepared. The
 * lock is let go when the node is drained, so that the kubelet and the machine go on. A thread of
 * the platform waits on the bus; without a bus nothing is held, which is told and tried again.
 */
public final class ShutdownLock implements Component {
  private static final Logger log = LoggerFactory.getLogger(ShutdownLock.class);
  static final String KUBELET = "kubelet";
  static final String OURS = "nodeward";
  static final Path LIMIT_FILE = Path.of("/etc/systemd/logind.conf.d/99-nodeward.conf");

  private static final Duration LOOK = Duration.ofMillis(500);
  private static final Duration LOOK_AGAIN = Duration.ofSeconds(30);
  private static final Duration CONNECT_AGAIN = Duration.ofSeconds(5);
  private static final Duration MARGIN = Duration.ofSeconds(1);

  /** What a shutdown leads to; called by the waiting thread. */
  public interface Shutdowns {
    /** One begins, and may be delayed for so long. */
    void begins(Duration budget);

    /** Whether there is nothing left to delay it for. */
    boolean handled();

    /** It does not come after all. */
    void cancelled();
  }

  private final Duration wanted;
  private final Shutdowns shutdowns;
  private final Path socket;
  private final Path limitFile;
  private final Gauge held;
  private final Thread thread;
  // Set by close(), read by the waiting thread.
  private volatile boolean closed;
  // Written by the waiting thread for those who show it.
  private volatile String standing = "not looked yet";

  // For the waiting thread alone.
  private int descriptor = -1;
  private boolean begun;

  /** {@code wanted} is how long a shutdown should be delayed at most. */
  public ShutdownLock(Duration wanted, Shutdowns shutdowns, CollectorRegistry registry) {
    this(wanted, shutdowns, registry, Dbus.SYSTEM_BUS, LIMIT_FILE);
  }

  ShutdownLock(
      Duration wanted,
      Shutdowns shutdowns,
      CollectorRegistry registry,
      Path socket,
      Path limitFile) {
    this.wanted = wanted;
    this.shutdowns = shutdowns;
    this.socket = socket;
    this.limitFile = limitFile;
    this.held =
        Gauge.build(
                "nodeward_termination_shutdown_lock",
                "1 while a delay lock of logind is held, for which there is need where the kubelet"
                    + " ends pods at shutdown.")
            .register(registry);
    this.thread = Thread.ofPlatform().daemon().name("shutdown-lock").unstarted(this::run);
  }

  @Override
  public String name() {
    return "shutdown";
  }

  @Override
  public void start() {
    thread.start();
  }

  /** Without a bus there is nothing to be held, which is no fault. */
  @Override
  public Health health() {
    return Health.healthy();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("lock", standing);
    return status;
  }

  @Override
  public void close() {
    closed = true;
    thread.interrupt();
    try {
      if (thread.getState() != Thread.State.NEW) {
        thread.join(LOOK.multipliedBy(4));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void run() {
    while (!closed) {
      try (Logind logind = new Logind(socket)) {
        watch(logind);
      } catch (IOException e) {
        say("none: " + e.getMessage());
        log.debug("shutdown: no word with logind why=\"{}\"", e.getMessage());
      } finally {
        letGo();
      }
      try {
        Thread.sleep(CONNECT_AGAIN);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private void watch(Logind logind) throws IOException {
    long lookAgain = System.nanoTime();
    while (!closed) {
      if (logind.preparing()) {
        prepared(logind);
      } else {
        if (begun) {
          begun = false;
          log.info("shutdown: cancelled");
          shutdowns.cancelled();
        }
        if (logind.locksChanged() || System.nanoTime() - lookAgain >= 0) {
          lookAgain = System.nanoTime() + LOOK_AGAIN.toNanos();
          holdIfNeeded(logind);
        }
      }
      logind.await(LOOK);
    }
  }

  private void holdIfNeeded(Logind logind) throws IOException {
    if (logind.locks().stream().noneMatch(l -> l.delaysShutdown(KUBELET))) {
      letGo();
      say("not needed: the kubelet leaves pods to the units' stop");
      return;
    }
    if (descriptor < 0) {
      raise(logind);
      descriptor = logind.lock(OURS, "Nodeward drains the node before it shuts down");
      held.set(1);
      log.info("shutdown: lock held, the kubelet holds one limit={}", logind.mostDelay());
    }
    Duration most = logind.mostDelay();
    String less = most.compareTo(wanted) < 0 ? ", less than the %s wanted".formatted(wanted) : "";
    say("held, as the kubelet ends pods at shutdown: for %s at most%s".formatted(most, less));
  }

  /** The limit is one for all locks; the kubelet's wish is in it already. */
  private void raise(Logind logind) throws IOException {
    if (logind.mostDelay().compareTo(wanted) >= 0) {
      return;
    }
    try {
      Files.createDirectories(limitFile.getParent());
      Files.writeString(
          limitFile, "[Login]\nInhibitDelayMaxSec=%d\n".formatted(wanted.toSeconds()));
      logind.reload();
    } catch (IOException e) {
      log.warn(
          "shutdown: InhibitDelayMaxSec stays {} file={} why=\"{}\"",
          logind.mostDelay(),
          limitFile,
          e.toString());
    }
  }

  private void prepared(Logind logind) throws IOException {
    if (begun) {
      if (descriptor >= 0 && shutdowns.handled()) {
        log.info("shutdown: the node is drained, letting go");
        letGo();
      }
      return;
    }
    begun = true;
    if (descriptor < 0) {
      return;
    }
    Duration most = logind.mostDelay();
    Duration budget = (most.compareTo(wanted) < 0 ? most : wanted).minus(MARGIN);
    log.info("shutdown: begins, delayed for {} at most", budget);
    shutdowns.begins(budget.isNegative() ? Duration.ZERO : budget);
  }

  private void letGo() {
    if (descriptor >= 0) {
      LibC.close(descriptor);
      descriptor = -1;
      held.set(0);
    }
  }

  private void say(String how) {
    standing = how;
  }
}
