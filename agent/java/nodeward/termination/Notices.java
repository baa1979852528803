package nodeward.termination;

import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/** What instance metadata says about the end of this node. */
@FunctionalInterface
public interface Notices {
  /**
   * One look: the notices that are there, and the ids of those that are said to be over. One that
   * is in neither was not mentioned, which alone does not withdraw it.
   */
  record Reading(List<Notice> standing, Set<String> over) {
    public Reading {
      standing = List.copyOf(standing);
      over = Set.copyOf(over);
    }

    public static Reading of(List<Notice> standing) {
      return new Reading(standing, Set.of());
    }
  }

  Reading read() throws IOException;

  /** Names the notices that an earlier run has acted on, before the first {@link #read}. */
  default void recall(Collection<Notice> known) {}
}
