package nodeward.linux;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nodeward.component.Finding;

/**
 * Looks whether systemd knows Nodeward's units and keeps their order, for {@code agent doctor}: the
 * guard before the kubelet, the drain stopped before the kubelet, the runtime and the containers.
 * Every property is systemd's own answer, so that files which it has not read yet are not believed.
 * Blocks for some seconds at most.
 */
public final class UnitChecks {
  private static final String UNIT = Dbus.SYSTEMD_NAME + ".Unit";
  private static final String SERVICE = Dbus.SYSTEMD_NAME + ".Service";
  private static final String GUARD = "nodeward.service";
  private static final String DRAIN = "nodeward-drain.service";
  // What a kubelet's unit is called: kubeadm and EKS, k3s, RKE2, Ubuntu's snaps.
  private static final List<String> KUBELETS =
      List.of(
          "kubelet.service",
          "k3s-agent.service",
          "k3s.service",
          "rke2-agent.service",
          "rke2-server.service",
          "snap.kubelet.daemon.service",
          "snap.kubelet-eks.daemon.service");
  private static final List<String> RUNTIMES =
      List.of("containerd.service", "crio.service", "docker.service");
  private static final Pattern POD_SCOPE =
      Pattern.compile("(?:cri-containerd|crio|docker)-[^/]*\\.scope");
  private static final int SCOPES = 3;
  private static final Map<String, String> SCOPES_OF =
      Map.of(
          "containerd.service",
          "cri-containerd",
          "crio.service",
          "crio",
          "docker.service",
          "docker");
  private static final Pattern ORDERED =
      Pattern.compile("(?m)^Before=(?:.*\\s)?nodeward-drain\\.service(?:\\s|$)");
  private static final String SCOPE_REMEDY =
      "install the scopes' drop-ins of systemd/, then systemctl daemon-reload";
  private static final String INSTALL = "install the units again: agent-install, or systemd/ of it";

  private final Path socket;
  private final Duration deadline;
  private final Optional<String> podsCgroup;
  private final boolean inPod;

  /**
   * @param deadline of a drain at shutdown
   * @param podsCgroup the driver of the pods' cgroups, {@code systemd} or {@code cgroupfs}, where
   *     it is known
   * @param environment of this process, which tells whether it runs in a pod
   */
  public UnitChecks(
      Path systemBus,
      Duration deadline,
      Optional<String> podsCgroup,
      Map<String, String> environment) {
    this.socket = systemBus;
    this.deadline = deadline;
    this.podsCgroup = podsCgroup;
    this.inPod = environment.containsKey("KUBERNETES_SERVICE_HOST");
  }

  /** What systemd says of a unit. */
  private record Unit(
      String name,
      String load,
      String file,
      String active,
      boolean unread,
      List<String> upheldBy,
      List<String> before,
      List<String> after,
      long stopMicros) {
    boolean isLoaded() {
      return load.equals("loaded");
    }

    /** Enabled, or of a system extension, where a target upholds it. */
    boolean comesAtBoot() {
      return file.startsWith("enabled") || !upheldBy.isEmpty();
    }
  }

  public List<Finding> findings() {
    if (!Files.exists(socket)) {
      return List.of(
          Finding.note(
              "units and their order: not looked at, there is no " + socket,
              "run it as root on the node itself"));
    }
    try (Dbus bus = Dbus.bus(socket, _ -> {})) {
      return findings(bus);
    } catch (IOException e) {
      return List.of(
          Finding.unknown(
              "units and their order: " + e.getMessage(), "run it as root on the node itself"));
    }
  }

