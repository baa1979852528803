package nodeward.termination;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import nodeward.component.DurableFile;
import nodeward.termination.PlanJson.Stored;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The state of the termination on disk, so that a restarted agent goes on with the same plan.
 * Written whole or not at all. A file that cannot be read, or that is about another node (an image
 * was made of a node's disk), is logged and counts as none.
 */
final class PlanFile {
  private static final Logger log = LoggerFactory.getLogger(PlanFile.class);

  private final Path file;
  private final String node;

  PlanFile(Path directory, String node) {
    this.file = directory.resolve("plan.json");
    this.node = node;
  }

  Optional<State> read() {
    try {
      Stored stored = PlanJson.read(Files.readString(file));
      if (stored.node().equals(node)) {
        return Optional.of(stored.state());
      }
      log.warn("termination: plan of another node ignored file={} node={}", file, stored.node());
    } catch (NoSuchFileException e) {
      log.debug("termination: no plan file={}", file);
    } catch (IOException | IllegalArgumentException e) {
      log.warn(
          "termination: plan cannot be read, going on without file={} why=\"{}\"",
          file,
          e.toString());
    }
    return Optional.empty();
  }

  void write(State state) throws IOException {
    DurableFile.write(file, PlanJson.write(node, state));
  }

  void delete() throws IOException {
    Files.deleteIfExists(file);
  }
}
