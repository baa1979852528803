package nodeward.component;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Starts components in order and stops them in reverse. A component that cannot start takes down
 * those that had started; one that does not stop in time is left behind so that the others still
 * can.
 */
public final class Lifecycle implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Lifecycle.class);

  private final List<Component> started = new ArrayList<>();
  private final Duration closeLimit;

  public Lifecycle(Duration closeLimit) {
    this.closeLimit = closeLimit;
  }

  /** Starts all of them, or none. */
  public synchronized void start(List<Component> components) throws IOException {
    for (Component component : components) {
      try {
        component.start();
        started.add(component);
      } catch (IOException | RuntimeException e) {
        closeQuietly(component, e);
        close(e);
        throw e;
      }
    }
  }

  /** Stops what was started, last first. */
  @Override
  public synchronized void close() {
    var failures = new IllegalStateException("parts of the agent did not stop");
    close(failures);
    if (failures.getSuppressed().length > 0) {
      log.warn("agent: not everything stopped", failures);
    }
  }

  private void close(Exception failures) {
    for (Component component : started.reversed()) {
      closeQuietly(component, failures);
    }
    started.clear();
  }

  private void closeQuietly(Component component, Exception failures) {
    var thread =
        Thread.ofPlatform()
            .daemon()
            .name("close-" + component.name())
            .uncaughtExceptionHandler((t, e) -> failures.addSuppressed(e))
            .start(component::close);
    try {
      if (!thread.join(closeLimit)) {
        failures.addSuppressed(
            new IllegalStateException(component.name() + " did not stop within " + closeLimit));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      failures.addSuppressed(e);
    }
  }
}
