package nodeward.metadata;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import nodeward.component.Time;

/** STS in memory: issues keys that are numbered, or denies, fails and hangs as a test wants. */
public final class FakeRoleCredentials implements RoleCredentials {
  private final Time time;
  private final List<RoleSession> calls = new ArrayList<>();
  private Optional<String> denial = Optional.empty();
  private Optional<IOException> failure = Optional.empty();
  private Optional<String> throttling = Optional.empty();
  private Optional<Duration> skew = Optional.empty();
  private Optional<CountDownLatch> gate = Optional.empty();

  public FakeRoleCredentials(Time time) {
    this.time = time;
  }

  @Override
  public Assumed assume(RoleSession session) throws IOException {
    int number;
    Optional<CountDownLatch> wait;
    synchronized (this) {
      calls.add(session);
      number = calls.size();
      wait = gate;
    }
    if (wait.isPresent()) {
      try {
        wait.get().await();
      } catch (InterruptedException e) {
        throw new IOException("interrupted", e);
      }
    }
    synchronized (this) {
      if (failure.isPresent()) {
        throw failure.get();
      }
      if (throttling.isPresent()) {
        return new Assumed.Throttled(throttling.get());
      }
      if (denial.isPresent()) {
        return new Assumed.Denied(denial.get());
      }
      return new Assumed.Issued(
          new Credentials(
              "ASIA" + number,
              "secret/" + number,
              "token+" + number,
              time.now().plus(skew.orElse(Duration.ZERO)).plus(session.duration())));
    }
  }

  @Override
  public synchronized Optional<Duration> clockSkew() {
    return skew;
  }

  /** Its clock is ahead of the node's by so much. */
  public synchronized void skew(Duration ahead) {
    skew = Optional.of(ahead);
  }

  public synchronized void throttle(String why) {
    throttling = Optional.of(why);
  }

  public synchronized void deny(String why) {
    denial = Optional.of(why);
  }

  public synchronized void fail(String why) {
    failure = Optional.of(new IOException(why));
  }

  public synchronized void recover() {
    denial = Optional.empty();
    failure = Optional.empty();
    throttling = Optional.empty();
  }

  /** Every call from now on waits for the latch. */
  public synchronized CountDownLatch hang() {
    var latch = new CountDownLatch(1);
    gate = Optional.of(latch);
    return latch;
  }

  public synchronized List<RoleSession> calls() {
    return List.copyOf(calls);
  }
}
