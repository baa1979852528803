package nodeward.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import nodeward.config.Config;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Asks docker in tiers: its unit, for where systemd listens on docker's socket, to connect would
 * start a daemon that nobody wants; the daemon itself; the list of containers; then a few
 * containers in turn, each of which may hang by its own lock while all else is well. A container
 * that hung is asked again each time until it answers or is gone. One run follows the other.
 */
public final class DockerProbe implements RuntimeProbe {
  /** So many containers are asked at once and in one run, those that hang included. */
  static final int AT_ONCE = 4;

  private static final int NAMED = 3;
  private static final Logger log = LoggerFactory.getLogger(DockerProbe.class);

  private final String unit;
  private final Path pidFile;
  private final DockerApi docker;
  private final Units units;
  private final Set<String> suspects = new LinkedHashSet<>();
  private Set<String> asked = new LinkedHashSet<>();
  private String unitFailure = "";

  public DockerProbe(Config.ContainerRuntime config, DockerApi docker, Units units) {
    this.unit = config.dockerUnit();
    this.pidFile = config.dockerPidFile();
    this.docker = docker;
    this.units = units;
  }

  @Override
  public String runtime() {
    return "docker";
  }

  @Override
  public String reason(Probed.Bad cause) {
    return switch (cause) {
      case Probed.Failed _ -> "DockerUnhealthy";
      case Probed.Hung _ -> "DockerHung";
      case Probed.ContainersHung _ -> "ContainerHung";
      case Probed.Slow _ -> "RuntimeSlow";
    };
  }

  @Override
  public synchronized Probed probe(Duration limit) {
    Optional<Probed> unwanted = byUnit(limit);
    if (unwanted.isPresent()) {
      return unwanted.get();
    }
    var left = new Deadline(limit);
    try {
      String version = docker.ping(left.left());
      List<DockerApi.Container> containers = docker.containers(left.left());
      List<String> hung = inspect(containers, limit);
      return hung.isEmpty()
          ? new Probed.Healthy(version.isEmpty() ? "docker" : "docker API " + version)
          : new Probed.ContainersHung(told(hung, limit));
    } catch (IOException e) {
      return Probed.bad(e);
    }
  }

  /** What the unit tells when it makes a question to the daemon needless or harmful. */
  private Optional<Probed> byUnit(Duration limit) {
    try {
      Optional<Units.Unit> seen = unit.isEmpty() ? Optional.empty() : units.unit(unit, limit);
      unitFailure = "";
      if (seen.isPresent()) {
        String state = seen.get().activeState();
        return switch (state) {
          case "active", "reloading" -> Optional.empty();
          case "inactive" -> Optional.of(new Probed.Absent(unit + " is inactive"));
          default -> Optional.of(new Probed.Failed(unit + " is " + state));
        };
      }
    } catch (IOException e) {
      String why = String.valueOf(e.getMessage());
      if (!why.equals(unitFailure)) {
        unitFailure = why;
        log.debug("runtime: {} is not asked for, its pid file tells why=\"{}\"", unit, why);
      }
    }
    return Files.exists(pidFile)
        ? Optional.empty()
        : Optional.of(new Probed.Absent("docker does not run, there is no " + pidFile));
  }

  /** Asks those that hung before and the next ones in turn; those that hang now. */
  private List<String> inspect(List<DockerApi.Container> containers, Duration limit)
      throws IOException {
    var running = new LinkedHashSet<String>();
    containers.forEach(container -> running.add(container.id()));
    suspects.retainAll(running);
    asked.retainAll(running);
    var turn = new LinkedHashSet<String>();
    suspects.stream().limit(AT_ONCE).forEach(turn::add);
    running.stream()
        .filter(id -> !asked.contains(id))
        .limit(AT_ONCE - turn.size())
        .forEach(turn::add);
    asked.addAll(turn);
    if (asked.size() == running.size()) {
      asked = new LinkedHashSet<>(); // the next round begins
    }
    Set<String> hung =
        ask(containers.stream().filter(container -> turn.contains(container.id())).toList(), limit);
    suspects.removeAll(turn);
    suspects.addAll(hung);
    return containers.stream()
        .filter(container -> suspects.contains(container.id()))
        .map(DockerApi.Container::shown)
        .toList();
  }

  private Set<String> ask(List<DockerApi.Container> turn, Duration limit) throws IOException {
    Set<String> hung = ConcurrentHashMap.newKeySet();
    var threads = new ArrayList<Thread>();
    for (DockerApi.Container container : turn) {
      threads.add(
          Thread.ofVirtual()
              .name("inspect-" + container.id())
              .start(
                  () -> {
                    try {
                      docker.inspect(container, limit);
                    } catch (SocketTimeoutException e) {
                      hung.add(container.id());
                    } catch (IOException e) {
                      // It answered, or went away meanwhile: the next list tells.
                      log.debug("runtime: inspected {} why=\"{}\"", container, e.getMessage());
                    }
                  }));
    }
    try {
      for (Thread thread : threads) {
        thread.join();
      }
    } catch (InterruptedException e) {
      threads.forEach(Thread::interrupt);
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
    return hung;
  }

  private static String told(List<String> hung, Duration limit) {
    String more = hung.size() > NAMED ? " and %d more".formatted(hung.size() - NAMED) : "";
    return "docker does not answer for %s%s within %d s"
        .formatted(
            String.join(", ", hung.subList(0, Math.min(NAMED, hung.size()))),
            more,
            limit.toSeconds());
  }
}
