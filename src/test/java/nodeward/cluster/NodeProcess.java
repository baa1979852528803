package nodeward.cluster;

import java.io.InputStream;
import java.io.OutputStream;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * A process on a {@link RealNode}. nsenter, which the JVM started, is its parent and waits for it
 * with its exit code; a signal has to go to the process itself, for nsenter hands none on.
 */
final class NodeProcess extends Process {
  private static final Duration FORK_LIMIT = Duration.ofSeconds(10);

  private final Process nsenter;
  private final ProcessHandle process;

  private NodeProcess(Process nsenter, ProcessHandle process) {
    this.nsenter = nsenter;
    this.process = process;
  }

  static Process of(Process nsenter) {
    Poll.until(
        "nsenter has started its child",
        FORK_LIMIT,
        () -> !nsenter.isAlive() || nsenter.children().findAny().isPresent());
    return nsenter
        .children()
        .findFirst()
        .<Process>map(child -> new NodeProcess(nsenter, child))
        .orElse(nsenter);
  }

  @Override
  public ProcessHandle toHandle() {
    return process;
  }

  @Override
  public long pid() {
    return process.pid();
  }

  @Override
  public boolean isAlive() {
    return nsenter.isAlive();
  }

  @Override
  public boolean supportsNormalTermination() {
    return true;
  }

  @Override
  public void destroy() {
    process.destroy();
  }

  @Override
  public Process destroyForcibly() {
    process.destroyForcibly();
    return this;
  }

  @Override
  public int waitFor() throws InterruptedException {
    return nsenter.waitFor();
  }

  @Override
  public boolean waitFor(long timeout, TimeUnit unit) throws InterruptedException {
    return nsenter.waitFor(timeout, unit);
  }

  @Override
  public int exitValue() {
    return nsenter.exitValue();
  }

  @Override
  public CompletableFuture<Process> onExit() {
    return nsenter.onExit().thenApply(ended -> this);
  }

  @Override
  public OutputStream getOutputStream() {
    return nsenter.getOutputStream();
  }

  @Override
  public InputStream getInputStream() {
    return nsenter.getInputStream();
  }

  @Override
  public InputStream getErrorStream() {
    return nsenter.getErrorStream();
  }
}
