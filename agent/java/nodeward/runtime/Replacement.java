package nodeward.runtime;

import java.io.IOException;

/** Whoever gives the cluster another machine for this one. */
@FunctionalInterface
public interface Replacement {
  /** Says that this machine is to be replaced; fails, and says why, when it will not be. */
  void ask() throws IOException;
}
