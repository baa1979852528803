package nodeward.runtime;

import java.io.IOException;
import java.util.OptionalDouble;

/** How hard it is for the node's disks to keep up. */
@FunctionalInterface
public interface Disk {
  /** A daemon may be late because of the disk from this percentage on. */
  double PRESSURE = 20;

  /**
   * In how many percent of the last ten seconds something waited for a disk; empty where the kernel
   * does not tell.
   */
  OptionalDouble stalled() throws IOException;
}
