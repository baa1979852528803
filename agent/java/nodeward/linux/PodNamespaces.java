package nodeward.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import nodeward.conntrack.FlowTable;
import nodeward.conntrack.PodTables;
import nodeward.linux.CriSandboxes.Placed;

/**
 * The pods' own tables, by a thread of the platform that enters one network namespace after the
 * other and ends in the last: no other thread ever leaves the node's. Where the namespaces are the
 * container runtime tells. Entering needs CAP_SYS_ADMIN, which the daemon's unit does not have; so
 * this is for a command that root runs.
 */
public final class PodNamespaces implements PodTables {
  private static final Duration RUNTIME_LIMIT = Duration.ofSeconds(10);
  private static final Duration ANSWER_LIMIT = Duration.ofSeconds(2);
  private static final Duration LIMIT = Duration.ofSeconds(30);

  private final Path criSocket;
  private final Path procRoot;
  private final Duration limit;

  /** The namespaces are entered by {@code procRoot} where the runtime's own path is not seen. */
  public PodNamespaces(Path criSocket, Path procRoot) {
    this(criSocket, procRoot, LIMIT);
  }

  PodNamespaces(Path criSocket, Path procRoot, Duration limit) {
    this.criSocket = criSocket;
    this.procRoot = procRoot;
    this.limit = limit;
  }

  @Override
  public Walked walk(Taker taker) throws IOException {
    List<Placed> pods = new CriSandboxes(criSocket).placed(RUNTIME_LIMIT);
    long deadline = System.nanoTime() + limit.toNanos();
    var walks = new FutureTask<Walked>(() -> walk(pods, taker, deadline));
    Thread.ofPlatform().daemon().name("pod-namespaces").start(walks);
    try {
      // A walk that is under way at the deadline has its answer's time.
      return walks.get(limit.plus(ANSWER_LIMIT).toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException e) {
      throw new IOException("the pods' tables were not read within " + UnixSockets.shown(limit), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while the pods' tables were read", e);
    } catch (ExecutionException e) {
      throw new IOException(Objects.requireNonNullElse(e.getCause(), e).getMessage(), e);
    }
  }

  private Walked walk(List<Placed> pods, Taker taker, long deadline) throws IOException {
    var unread = new ArrayList<String>();
    var whole = FlowTable.Walk.WHOLE;
    for (Placed pod : pods) {
      if (pod.sandbox().hostNetwork()) {
        continue;
      }
      try {
        if (enter(pod) && walk(pod, taker, deadline) == FlowTable.Walk.TORN) {
          whole = FlowTable.Walk.TORN;
        }
      } catch (LibC.Failure e) {
        if (e.errno() == LibC.EPERM) {
          throw e;
        }
        unread.add(name(pod) + ": " + e.getMessage());
      } catch (IOException e) {
        unread.add(name(pod) + ": " + e.getMessage());
      }
    }
    return new Walked(whole, unread);
  }

  /** Takes this thread into the pod's network; false when the pod has ended meanwhile. */
  private boolean enter(Placed pod) throws IOException {
    Path namespace =
        pod.namespace()
            .filter(path -> path.toFile().exists())
            .or(() -> ofProcess(pod))
            .orElseThrow(
                () -> new IOException("the container runtime does not tell its network namespace"));
    try {
      LibC.enterNetwork(namespace);
      return true;
    } catch (LibC.Failure e) {
      if (e.errno() == LibC.ENOENT) {
        return false;
      }
      if (e.errno() == LibC.EPERM) {
        throw new LibC.Failure(
            "setns to %s (this needs CAP_SYS_ADMIN, which nodeward.service does not have: run it as"
                    .formatted(namespace)
                + " root in a shell of the node)",
            LibC.EPERM);
      }
      throw e;
    }
  }

  private Optional<Path> ofProcess(Placed pod) {
    return pod.pid() > 0 ? Optional.of(procRoot.resolve(pod.pid() + "/ns/net")) : Optional.empty();
  }

  private FlowTable.Walk walk(Placed pod, Taker taker, long deadline) throws IOException {
    Duration left = Duration.ofNanos(deadline - System.nanoTime());
    if (!left.isPositive()) {
      throw new IOException("no time was left");
    }
    try (Netlink netlink = Netlink.open(ANSWER_LIMIT)) {
      // Most pods track nothing.
      return netlink.conntrackSize().entries() == 0
          ? FlowTable.Walk.WHOLE
          : netlink.conntrackFlows(taker.of(pod.sandbox().pod()), left);
    }
  }

  private static String name(Placed pod) {
    return pod.sandbox().namespace() + "/" + pod.sandbox().name();
  }
}
