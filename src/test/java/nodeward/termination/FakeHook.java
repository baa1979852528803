package nodeward.termination;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A group's termination hook in memory: it takes heartbeats and completions while in the wait. */
final class FakeHook implements LifecycleHook {
  static final Hook HOOK = new Hook("workers", "drain", Duration.ofMinutes(5), Duration.ofHours(8));

  private final List<String> calls = new ArrayList<>();
  private Standing standing = new Standing.Hooked(HOOK, "Terminating");
  private Optional<IOException> failure = Optional.empty();
  private Optional<IOException> describeFailure = Optional.empty();

  synchronized void lifecycleState(String state) {
    standing = new Standing.Hooked(HOOK, state);
  }

  synchronized void standing(Standing other) {
    standing = other;
  }

  synchronized void failWith(Optional<IOException> failure) {
    this.failure = failure;
  }

  synchronized void failToDescribe(IOException why) {
    describeFailure = Optional.of(why);
  }

  synchronized List<String> calls() {
    return List.copyOf(calls);
  }

  long count(String call) {
    return calls().stream().filter(call::equals).count();
  }

  @Override
  public synchronized Standing standing() throws IOException {
    calls.add("standing");
    mayFail();
    if (describeFailure.isPresent()) {
      throw describeFailure.get();
    }
    return standing;
  }

  @Override
  public synchronized Answer heartbeat(Hook hook) throws IOException {
    calls.add("heartbeat");
    mayFail();
    return answer();
  }

  @Override
  public synchronized Answer complete(Hook hook, Result result) throws IOException {
    calls.add(result == Result.CONTINUE ? "complete" : "abandon");
    mayFail();
    Answer answer = answer();
    if (answer instanceof Answer.Done) {
      lifecycleState("Terminating:Proceed");
    }
    return answer;
  }

  private Answer answer() {
    return standing instanceof Standing.Hooked hooked && hooked.waiting()
        ? new Answer.Done()
        : new Answer.NoAction("No active Lifecycle Action found");
  }

  private void mayFail() throws IOException {
    if (failure.isPresent()) {
      throw failure.get();
    }
  }
}
