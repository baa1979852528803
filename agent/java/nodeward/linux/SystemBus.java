package nodeward.linux;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import nodeward.runtime.Units;

/**
 * systemd's units over the system bus (org.freedesktop.systemd1(5)). Each question has a connection
 * and a thread of the platform of its own, so that a bus which does not answer holds up no virtual
 * thread, and a limit for all of it. Any thread may ask.
 */
public final class SystemBus implements Units {
  private static final String NO_SUCH_UNIT = Dbus.SYSTEMD_NAME + ".NoSuchUnit";

  // The asker gives up before its thread does, so that what is told is what was asked.
  private static final Duration LATER = Duration.ofSeconds(1);

  private final Path socket;

  public SystemBus(Path socket) {
    this.socket = socket;
  }

  @Override
  public Optional<Unit> unit(String name, Duration limit) throws IOException {
    return converse(
        "unit " + name,
        limit,
        bus -> {
          String path;
          try {
            path = bus.manager("GetUnit", name).text(0);
          } catch (Dbus.Refused e) {
            if (e.error().equals(NO_SUCH_UNIT)) {
              return Optional.empty();
            }
            throw e;
          }
          Object state = bus.unitProperty(path, "Unit", "ActiveState");
          Object pid = bus.unitProperty(path, "Service", "MainPID");
          Object started = bus.unitProperty(path, "Unit", "InactiveExitTimestamp");
          return Optional.of(
              new Unit(
                  state.toString(), pid instanceof Long number ? number : 0, instant(started)));
        });
  }

  /** systemd tells microseconds since 1970, and 0 for never. */
  private static Optional<Instant> instant(Object micros) {
    return micros instanceof Long number && number > 0
        ? Optional.of(Instant.EPOCH.plus(number, ChronoUnit.MICROS))
        : Optional.empty();
  }

  @Override
  public void restart(String name, Duration limit) throws IOException {
    manage("restart of " + name, limit, "RestartUnit", name, "replace");
  }

  @Override
  public void kill(String name, int signal, Duration limit) throws IOException {
    manage("signal " + signal + " to " + name, limit, "KillUnit", name, "main", signal);
  }

  private void manage(String what, Duration limit, String member, Object... body)
      throws IOException {
    converse(what, limit, bus -> bus.manager(member, body));
  }

  /** What is asked on a connection. */
  @FunctionalInterface
  private interface Talking<T> {
    T with(Dbus bus) throws IOException;
  }

  private <T> T converse(String what, Duration limit, Talking<T> talking) throws IOException {
    var answer =
        new FutureTask<T>(
            () -> {
              try (Dbus bus = Dbus.bus(socket, limit.plus(LATER), _ -> {})) {
                return talking.with(bus);
              }
            });
    Thread.ofPlatform().daemon().name("bus").start(answer);
    try {
      return answer.get(limit.toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException e) {
      var late =
          new SocketTimeoutException(
              "systemd: %s was not answered within %s".formatted(what, UnixSockets.shown(limit)));
      late.initCause(e);
      throw late;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("systemd: " + what + ": interrupted", e);
    } catch (ExecutionException e) {
      throw new IOException(
          "systemd: %s: %s"
              .formatted(what, Objects.requireNonNullElse(e.getCause(), e).getMessage()),
          e);
    }
  }
}
