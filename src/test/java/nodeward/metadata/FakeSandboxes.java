package nodeward.metadata;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.NoSuchFileException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import nodeward.node.Pod;

/** A container runtime in memory. It is not there until a test starts it. */
public final class FakeSandboxes implements Sandboxes {
  private final List<Sandbox> running = new ArrayList<>();
  private Optional<IOException> failure =
      Optional.of(new NoSuchFileException("/run/containerd/containerd.sock"));
  private Optional<CountDownLatch> gate = Optional.empty();
  private int calls;
  private int created;

  @Override
  public List<Sandbox> running(Duration limit) throws IOException {
    Optional<CountDownLatch> wait;
    synchronized (this) {
      calls++;
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
      return List.copyOf(running);
    }
  }

  public synchronized FakeSandboxes start() {
    failure = Optional.empty();
    return this;
  }

  public synchronized void fail(String why) {
    failure = Optional.of(new IOException(why));
  }

  /** Every call from now on waits for the latch. */
  public synchronized CountDownLatch hang() {
    var latch = new CountDownLatch(1);
    gate = Optional.of(latch);
    return latch;
  }

  /** Runs a sandbox of this pod with these addresses, as the youngest. */
  public synchronized Sandbox run(Pod pod, String... addresses) {
    return run(pod, pod.uid(), Kind.OF_ITS_OWN, addresses);
  }

  /** Whose network a sandbox has. */
  public enum Kind {
    OF_ITS_OWN,
    OF_THE_HOST
  }

  public synchronized Sandbox run(Pod pod, String uid, Kind network, String... addresses) {
    created++;
    var sandbox =
        new Sandbox(
            "sandbox-" + created,
            pod.namespace(),
            pod.name(),
            uid,
            created,
            network == Kind.OF_THE_HOST,
            Stream.of(addresses).map(InetAddress::ofLiteral).toList(),
            Map.copyOf(pod.annotations()));
    running.add(sandbox);
    return sandbox;
  }

  public synchronized void end(Sandbox sandbox) {
    running.remove(sandbox);
  }

  public synchronized int calls() {
    return calls;
  }
}
