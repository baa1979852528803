package nodeward.linux;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Runs a program to its end, on the caller's thread. What it prints may be a secret: no failure
 * shows it, only what it said on its error output.
 */
public final class ChildProcess {
  private static final int LONGEST_OUTPUT = 1 << 20;
  private static final int LONGEST_WORDS = 300;
  private static final Executor THREADS = Thread::startVirtualThread;

  private static final Duration LIMIT = Duration.ofSeconds(15);

  private final Duration limit;

  public ChildProcess() {
    this(LIMIT);
  }

  /** {@code limit} is how long a program may run. */
  ChildProcess(Duration limit) {
    this.limit = limit;
  }

  /**
   * Returns what the program printed; fails when it cannot be run, fails itself or takes too long.
   *
   * @param more variables of the environment, over the agent's own
   */
  public String run(List<String> command, Map<String, String> more) throws IOException {
    String name = command.getFirst();
    var builder = new ProcessBuilder(command);
    builder.environment().putAll(more);
    Process process = start(builder, name);
    try {
      process.getOutputStream().close();
      var out = CompletableFuture.supplyAsync(() -> text(process.getInputStream()), THREADS);
      var words = CompletableFuture.supplyAsync(() -> text(process.getErrorStream()), THREADS);
      if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new IOException(name + " did not end within " + limit.toSeconds() + " s");
      }
      if (process.exitValue() != 0) {
        throw new IOException(
            name + " failed with status " + process.exitValue() + ": " + last(words.get()));
      }
      return out.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(name + " was interrupted", e);
    } catch (ExecutionException e) {
      throw new IOException(name + ": its output cannot be read", e);
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
  }

  private static Process start(ProcessBuilder builder, String name) throws IOException {
    try {
      return builder.start();
    } catch (IOException e) {
      throw new IOException(name + " cannot be run: " + e.getMessage(), e);
    }
  }

  private static String last(String words) {
    String line = words.strip().replaceAll("\\s*\\n\\s*", "; ");
    return line.length() > LONGEST_WORDS ? line.substring(line.length() - LONGEST_WORDS) : line;
  }

  private static String text(InputStream stream) {
    try (stream) {
      return new String(stream.readNBytes(LONGEST_OUTPUT), StandardCharsets.UTF_8);
    } catch (IOException e) {
      // It was ended for taking too long; its status says so.
      return "";
    }
  }
}
