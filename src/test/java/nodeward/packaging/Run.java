package nodeward.packaging;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Commands that are run to their end. Their stdin is empty. */
public final class Run {
  public static final Path BASE =
      Path.of(System.getProperty("nodeward.basedir", ".")).toAbsolutePath();

  private static final int LIMIT_SECONDS = 240;

  /** A command that has ended. */
  record Ended(int code, String out, String err) {}

  private Run() {}

  static Ended run(List<String> command) throws IOException, InterruptedException {
    Path out = Files.createTempFile("nodeward", ".out");
    Path err = Files.createTempFile("nodeward", ".err");
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
              .redirectOutput(out.toFile())
              .redirectError(err.toFile())
              .start();
      if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new AssertionError("still running: " + command + "\n" + text(out) + text(err));
      }
      return new Ended(process.exitValue(), text(out), text(err));
    } finally {
      Files.delete(out);
      Files.delete(err);
    }
  }

  /** Its output; fails with what it said when it failed. */
  public static String ok(String... command) throws IOException, InterruptedException {
    Ended ended = run(List.of(command));
    if (ended.code() != 0) {
      throw new AssertionError(List.of(command) + " ended with " + ended);
    }
    return ended.out();
  }

  private static String text(Path file) throws IOException {
    return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
  }
}
