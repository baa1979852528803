package nodeward.linux;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nodeward.component.Finding;
import nodeward.config.Config;
import nodeward.node.Taint;

/**
 * Looks whether the kubelet's configuration and Nodeward's fit together, for {@code agent doctor}:
 * who ends pods at shutdown and has how long, who owns the pods' cgroups, and whether the node is
 * born with the gate's taints. Blocks for some seconds at most.
 */
public final class KubeletChecks {
  private static final List<Path> SLICES =
      List.of(Path.of("kubepods.slice"), Path.of("systemd/kubepods.slice"));
  private static final List<Path> CGROUPS =
      List.of(Path.of("kubepods"), Path.of("systemd/kubepods"));

  private final Config config;
  private final Path cgroups;
  private final Path systemBus;

  public KubeletChecks(Config config) {
    this(config, Path.of("/sys/fs/cgroup"), config.runtime().systemBus());
  }

  KubeletChecks(Config config, Path cgroups, Path systemBus) {
    this.config = config;
    this.cgroups = cgroups;
    this.systemBus = systemBus;
  }

  /** What is told, and the pods' cgroup driver where it was found out. */
  public record Told(List<Finding> findings, Optional<String> cgroupDriver) {
    public Told {
      findings = List.copyOf(findings);
    }
  }

  public Told look() {
    var findings = new ArrayList<Finding>();
    Optional<String> driver = driverOfCgroups();
    try {
      Optional<Kubelet> found = Kubelet.find(config.node().procRoot());
      if (found.isEmpty()) {
        findings.add(
            Finding.note(
                "no kubelet runs here, its configuration was not looked at",
                "run it as root on the node itself, in a pod with hostPID and hostNetwork"));
        return new Told(findings, driver);
      }
      Kubelet kubelet = found.get();
      driver = driver.or(kubelet::cgroupDriver);
      findings.add(
          driver
              .map(d -> Finding.ok("cgroup driver of the pods: " + d))
              .orElseGet(
                  () ->
                      Finding.note(
                          "cgroup driver of the pods is not known", "set cgroupDriver: systemd")));
      findings.addAll(taints(kubelet));
      findings.add(shutdown(kubelet.shutdownGrace()));
    } catch (IOException e) {
      findings.add(
          Finding.unknown("the kubelet's configuration: " + e.getMessage(), "run it as root"));
    }
    return new Told(findings, driver);
  }

  /** By where the pods' cgroups are, which no file of configuration contradicts. */
  private Optional<String> driverOfCgroups() {
    if (SLICES.stream().anyMatch(slice -> Files.isDirectory(cgroups.resolve(slice)))) {
      return Optional.of("systemd");
    }
    return CGROUPS.stream().anyMatch(group -> Files.isDirectory(cgroups.resolve(group)))
        ? Optional.of("cgroupfs")
        : Optional.empty();
  }

  private List<Finding> taints(Kubelet kubelet) {
    if (!config.gate().enabled()) {
      return List.of();
    }
    List<String> registered = kubelet.registerWithTaints();
    var findings = new ArrayList<Finding>();
    for (Taint taint : config.gate().taints()) {
      String wanted = taint.key() + ":" + taint.effect();
      findings.add(
          registered.contains(wanted)
              ? Finding.ok("the kubelet registers the node with " + wanted)
              : Finding.wrong(
                  "the kubelet does not register the node with %s: pods may come before the gate"
                      .formatted(wanted),
                  "add it to registerWithTaints, see systemd/kubelet-gate.yaml"));
    }
    return findings;
  }

  /** Where the kubelet ends pods at shutdown, only a delay lock beside its own is in time. */
  private Finding shutdown(Duration grace) {
    Duration deadline = config.termination().shutdown().deadline();
    if (grace.isZero()) {
      return Finding.ok("at shutdown the drain's unit drains: the kubelet leaves pods alone");
    }
    String what =
        "at shutdown the kubelet ends pods (shutdownGracePeriod %d s)".formatted(grace.toSeconds());
    String remedy = "shutdownGracePeriod: 0s in the kubelet's configuration leaves it to the unit";
    if (!config.termination().shutdown().enabled() || !config.termination().shutdown().inhibit()) {
      return Finding.wrong(
          what + " and termination.shutdown.inhibit is off: nothing is evicted",
          remedy + ", or switch it on");
    }
    try (Logind logind = new Logind(systemBus)) {
      boolean ours = logind.locks().stream().anyMatch(l -> l.delaysShutdown(ShutdownLock.OURS));
      Duration most = logind.mostDelay();
      if (!ours) {
        return Finding.wrong(
            what + " and the agent holds no lock of logind: nothing is evicted",
            "start the agent; agent status tells under shutdown why it holds none");
      }
      return most.compareTo(deadline) < 0
          ? Finding.wrong(
              "%s and logind delays that for %d s, less than the deadline of a drain (%d s)"
                  .formatted(what, most.toSeconds(), deadline.toSeconds()),
              "InhibitDelayMaxSec=%d in /etc/systemd/logind.conf.d, or %s"
                  .formatted(deadline.toSeconds(), remedy))
          : Finding.ok("%s, the agent delays that for %d s".formatted(what, most.toSeconds()));
    } catch (IOException e) {
      return Finding.wrong(what + " and logind cannot be asked: " + e.getMessage(), remedy);
    }
  }
}