  private List<Finding> findings(Dbus bus) throws IOException {
    Unit guard = unit(bus, GUARD);
    Unit drain = unit(bus, DRAIN);
    if (inPod && !guard.isLoaded() && !drain.isLoaded()) {
      return List.of(
          Finding.note(
              "the agent runs in a pod, systemd has no unit of it",
              "at shutdown the node is drained only if the kubelet's graceful shutdown is on"));
    }
    var findings = new ArrayList<Finding>();
    var kubelets = new ArrayList<Unit>();
    for (String name : KUBELETS) {
      Unit unit = unit(bus, name);
      if (unit.isLoaded()) {
        kubelets.add(unit);
      }
    }
    findings.addAll(standing(guard, "the agent does not start at boot"));
    if (guard.isLoaded()) {
      for (Unit kubelet : kubelets) {
        findings.add(
            guard.before().contains(kubelet.name())
                ? Finding.ok("%s starts before %s".formatted(GUARD, kubelet.name()))
                : Finding.wrong(
                    "%s is not ordered before %s: pods may start unguarded"
                        .formatted(GUARD, kubelet.name()),
                    "Before=%s in [Unit] of a drop-in of %s".formatted(kubelet.name(), GUARD)));
      }
    }
    findings.addAll(standing(drain, "nothing drains the node at shutdown"));
    if (drain.isLoaded()) {
      findings.addAll(stops(bus, drain, kubelets));
    }
    if (kubelets.isEmpty()) {
      findings.add(
          Finding.note(
              "no unit of a kubelet is known here", "order nodeward.service before it by hand"));
    }
    return findings;
  }

  /** A unit that has to be there, as its files say, to come at each boot and to run. */
  private static List<Finding> standing(Unit unit, String consequence) {
    if (!unit.isLoaded()) {
      return List.of(
          Finding.wrong(
              "%s is not installed (%s): %s".formatted(unit.name(), unit.load(), consequence),
              INSTALL));
    }
    var findings = new ArrayList<Finding>();
    if (!unit.comesAtBoot()) {
      findings.add(
          Finding.wrong(
              "%s is %s: after a reboot %s"
                  .formatted(
                      unit.name(),
                      unit.file().isEmpty() ? "not enabled" : unit.file(),
                      consequence),
              "systemctl enable " + unit.name()));
    }
    if (unit.unread()) {
      findings.add(
          Finding.wrong(
              unit.name() + " was changed and systemd has not read it", "systemctl daemon-reload"));
    }
    if (!unit.active().equals("active")) {
      findings.add(
          Finding.wrong(
              "%s is %s: %s".formatted(unit.name(), unit.active(), consequence),
              "systemctl start %1$s; journalctl -u %1$s tells why".formatted(unit.name())));
    }
    return findings.isEmpty()
        ? List.of(Finding.ok(unit.name() + " is enabled and active"))
        : findings;
  }

  private List<Finding> stops(Dbus bus, Unit drain, List<Unit> kubelets) throws IOException {
    var findings = new ArrayList<Finding>();
    var needed = new ArrayList<>(kubelets.stream().map(Unit::name).toList());
    var runtimes = new ArrayList<String>();
    for (String runtime : RUNTIMES) {
      if (unit(bus, runtime).isLoaded()) {
        runtimes.add(runtime);
      }
    }
    needed.addAll(runtimes);
    needed.add(GUARD);
    var lacking = needed.stream().filter(name -> !drain.after().contains(name)).toList();
    findings.add(
        lacking.isEmpty()
            ? Finding.ok("%s stops before %s".formatted(DRAIN, String.join(", ", needed)))
            : Finding.wrong(
                "%s is not ordered after %s: at shutdown they stop while pods still run"
                    .formatted(DRAIN, String.join(", ", lacking)),
                "After=%s in [Unit] of a drop-in of %s"
                    .formatted(String.join(" ", lacking), DRAIN)));
    // Unsigned; no limit is the greatest number.
    boolean enough = Long.compareUnsigned(drain.stopMicros(), deadline.toNanos() / 1000) >= 0;
    findings.add(
        enough
            ? Finding.ok("%s may take the %s s of a drain".formatted(DRAIN, deadline.toSeconds()))
            : Finding.wrong(
                "%s is stopped after %d s, before the deadline of a drain (%d s)"
                    .formatted(DRAIN, drain.stopMicros() / 1_000_000, deadline.toSeconds()),
                "TimeoutStopSec=%d in [Service] of a drop-in, or a shorter"
                        .formatted(deadline.toSeconds() + 40)
                    + " termination.shutdown.deadline"));
    if (!podsCgroup.equals(Optional.of("cgroupfs"))) {
      findings.add(scopes(bus, runtimes));
    }
    return findings;
  }

