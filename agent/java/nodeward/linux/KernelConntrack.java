package nodeward.linux;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.OptionalLong;
import nodeward.conntrack.ConntrackTable;
import nodeward.conntrack.FlowTable;
import nodeward.conntrack.FlowTaker;

/**
 * The connection tracking table of this kernel: by netlink, which alone has the counters where
 * {@code /proc} lacks them, else by {@code /proc}, which needs no capability. It never makes the
 * kernel load the module: a probe must not change what it looks at.
 */
public final class KernelConntrack implements ConntrackTable, FlowTable {
  private static final Path PROC = Path.of("/proc");
  private static final Duration LIMIT = Duration.ofSeconds(2);
  // A table of a million flows takes some seconds; what takes longer than this has hung.
  private static final Duration WALK_LIMIT = Duration.ofSeconds(20);
  private static final String NOT_LOADED =
      "the kernel tracks no connections: module nf_conntrack is not loaded";

  private final Procfs proc;
  private final Source source;
  private final FlowTable flows;

  /** How this kernel answers over netlink; tests have their own. */
  @FunctionalInterface
  interface Source {
    Known read(Procfs proc) throws IOException;
  }

  /**
   * Reads below this directory. One other than {@code /proc} belongs to a simulated machine, about
   * which the kernel's netlink knows nothing: it is not asked then.
   */
  public KernelConntrack(Path procRoot) {
    this(
        new Procfs(procRoot),
        procRoot.equals(PROC) ? KernelConntrack::byNetlink : KernelConntrack::byProc,
        procRoot.equals(PROC) ? KernelConntrack::flowsByNetlink : _ -> elsewhere(procRoot));
  }

  KernelConntrack(Procfs proc, Source source, FlowTable flows) {
    this.proc = proc;
    this.source = source;
    this.flows = flows;
  }

  private static Walk elsewhere(Path procRoot) throws IOException {
    throw new IOException("the flows of the machine behind " + procRoot + " cannot be seen");
  }

  @Override
  public Reading read() throws IOException {
    if (proc.conntrackCount().isEmpty()) {
      return new Unknown(NOT_LOADED);
    }
    try {
      return source.read(proc);
    } catch (IOException e) {
      Known known = byProc(proc);
      return new Known(
          known.entries(), known.limit(), known.cpus(), known.source() + ", for " + e.getMessage());
    }
  }

  @Override
  public Walk walk(FlowTaker taker) throws IOException {
    if (proc.conntrackCount().isEmpty()) {
      throw new IOException(NOT_LOADED);
    }
    try {
      return flows.walk(taker);
    } catch (LibC.Failure e) {
      if (e.errno() != LibC.EPERM) {
        throw e;
      }
      return byFile(taker, e);
    }
  }

  /** Where netlink refuses the agent; where there is no such file either, that is what is told. */
  private Walk byFile(FlowTaker taker, LibC.Failure refused) throws IOException {
    Path file = proc.root().resolve("net/nf_conntrack");
    try {
      return ProcFlows.walk(file, taker);
    } catch (NoSuchFileException | AccessDeniedException e) {
      refused.addSuppressed(e);
      throw refused;
    }
  }

  private static Walk flowsByNetlink(FlowTaker taker) throws IOException {
    try (Netlink netlink = Netlink.open(LIMIT)) {
      return netlink.conntrackFlows(taker, WALK_LIMIT);
    }
  }

  private static Known byNetlink(Procfs proc) throws IOException {
    try (Netlink netlink = Netlink.open(LIMIT)) {
      ConntrackNetlink.Size size = netlink.conntrackSize();
      OptionalLong limit = size.limit().isPresent() ? size.limit() : proc.conntrackLimit();
      return new Known(size.entries(), limit.orElse(0), netlink.conntrackCounters(), "netlink");
    }
  }

  private static Known byProc(Procfs proc) throws IOException {
    OptionalLong entries = proc.conntrackCount();
    OptionalLong limit = proc.conntrackLimit();
    if (entries.isEmpty() || limit.isEmpty()) {
      throw new IOException(
          proc.root() + ": the connection tracking table is gone, its module was unloaded");
    }
    return new Known(
        entries.getAsLong(), limit.getAsLong(), proc.conntrackCounters(), proc.root().toString());
  }
}
