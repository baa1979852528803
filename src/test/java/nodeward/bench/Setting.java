package nodeward.bench;

import java.io.PrintStream;
import java.nio.file.Path;

/**
 * What an area measures with: the packaged agent's command, an empty directory of its own, the
 * directory of the peers' binaries, which may lack any of them, and where to tell how far it is.
 */
record Setting(Path agent, Path directory, Path peers, PrintStream progress) {
  /** Whether a real control plane can be started. */
  static boolean hasCluster() {
    return !System.getenv().getOrDefault("CLUSTER_BIN", "").isEmpty();
  }

  void say(String format, Object... args) {
    progress.printf("bench: " + format + "%n", args);
    progress.flush();
  }
}
