package nodeward.cluster;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * A child process that is run to its end for its output. It fails, with what the process said on
 * stderr, when the exit code is not 0 or the time limit is reached.
 */
final class Command {
  private static final int LIMIT_SECONDS = 120;

  // Threads of their own: one that a killed command's child keeps waiting must not stop the next.
  private static final Executor READER = task -> Thread.ofPlatform().daemon().start(task);

  private Command() {}

  static String run(String... command) throws IOException {
    return run(List.of(command), "");
  }

  static String run(List<String> command, String input) throws IOException {
    Process process = Daemon.spawn(new ProcessBuilder(command));
    try {
      var output = CompletableFuture.supplyAsync(() -> text(process.getInputStream()), READER);
      var errors = CompletableFuture.supplyAsync(() -> text(process.getErrorStream()), READER);
      try (OutputStream stdin = process.getOutputStream()) {
        stdin.write(input.getBytes(StandardCharsets.UTF_8));
      }
      if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
        throw new IOException("still running after " + LIMIT_SECONDS + " s: " + command);
      }
      if (process.exitValue() != 0) {
        throw new IOException(
            "exit code " + process.exitValue() + " of " + command + "\n" + errors.join());
      }
      return output.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while running " + command, e);
    } finally {
      process.destroyForcibly();
    }
  }

  private static String text(InputStream in) {
    try {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
