package nodeward.component;

import java.time.Duration;
import java.time.Instant;
import java.util.List;

/**
 * Asks every component for its health again and again on one thread, and remembers when all had
 * answered last: a part that hangs in {@link Component#health} stops the pulse, one that is merely
 * degraded does not.
 */
public final class Pulse implements Component {
  private static final Duration MOST = Duration.ofSeconds(5);
  private static final int BEATS_MISSED = 3;

  private final List<Component> components;
  private final Runnable beat;
  private final Duration every;
  private final Time time;
  private final Loop loop;
  // Written by the loop's thread, read by alive().
  private volatile long last;

  /** Calls {@code beat} after each round; {@code every} is capped at 5 s. */
  public Pulse(List<Component> components, Duration every, Runnable beat, Time time) {
    this.components = List.copyOf(components);
    this.every = every.compareTo(MOST) < 0 ? every : MOST;
    this.beat = beat;
    this.time = time;
    this.last = time.nanos();
    this.loop = new Loop(name(), this::pass);
  }

  @Override
  public String name() {
    return "pulse";
  }

  @Override
  public void start() {
    last = time.nanos();
    loop.start();
  }

  @Override
  public Health health() {
    return loop.health();
  }

  @Override
  public void close() {
    loop.close();
  }

  /** Whether the last rounds came through. */
  public boolean alive() {
    return time.nanos() - last < every.multipliedBy(BEATS_MISSED).toNanos();
  }

  Duration pass(Instant now) {
    components.forEach(Component::health);
    last = time.nanos();
    beat.run();
    return every;
  }
}
