package nodeward.termination;

import static java.nio.file.StandardCopyOption.ATOMIC_MOVE;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.TRUNCATE_EXISTING;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
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
    Path directory = Files.createDirectories(file.toAbsolutePath().getParent());
    Path temporary = directory.resolve(file.getFileName() + ".new");
    try (var out = FileChannel.open(temporary, CREATE, WRITE, TRUNCATE_EXISTING)) {
      var bytes = ByteBuffer.wrap(PlanJson.write(node, state).getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
      out.force(true);
    }
    Files.move(temporary, file, ATOMIC_MOVE);
    // The rename is on disk only when the directory is.
    try (var dir = FileChannel.open(directory, READ)) {
      dir.force(true);
    }
  }

  void delete() throws IOException {
    Files.deleteIfExists(file);
  }
}
