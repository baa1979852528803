package nodeward.readiness;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A launch hook in memory, which notes each call; a completed launch is in service, or in the warm
 * pool.
 */
final class FakeLaunchHook implements LaunchHook {
  static final Standing.Waiting WAITING =
      new Standing.Waiting("workers", "ready", Duration.ofMinutes(5), Into.SERVICE);
  static final Standing.Waiting WAITING_TO_REST =
      new Standing.Waiting("workers", "ready", Duration.ofMinutes(5), Into.WARM_POOL);

  private final List<String> calls = new ArrayList<>();
  private Standing standing = new Standing.NotYet("Pending");
  private boolean resting;
  private Optional<IOException> failure = Optional.empty();

  synchronized void standing(Standing next) {
    standing = next;
  }

  /** What the instance's own metadata says. */
  synchronized void resting(boolean is) {
    resting = is;
  }

  synchronized void fail(String why) {
    failure = Optional.of(new IOException(why));
  }

  synchronized void recover() {
    failure = Optional.empty();
  }

  synchronized List<String> calls() {
    return List.copyOf(calls);
  }

  long count(String call) {
    return calls().stream().filter(call::equals).count();
  }

  @Override
  public synchronized Standing standing() throws IOException {
    note("standing");
    return standing;
  }

  @Override
  public synchronized boolean isResting() throws IOException {
    note("metadata");
    return resting;
  }

  @Override
  public synchronized void heartbeat(Standing.Waiting waiting) throws IOException {
    note("heartbeat");
  }

  @Override
  public synchronized void complete(Standing.Waiting waiting, Result result) throws IOException {
    note(result.name());
    if (waiting.into() == Into.WARM_POOL && result == Result.CONTINUE) {
      resting = true;
      standing = new Standing.Resting("Warmed:Running");
    } else {
      standing = new Standing.Nothing("the instance is InService in group workers");
    }
  }

  private void note(String call) throws IOException {
    calls.add(call);
    if (failure.isPresent()) {
      throw failure.get();
    }
  }
}
