package nodeward.condition;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import nodeward.component.DurableFile;

/**
 * The types of the conditions that were written to a Node, on disk: its UID, then a line for each.
 * An agent that is killed cannot say good-bye; so the next one knows what was its predecessor's.
 * Written only when it changes. For one thread.
 */
final class StatedTypes {
  private final Path file;
  private List<String> lines = List.of();

  StatedTypes(Path directory) {
    this.file = directory.resolve("conditions");
  }

  /** Of this Node; empty when the last agent here had another one, or none. */
  Set<String> read(String uid) throws IOException {
    try {
      lines = Files.readAllLines(file);
    } catch (NoSuchFileException e) {
      return Set.of();
    }
    return lines.isEmpty() || !lines.getFirst().equals(uid)
        ? Set.of()
        : Set.copyOf(lines.subList(1, lines.size()));
  }

  void write(String uid, Set<String> types) throws IOException {
    var next = new ArrayList<>(List.of(uid));
    next.addAll(new TreeSet<>(types));
    if (!next.equals(lines)) {
      DurableFile.write(file, String.join("\n", next) + "\n");
      lines = next;
    }
  }
}
