package nodeward.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Whether the machine is on its way down, asked of systemd itself: in an {@code ExecStop} nothing
 * else tells a shutdown from a restart of the unit. Blocks for some seconds at most.
 */
public final class SystemdState {
  private static final String NO_JOB = "/";

  private final Path socket;

  public SystemdState() {
    this(Dbus.SYSTEMD);
  }

  SystemdState(Path socket) {
    this.socket = socket;
  }

  /** What systemd says. */
  public enum Way {
    DOWN,
    UP,
    /** It could not be asked; nobody drains a node on a doubt. */
    UNKNOWN
  }

  /** The answer with the reason for it, in words. */
  public record Answer(Way way, String why) {}

  public Answer ask() {
    try (Dbus systemd = Dbus.peer(socket)) {
      String state = String.valueOf(systemd.managerProperty("SystemState"));
      return switch (state) {
        case "stopping", "maintenance" -> new Answer(Way.DOWN, "systemd is " + state);
        case "initializing", "starting", "running", "degraded" ->
            new Answer(Way.UP, "systemd is " + state);
        default -> shutdownJob(systemd, state);
      };
    } catch (IOException e) {
      return new Answer(Way.UNKNOWN, String.valueOf(e.getMessage()));
    }
  }

  private static Answer shutdownJob(Dbus systemd, String state) throws IOException {
    String unit = systemd.manager("GetUnit", "shutdown.target").text(0);
    Object job = systemd.unitProperty(unit, "Unit", "Job");
    boolean going = job instanceof List<?> pair && pair.size() == 2 && !NO_JOB.equals(pair.get(1));
    String why =
        "systemd is %s, shutdown.target %s".formatted(state, going ? "starts" : "does not");
    return new Answer(going ? Way.DOWN : Way.UNKNOWN, why);
  }
}
