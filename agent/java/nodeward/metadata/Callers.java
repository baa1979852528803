package nodeward.metadata;

import java.net.InetAddress;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Counts what each address holds of the server at this moment, so that one pod cannot take what is
 * there for all. Safe for use by several threads.
 */
final class Callers {
  /** The most that one address may hold; {@code all} is the most connections of all together. */
  record Most(int connections, int requests, int bufferedBytes, int all) {}

  /** One address that has a connection, at least. */
  final class Caller {
    private final InetAddress address;
    // Guarded by the map's lock on the address: a caller without connections is forgotten.
    private int connections;
    private final AtomicInteger requests = new AtomicInteger();
    private final AtomicInteger bytes = new AtomicInteger();

    private Caller(InetAddress address) {
      this.address = address;
    }

    /** Whether one more request may wait; each that was let in is {@link #answered}. */
    boolean asks() {
      if (requests.incrementAndGet() <= most.requests) {
        return true;
      }
      requests.decrementAndGet();
      return false;
    }

    void answered() {
      requests.decrementAndGet();
    }

    /** Whether this many bytes more, or less, may be kept for it; if not, none were counted. */
    boolean keeps(int more) {
      if (bytes.addAndGet(more) <= most.bufferedBytes || more <= 0) {
        return true;
      }
      bytes.addAndGet(-more);
      return false;
    }

    void left() {
      all.decrementAndGet();
      callers.computeIfPresent(address, (a, c) -> --c.connections == 0 ? null : c);
    }
  }

  private final Most most;
  private final ConcurrentHashMap<InetAddress, Caller> callers = new ConcurrentHashMap<>();
  private final AtomicInteger all = new AtomicInteger();

  Callers(Most most) {
    this.most = most;
  }

  /** One more connection of the address; each that was let in {@link Caller#left leaves} once. */
  Entrance enter(InetAddress address) {
    if (all.incrementAndGet() > most.all) {
      all.decrementAndGet();
      return new Entrance.Refused("there are " + most.all + " connections already");
    }
    var admitted = new AtomicBoolean();
    Caller caller =
        callers.compute(
            address,
            (a, known) -> {
              Caller c = known == null ? new Caller(a) : known;
              admitted.set(c.connections < most.connections);
              c.connections += admitted.get() ? 1 : 0;
              return c;
            });
    if (!admitted.get()) {
      all.decrementAndGet();
      return new Entrance.Refused("it has " + most.connections + " connections already");
    }
    return new Entrance.Admitted(caller);
  }

  int connections() {
    return all.get();
  }

  /** Whether a connection may stay. */
  sealed interface Entrance {
    record Admitted(Caller caller) implements Entrance {}

    record Refused(String why) implements Entrance {}
  }
}
