package nodeward.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A whole machine with systemd as PID 1, booted in a container from the tree that {@code
 * src/test/machine/build} makes, on a disk of its own that stays from one boot to the next. Before
 * the first boot it is furnished with files and units. It reaches this machine over one veth pair
 * and nothing beyond it. Not for use by several threads; {@link #close} leaves nothing behind but
 * the journal.
 */
public final class Machine implements AutoCloseable {
  /** Exit codes of systemd-nspawn. */
  public static final int POWERED_OFF = 0;

  public static final int REBOOTS = 133;

  /** This machine as the booted one reaches it; servers for it bind all addresses. */
  public static final String HOST_ADDRESS = ControlPlane.HOST_ADDRESS;

  private static final Duration BOOT_LIMIT = Duration.ofSeconds(90);
  private static final Path UNITS = Path.of("/etc/systemd/system");

  private final String name;
  private final Path disk;
  private final List<String> options = new ArrayList<>();
  // Of the last boot, null before the first.
  private Daemon nspawn;
  private NodeLink link;
  private long initPid;

  private Machine(Path directory, String name) {
    this.name = name;
    this.disk = directory.resolve(name);
  }

  /** A machine that has never been booted. */
  public static Machine create(Path directory, String name) throws IOException {
    var machine = new Machine(directory, name);
    machine.write("/etc/hostname", name + "\n");
    machine.write("/etc/machine-id", UUID.randomUUID().toString().replace("-", "") + "\n");
    // Between network.target and network-online.target, as whatever sets up a network is; its stop
    // takes the network away from those who are ordered wrongly.
    machine.write(
        UNITS + "/machine-network.service",
        """
        [Unit]
        Wants=network.target
        Before=network.target network-online.target
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=sh -c 'until [ -n "$(ip route show default)" ]; do sleep 0.02; done'
        ExecStop=ip link set eth0 down
        [Install]
        WantedBy=network-online.target multi-user.target
        """);
    machine.enable("machine-network.service");
    return machine;
  }

  public String name() {
    return name;
  }

  /** Writes a file, before a boot or while it is up. */
  public void write(String path, String text) throws IOException {
    Path file = path(path);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }

  /**
   * Copies a file or a directory of this machine with its modes, before a boot or while it is up.
   */
  public void copy(Path from, String to) throws IOException {
    Path target = path(to);
    Files.createDirectories(target.getParent());
    Command.run("cp", "-a", "-T", from.toString(), target.toString());
  }

  /**
   * A file or a directory of this machine that is seen there, and not written to, from a boot on.
   */
  public void bind(Path from, String to) {
    options.add("--bind-ro=" + from.toAbsolutePath() + ":" + to);
  }

  /** A directory of this machine that it writes to, from a boot on. */
  public void bindWritable(Path from, String to) {
    options.add("--bind=" + from.toAbsolutePath() + ":" + to);
  }

  /** Writes a unit. */
  public void unit(String unit, String text) throws IOException {
    write(UNITS + "/" + unit, text);
  }

  /** {@code systemctl enable}, before the next boot. */
  public void enable(String unit) throws IOException {
    Files.createDirectories(disk);
    Files.writeString(
        disk.resolve("enable"), unit + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }

  /**
   * A file as this machine sees it: while the machine is up what a process there sees, else what it
   * has written to its disk.
   */
  public Path path(String inside) {
    String relative = inside.substring(1);
    return isUp()
        ? Path.of("/proc", Long.toString(initPid), "root", relative)
        : disk.resolve("changes").resolve(relative);
  }

  /**
   * Returns when PID 1 runs and the network leads here; {@link #awaitBooted} waits for the rest.
   */
  public void boot() throws IOException {
    if (isUp()) {
      throw new IllegalStateException(name + " is up");
    }
    Cgroup.deleteAbandoned();
    var command =
        new ArrayList<>(List.of(program("boot"), tree().toString(), disk.toString(), name));
    command.addAll(options);
    nspawn = Daemon.start("console", disk, command);
    nspawn.awaitReady(BOOT_LIMIT, () -> init().isPresent());
    initPid = init().orElseThrow();
    link = NodeLink.to(initPid);
  }

  /** Waits until systemd has started all it was to, and returns what it says: running, degraded. */
  public String awaitBooted() throws IOException {
    awaitSystemd();
    // Its exit code says the same once more.
    return run("sh", "-c", "systemctl is-system-running --wait || true").strip();
  }

  /** Waits until systemctl has somebody to talk to. */
  public void awaitSystemd() throws IOException {
    await("systemd listens", () -> Files.exists(path("/run/systemd/private")));
  }

  /** Waits for something that happens there; at the limit it fails with the end of its journal. */
  public void await(String what, Duration limit, java.util.concurrent.Callable<Boolean> condition)
      throws IOException {
    try {
      Poll.until(name + ": " + what, limit, condition);
    } catch (AssertionError e) {
      throw new AssertionError(e.getMessage() + "\n" + tail(), e.getCause());
    }
  }

  public void await(String what, java.util.concurrent.Callable<Boolean> condition)
      throws IOException {
    await(what, BOOT_LIMIT, condition);
  }

  /** A command there, with nothing of this process's environment. */
  public List<String> command(String... command) {
    var all =
        new ArrayList<>(
            List.of(
                "nsenter",
                "-t",
                Long.toString(initPid),
                "-m",
                "-n",
                "-p",
                "-u",
                "-i",
                "-C",
                "--",
                "env",
                "-i",
                "LC_ALL=C.UTF-8",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    all.addAll(List.of(command));
    return all;
  }

  /** Runs a command there to its end and returns what it prints; its failure is a failure. */
  public String run(String... command) throws IOException {
    return Command.run(command(command), "");
  }

  /** Starts a command there, which ends with the machine; nobody reads what it prints. */
  public void start(String... command) throws IOException {
    var builder = new ProcessBuilder(command(command)).redirectErrorStream(true);
    Daemon.spawn(builder.redirectOutput(ProcessBuilder.Redirect.DISCARD));
  }

  /** The value of a property of a unit. */
  public String property(String unit, String property) throws IOException {
    return run("systemctl", "show", "-p", property, "--value", unit).strip();
  }

  /** The lines of the journal of all boots that journalctl finds with these arguments. */
  public List<String> journal(String... arguments) throws IOException {
    var journalctl = new ArrayList<>(List.of("journalctl", "--no-pager", "--quiet"));
    List<String> command = journalctl;
    if (isUp()) {
      run("journalctl", "--sync");
      journalctl.addAll(List.of(arguments));
      command = command(journalctl.toArray(String[]::new));
    } else {
      journalctl.add("--directory=" + path("/var/log/journal"));
      journalctl.addAll(List.of(arguments));
    }
    return Command.run(command, "").lines().toList();
  }

  /** The process there that a unit runs, as this machine numbers it. */
  public ProcessHandle mainProcess(String unit) throws IOException {
    long inside = Long.parseLong(property(unit, "MainPID"));
    try (Stream<ProcessHandle> all = ProcessHandle.of(initPid).orElseThrow().descendants()) {
      return all.filter(process -> numberThere(process.pid()) == inside)
          .findFirst()
          .orElseThrow(() -> new IOException(unit + " has no process"));
    }
  }

  /** PID 1 gets a signal, as {@code kill -SIGNAL 1} there would send it. */
  public void signal(String signal) throws IOException {
    run("kill", "-" + signal, "1");
  }

  /** Waits for the end that was asked for inside and returns its exit code. */
  public int awaitEnd(Duration limit) throws IOException {
    await("is off", limit, () -> !nspawn.isAlive());
    int code = nspawn.exitCode();
    clean();
    return code;
  }

  /** A power cut, if it is on. */
  public void cutPower() throws IOException {
    if (nspawn != null) {
      if (link != null) {
        link.removeRule();
      }
      nspawn.kill();
      clean();
    }
  }

  /** The end of the journal and of the console, to be told with a failure. */
  public String tail() throws IOException {
    String console = Files.exists(console()) ? Files.readString(console()) : "";
    if (!Files.exists(disk.resolve("changes/var/log/journal"))) {
      return console;
    }
    try {
      return console + String.join("\n", journal("-n", "150", "-o", "short-precise"));
    } catch (IOException e) {
      // Its journald ends before it does, and then the console alone tells.
      return console + e.getMessage();
    }
  }

  public boolean isUp() {
    return initPid != 0 && nspawn.handle().isAlive();
  }

  public String address() {
    return link.nodeAddress();
  }

  public String podNetwork() {
    return link.podNetwork();
  }

  /** As {@link RealNode#routeMetadataTo}, until the end of this boot. */
  public void routeMetadataTo(int port) throws IOException {
    link.routeMetadataTo(port);
  }

  @Override
  public void close() {
    boolean interrupted = Thread.interrupted();
    try {
      cutPower();
      keepJournal();
      Command.run("rm", "-rf", "--one-file-system", disk.toString());
    } catch (IOException e) {
      throw new UncheckedIOException("machine " + name + " is not gone", e);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** In {@code target/machines}, for whoever wants to know what happened. */
  private void keepJournal() throws IOException {
    if (nspawn != null) {
      Path kept = Path.of(System.getProperty("nodeward.target"), "machines");
      Files.createDirectories(kept);
      Path journal = Files.createTempFile(kept, name + "-", ".log");
      Files.write(journal, journal("-o", "short-precise"));
    }
  }

  private void clean() throws IOException {
    if (link != null) {
      link.removeRule();
      link = null;
    }
    new Cgroup(nspawn.handle().pid()).delete();
    initPid = 0;
  }

  private Path console() {
    return disk.resolve("console.log");
  }

  /** The process that has become systemd. */
  private Optional<Long> init() {
    return nspawn
        .handle()
        .descendants()
        .map(ProcessHandle::pid)
        .filter(pid -> numberThere(pid) == 1 && "systemd".equals(statusOf(pid, "Name")))
        .findFirst();
  }

  /** The number that a process has in the innermost namespace, 0 when it is gone. */
  private static long numberThere(long pid) {
    String[] numbers = statusOf(pid, "NSpid").split("\\s+");
    String last = numbers[numbers.length - 1];
    return last.isEmpty() ? 0 : Long.parseLong(last);
  }

  private static String statusOf(long pid, String field) {
    try (Stream<String> lines = Files.lines(Path.of("/proc", Long.toString(pid), "status"))) {
      return lines
          .filter(line -> line.startsWith(field + ":"))
          .map(line -> line.substring(field.length() + 1).strip())
          .findFirst()
          .orElse("");
    } catch (IOException | UncheckedIOException e) {
      // It has ended.
      return "";
    }
  }

  private static String program(String name) {
    return Path.of(System.getProperty("nodeward.basedir", "."), "src", "test", "machine", name)
        .toAbsolutePath()
        .normalize()
        .toString();
  }

  private static Path tree() throws IOException {
    String tree =
        Optional.ofNullable(System.getenv("MACHINE_TREE"))
            .orElseThrow(
                () ->
                    new IOException("MACHINE_TREE is not set: build with src/test/machine/build"));
    return Path.of(tree);
  }
}
