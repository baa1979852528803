package nodeward.linux;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A directory that looks like {@code /proc} to those who read connection tracking there. */
public final class FakeProc {
  private final Path root;

  public FakeProc(Path root) {
    this.root = root;
  }

  public Path root() {
    return root;
  }

  /** The table holds so many flows of so many. */
  public FakeProc conntrack(long entries, long limit) throws IOException {
    write("sys/net/netfilter/nf_conntrack_count", entries + "\n");
    return write("sys/net/netfilter/nf_conntrack_max", limit + "\n");
  }

  public FakeProc write(String file, String text) throws IOException {
    Path path = root.resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
    return this;
  }
}
