package nodeward.termination;

import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets one agent of a node act, should there be two (a unit and a DaemonSet): a lock on a file of
 * the state directory, which the kernel gives back when its owner dies. Where the file cannot be
 * made the agent acts without, since a broken disk must not keep a node from being drained. For one
 * thread, except {@link #close}.
 */
final class NodeLock implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(NodeLock.class);

  private final Path file;
  // Guarded by this.
  private Optional<FileChannel> channel = Optional.empty();
  private boolean held;
  private boolean told;

  NodeLock(Path directory) {
    this.file = directory.resolve("termination.lock");
  }

  /** Whether this agent is the one to act, from now on. */
  synchronized boolean take() {
    if (held) {
      return true;
    }
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      FileChannel open = FileChannel.open(file, CREATE, WRITE);
      Optional<FileLock> lock = lock(open);
      if (lock.isPresent()) {
        channel = Optional.of(open);
        held = true;
        if (told) {
          log.info("termination: the other agent of this node has ended, acting now");
        }
      } else {
        open.close();
        if (!told) {
          told = true;
          log.warn("termination: another agent of this node holds {}, standing by", file);
        }
      }
    } catch (IOException e) {
      log.warn("termination: no lock file={}, acting without why=\"{}\"", file, e.toString());
      held = true;
    }
    return held;
  }

  private static Optional<FileLock> lock(FileChannel open) throws IOException {
    try {
      return Optional.ofNullable(open.tryLock());
    } catch (OverlappingFileLockException e) {
      // Another part of this very process.
      return Optional.empty();
    }
  }

  @Override
  public synchronized void close() {
    held = false;
    if (channel.isPresent()) {
      try {
        channel.get().close();
      } catch (IOException e) {
        log.warn("termination: lock file={} not closed why=\"{}\"", file, e.toString());
      }
    }
    channel = Optional.empty();
  }
}
