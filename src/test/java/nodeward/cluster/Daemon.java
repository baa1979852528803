package nodeward.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * A long-running child process with a log file. It never outlives the JVM, however that ends; a
 * failure to become ready carries the end of the log. Used by the one thread that owns the cluster.
 */
final class Daemon {
  private static final Duration STOP_LIMIT = Duration.ofSeconds(15);
  private static final int TAIL_LINES = 30;
  private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();

  // The kernel sends a child its parent-death signal when the thread that made it ends, so all are
  // made by one that never does.
  private static final ExecutorService SPAWNER =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("spawner").factory());

  static {
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> RUNNING.forEach(Process::destroyForcibly)));
  }

  private final String name;
  private final Path log;
  private final Process process;

  Daemon(String name, Path log, Process process) {
    this.name = name;
    this.log = log;
    this.process = process;
  }

  /** Starts the command; its output is appended to NAME.log in the directory. */
  static Daemon start(String name, Path logs, List<String> command) throws IOException {
    Path log = logs.resolve(name + ".log");
    var tied = new ArrayList<>(List.of("setpriv", "--pdeathsig", "KILL", "--"));
    tied.addAll(command);
    return new Daemon(name, log, spawn(logged(new ProcessBuilder(tied), log)));
  }

  static ProcessBuilder logged(ProcessBuilder builder, Path log) {
    return builder
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
  }

  static Process spawn(ProcessBuilder builder) throws IOException {
    try {
      Process process = SPAWNER.submit(builder::start).get();
      RUNNING.add(process);
      process.onExit().thenAccept(RUNNING::remove);
      return process;
    } catch (ExecutionException e) {
      throw new IOException("cannot start " + builder.command(), e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while starting " + builder.command(), e);
    }
  }

  void awaitReady(Duration limit, Callable<Boolean> ready) throws IOException {
    try {
      Poll.until(name + " is ready", limit, () -> !process.isAlive() || ready.call());
    } catch (AssertionError e) {
      throw new IOException(e.getMessage() + "\n" + tail(), e);
    }
    if (!process.isAlive()) {
      throw new IOException(name + " ended with exit code " + process.exitValue() + "\n" + tail());
    }
  }

  ProcessHandle handle() {
    return process.toHandle();
  }

  /** False when its exit code is known, which is later than the end of its {@link #handle}. */
  boolean isAlive() {
    return process.isAlive();
  }

  /** Of a process that has ended. */
  int exitCode() {
    return process.exitValue();
  }

  /** SIGTERM, and SIGKILL when that does not end it. */
  void stop() {
    process.destroy();
    if (!awaitEnd()) {
      kill();
    }
  }

  /** SIGKILL. */
  void kill() {
    process.destroyForcibly();
    if (!awaitEnd()) {
      throw new IllegalStateException(name + " survived SIGKILL, pid " + process.pid());
    }
  }

  /** Waits, with a limit, for an end that has been brought about otherwise. */
  boolean awaitEnd() {
    try {
      return process.waitFor(STOP_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return !process.isAlive();
    }
  }

  private String tail() throws IOException {
    List<String> lines = Files.readAllLines(log);
    return String.join("\n", lines.subList(Math.max(0, lines.size() - TAIL_LINES), lines.size()));
  }
}
