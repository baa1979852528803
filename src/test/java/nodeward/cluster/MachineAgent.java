package nodeward.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Puts the agent on a {@link Machine} that has not been booted yet, as its package is laid out:
 * {@code /opt/nodeward/current}, its units and what belongs to them, all enabled.
 */
public final class MachineAgent {
  public static final String COMMAND = "/opt/nodeward/current/bin/agent";

  private static final Path BASE = Path.of(System.getProperty("nodeward.basedir", "."));
  private static final Path UNITS = Path.of("/etc/systemd/system");
  private static final String VERSION = "/opt/nodeward/test";

  private MachineAgent() {}

  public static void install(Machine machine) throws IOException {
    Path agent = Path.of(System.getProperty("nodeward.target"), "agent");
    if (!Files.isExecutable(agent.resolve("bin/agent"))) {
      throw new IOException(agent + " is missing: make build");
    }
    machine.bind(agent.resolve("bin"), VERSION + "/bin");
    machine.bind(agent.resolve("lib"), VERSION + "/lib");
    machine.bind(Path.of(System.getProperty("java.home")), VERSION + "/runtime");
    Path current = machine.path("/opt/nodeward/current");
    Files.createDirectories(current.getParent());
    Files.createSymbolicLink(current, Path.of("test"));
    installUnits(machine);
    installBootId(machine);
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

  /** What is in {@code systemd/}, where it belongs. */
  private static void installUnits(Machine machine) throws IOException {
    Path systemd = BASE.resolve("systemd");
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
