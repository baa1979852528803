package nodeward.drain;

import java.time.Duration;
import java.util.List;
import nodeward.node.Pod;

/**
 * How a drain ended: the pods that it evicted and that are gone, those that it was to evict and
 * that are left, how long it took, and the VolumeAttachments of gone pods that are left.
 */
public record DrainReport(
    End end, List<Pod> evicted, List<Left> left, Duration took, List<String> attached) {
  /** How it ended. */
  public enum End {
    /** Every pod that was to go is gone. */
    DRAINED,
    /** Some are left and nothing more can be done for them; the others are gone. */
    GIVEN_UP,
    /** The deadline came and some are left. */
    DEADLINE,
    /** The deadline came while the pods of the node could not be seen: there may be more. */
    BLIND
  }

  public DrainReport {
    evicted = List.copyOf(evicted);
    left = List.copyOf(left);
    attached = List.copyOf(attached);
  }

  /** With no volume left. */
  public DrainReport(End end, List<Pod> evicted, List<Left> left, Duration took) {
    this(end, evicted, left, took, List.of());
  }

  public boolean drained() {
    return end == End.DRAINED;
  }
}
