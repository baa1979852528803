package nodeward.linux;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import nodeward.component.Finding;
import nodeward.config.Config;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Unknown;
import nodeward.runtime.Units;

/**
 * Looks whether this process can see what the node's health is judged by, for {@code agent doctor}:
 * the connection tracking table, the runtimes' sockets, their units.
 */
public final class HealthChecks {
  private static final Duration LIMIT = Duration.ofSeconds(5);

  private final Config config;

  public HealthChecks(Config config) {
    this.config = config;
  }

  /** All checks of what is switched on; takes some seconds at most for each. */
  public List<Finding> findings() {
    var findings = new ArrayList<Finding>();
    if (config.conntrack().enabled()) {
      findings.add(conntrack());
    }
    if (config.runtime().enabled()) {
      Config.ContainerRuntime runtime = config.runtime();
      var docker = new DockerSocket(runtime.dockerSocket());
      var cri = new CriSocket(runtime.containerdSocket());
      findings.add(socket(runtime.containerdSocket(), () -> cri.version(LIMIT).toString()));
      // Where systemd listens for docker, to ask would start it.
      if (Files.exists(runtime.dockerPidFile())) {
        findings.add(socket(runtime.dockerSocket(), () -> "docker API " + docker.ping(LIMIT)));
      }
      findings.add(units(new SystemBus(runtime.systemBus()), runtime));
    }
    return findings;
  }

  private Finding conntrack() {
    String what = "connection tracking";
    try {
      return switch (new KernelConntrack(config.node().procRoot()).read()) {
        case Known known when known.source().contains("EPERM") ->
            Finding.note(
                what + ", read by " + known.source(),
                "grant CAP_NET_ADMIN, without it nobody sees who fills the table");
        case Known known when known.limit() == 0 -> Finding.ok(what + " without a limit");
        case Known known ->
            Finding.ok(
                "%s: %d of %d by %s"
                    .formatted(what, known.entries(), known.limit(), known.source()));
        case Unknown(String why) ->
            Finding.note(
                what + ": " + why, "modprobe nf_conntrack, or set conntrack.enabled: false");
      };
    } catch (IOException e) {
      return Finding.note(what + ": " + e.getMessage(), "run in the node's network and as root");
    }
  }

  private interface Question {
    String answer() throws IOException;
  }

  private static Finding socket(Path socket, Question question) {
    if (!Files.exists(socket)) {
      return Finding.note(
          "there is no " + socket,
          "mount it, name another one, or leave it if that runtime is not used");
    }
    try {
      return Finding.ok(socket + ": " + question.answer());
    } catch (IOException e) {
      return Finding.note(
          String.valueOf(e.getMessage()), "see whether the daemon runs and root may ask it");
    }
  }

  private static Finding units(SystemBus bus, Config.ContainerRuntime runtime) {
    try {
      var told = new ArrayList<String>();
      for (String unit : List.of(runtime.dockerUnit(), runtime.containerdUnit())) {
        if (!unit.isEmpty()) {
          told.add(
              unit + " " + bus.unit(unit, LIMIT).map(Units.Unit::activeState).orElse("not loaded"));
        }
      }
      return Finding.ok("systemd: " + String.join(", ", told));
    } catch (IOException e) {
      return Finding.note(
          String.valueOf(e.getMessage()),
          "mount " + runtime.systemBus() + "; without it units are neither seen nor restarted");
    }
  }
}
