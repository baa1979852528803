package nodeward.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * logind's part in a shutdown: its delay locks, the most that they delay it, and its word that one
 * begins. A connection for one thread, which blocks for some seconds at most; of no use after a
 * failure. Protocol: org.freedesktop.login1(5).
 */
final class Logind implements AutoCloseable {
  private static final String NAME = "org.freedesktop.login1";
  private static final String PATH = "/org/freedesktop/login1";
  private static final String MANAGER = "org.freedesktop.login1.Manager";
  private static final String SIGNAL = "PrepareForShutdown";
  private static final String CHANGES = "org.freedesktop.DBus.Properties";
  private static final String LOCKS = "DelayInhibited";

  /** A lock that somebody holds. */
  record Lock(String what, String who, String mode) {
    /** Whether it delays a shutdown, as the kubelet's does while its graceful shutdown is on. */
    boolean delaysShutdown(String whose) {
      return who.equals(whose)
          && mode.equals("delay")
          && List.of(what.split(":")).contains("shutdown");
    }
  }

  private final Dbus bus;
  private Optional<Boolean> prepares = Optional.empty();
  private boolean locksChanged = true;

  Logind(Path socket) throws IOException {
    this.bus = Dbus.bus(socket, this::heard);
    try {
      listenTo(MANAGER, SIGNAL);
      listenTo(CHANGES, "PropertiesChanged");
    } catch (IOException e) {
      bus.close();
      throw e;
    }
  }

  private void listenTo(String face, String member) throws IOException {
    bus.call(
        "org.freedesktop.DBus",
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
        "AddMatch",
        "type='signal',sender='%s',path='%s',interface='%s',member='%s'"
            .formatted(NAME, PATH, face, member));
  }

  private void heard(DbusMessage signal) {
    // The body names the properties, with or without their values.
    if (signal.interfaceName().equals(CHANGES) && signal.body().toString().contains(LOCKS)) {
      locksChanged = true;
    }
    if (signal.member().equals(SIGNAL)
        && signal.interfaceName().equals(MANAGER)
        && !signal.body().isEmpty()
        && signal.body().getFirst() instanceof Boolean begins) {
      prepares = Optional.of(begins);
    }
  }

  /** Whether a shutdown is being prepared, by the last word and by the state at the first call. */
  boolean preparing() throws IOException {
    if (prepares.isEmpty()) {
      Object now = bus.property(NAME, PATH, MANAGER, "PreparingForShutdown");
      // A word that came meanwhile is newer.
      prepares = prepares.or(() -> Optional.of(Boolean.TRUE.equals(now)));
    }
    return prepares.orElse(false);
  }

  /** Waits for a word of the bus. */
  void await(Duration limit) throws IOException {
    bus.await(limit);
  }

  /** Whether there is reason to look at the locks anew. */
  boolean locksChanged() {
    return locksChanged;
  }

  List<Lock> locks() throws IOException {
    // Before the question: what changes after it is told anew.
    locksChanged = false;
    Object all = bus.call(NAME, PATH, MANAGER, "ListInhibitors").value(0);
    return all instanceof List<?> list ? list.stream().map(Logind::lock).toList() : List.of();
  }

  private static Lock lock(Object entry) {
    List<?> fields = entry instanceof List<?> list ? list : List.of();
    return fields.size() < 4
        ? new Lock("", "", "")
        : new Lock(
            String.valueOf(fields.get(0)),
            String.valueOf(fields.get(1)),
            String.valueOf(fields.get(3)));
  }

  /** The most that all locks together delay a shutdown. */
  Duration mostDelay() throws IOException {
    Object micros = bus.property(NAME, PATH, MANAGER, "InhibitDelayMaxUSec");
    return micros instanceof Long number ? Duration.ofNanos(number * 1000) : Duration.ZERO;
  }

  /** A delay lock, which is held until the descriptor is closed. */
  int lock(String who, String why) throws IOException {
    bus.call(NAME, PATH, MANAGER, "Inhibit", "shutdown", who, why, "delay");
    return bus.takeDescriptor();
  }

  /** Makes logind read its configuration anew. */
  void reload() throws IOException {
    bus.manager("KillUnit", "systemd-logind.service", "all", 1);
  }

  @Override
  public void close() {
    bus.close();
  }
}