  /**
   * systemd itself ends the containers' scopes at shutdown, unless they are told to wait: those
   * that run, and by drop-ins those to come.
   */
  private static Finding scopes(Dbus bus, List<String> runtimes) throws IOException {
    var running = new ArrayList<String>();
    Object units = bus.manager("ListUnits").value(0);
    for (Object entry : units instanceof List<?> list ? list : List.of()) {
      String name = entry instanceof List<?> fields ? String.valueOf(fields.getFirst()) : "";
      if (POD_SCOPE.matcher(name).matches()) {
        running.add(name);
      }
    }
    var early = new ArrayList<String>();
    for (String scope : running.stream().limit(SCOPES).toList()) {
      if (!unit(bus, scope).before().contains(DRAIN)) {
        early.add(scope);
      }
    }
    if (!early.isEmpty()) {
      return Finding.wrong(
          "%s has no Before=%s: at shutdown systemd ends containers before they are evicted"
              .formatted(early.getFirst(), DRAIN),
          SCOPE_REMEDY);
    }
    for (String runtime : runtimes) {
      String directory = SCOPES_OF.get(runtime) + "-.scope.d";
      if (!isDropIn(bus, directory)) {
        return Finding.wrong(
            "%s has no Before=%s: at shutdown systemd ends containers before they are evicted"
                .formatted(directory, DRAIN),
            SCOPE_REMEDY);
      }
    }
    return Finding.ok("scopes of containers wait for the drain");
  }

  /** Whether some file of that directory, anywhere systemd reads units, orders the drain. */
  private static boolean isDropIn(Dbus bus, String directory) throws IOException {
    Object paths = bus.managerProperty("UnitPath");
    for (Object path : paths instanceof List<?> list ? list : List.of()) {
      Path there = Path.of(String.valueOf(path)).resolve(directory);
      if (Files.isDirectory(there)) {
        try (Stream<Path> files = Files.list(there)) {
          for (Path file : files.filter(f -> f.toString().endsWith(".conf")).toList()) {
            if (ORDERED.matcher(Files.readString(file)).find()) {
              return true;
            }
          }
        }
      }
    }
    return false;
  }

  private static Unit unit(Dbus bus, String name) throws IOException {
    String path = bus.manager("LoadUnit", name).text(0);
    Map<String, Object> properties = properties(bus, path, UNIT);
    Object stop =
        name.endsWith(".service")
            ? properties(bus, path, SERVICE).getOrDefault("TimeoutStopUSec", 0L)
            : 0L;
    return new Unit(
        name,
        text(properties, "LoadState"),
        text(properties, "UnitFileState"),
        text(properties, "ActiveState"),
        properties.get("NeedDaemonReload") instanceof Boolean unread && unread,
        texts(properties, "UpheldBy"),
        texts(properties, "Before"),
        texts(properties, "After"),
        stop instanceof Long micros ? micros : 0);
  }

  /** All of an interface, by one call. */
  private static Map<String, Object> properties(Dbus bus, String path, String face)
      throws IOException {
    Object all =
        bus.call(Dbus.SYSTEMD_NAME, path, "org.freedesktop.DBus.Properties", "GetAll", face)
            .value(0);
    var properties = new HashMap<String, Object>();
    for (Object entry : all instanceof List<?> list ? list : List.of()) {
      if (entry instanceof List<?> pair && pair.size() == 2) {
        properties.put(String.valueOf(pair.get(0)), pair.get(1));
      }
    }
    return properties;
  }

  private static String text(Map<String, Object> properties, String name) {
    return String.valueOf(properties.getOrDefault(name, ""));
  }

  private static List<String> texts(Map<String, Object> properties, String name) {
    return properties.get(name) instanceof List<?> list
        ? list.stream().map(String::valueOf).toList()
        : List.of();
  }
}
