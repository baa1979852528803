package nodeward.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Puts the agent on a {@link Machine} that has not been booted yet, as its package is laid out:
 * {@code /opt/nodeward/current}, its units and what belongs to them, all enabled.
 */
public final class MachineAgent {
  private static final Path UNITS = Path.of("/etc/systemd/system");

  private MachineAgent() {}

  public static void install(Machine machine) throws IOException {
    Path tree = packed();
    String version = Files.readString(tree.resolve("VERSION")).strip();
    machine.bind(tree, "/opt/nodeward/" + version);
    Path current = machine.path("/opt/nodeward/current");
    Files.createDirectories(current.getParent());
    Files.createSymbolicLink(current, Path.of(version));
    installUnits(machine, tree.resolve("systemd"));
    installBootId(machine);
  }

  /** What {@code make dist} has packed. */
  public static Path packed() throws IOException {
    Path dist = Path.of(System.getProperty("nodeward.target"), "dist");
    try (Stream<Path> trees = Files.isDirectory(dist) ? Files.list(dist) : Stream.of()) {
      return trees
          .filter(tree -> Files.isExecutable(tree.resolve("bin/agent")))
          .findFirst()
          .orElseThrow(() -> new IOException(dist + " has no agent: make dist"));
    }
  }

  /**
   * The kernel has one boot id for all machines. The one that systemd-nspawn lays over it does not
   * reach the /proc of a sandbox, so it is laid there again.
   */
  private static void installBootId(Machine machine) throws IOException {
    machine.unit(
        "machine-boot-id.service",
        """
        [Unit]
        DefaultDependencies=no
        Before=sysinit.target
        [Service]
        Type=oneshot
        ExecStart=cp /proc/sys/kernel/random/boot_id /run/boot_id
        [Install]
        WantedBy=sysinit.target
        """);
    machine.enable("machine-boot-id.service");
    for (String unit : List.of("nodeward.service", "nodeward-drain.service")) {
      machine.unit(
          unit + ".d/boot-id.conf",
          "[Service]\nBindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\n");
    }
  }

  /** The units and what belongs to them, where they belong. */
  private static void installUnits(Machine machine, Path systemd) throws IOException {
    for (String unit : List.of("nodeward.socket", "nodeward.service", "nodeward-drain.service")) {
      machine.copy(systemd.resolve(unit), UNITS.resolve(unit).toString());
      machine.enable(unit);
    }
    for (String runtime : List.of("cri-containerd", "crio", "docker")) {
      String dropIns = runtime + "-.scope.d";
      machine.copy(systemd.resolve(dropIns), UNITS.resolve(dropIns).toString());
    }
    machine.copy(systemd.resolve("tmpfiles.d"), "/etc/tmpfiles.d");
    machine.copy(systemd.resolve("logind.conf.d"), "/etc/systemd/logind.conf.d");
  }
}
