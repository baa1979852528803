package nodeward.termination;

import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;
import nodeward.component.Backoff;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.drain.Drain;
import nodeward.drain.DrainOptions;
import nodeward.drain.Drainer;
import nodeward.drain.Left;
import nodeward.node.NodeEvents;

/**
 * The one drain of a termination: started for a plan, tightened with it, stopped without a word. It
 * runs on a loop of its own and tells {@link Event.Drained}. Orders come from one thread.
 */
final class DrainRunner implements AutoCloseable {
  private final Drainer drainer;
  private final DrainOptions options;
  private final NodeEvents events;
  private final Supplier<Backoff> backoff;
  private final Time time;
  private final Consumer<Event> tell;
  private final Runnable progressed;
  // Written by the one that orders, read by close().
  private volatile Optional<Work> work = Optional.empty();

  /** A drain and the loop that runs it. */
  private record Work(Drain drain, Loop loop) {}

  DrainRunner(
      Drainer drainer,
      DrainOptions options,
      NodeEvents events,
      Supplier<Backoff> backoff,
      Time time,
      Consumer<Event> tell,
      Runnable progressed) {
    this.drainer = drainer;
    this.options = options;
    this.events = events;
    this.backoff = backoff;
    this.time = time;
    this.tell = tell;
    this.progressed = progressed;
  }

  /** Starts the drain, or moves the deadline of the one that runs. */
  void drain(Plan plan) {
    boolean forces = forces(plan);
    if (work.isPresent()) {
      work.get().drain().tighten(plan.deadline());
      if (forces) {
        work.get().drain().force();
      }
      return;
    }
    var drainLog = new DrainLog(events);
    Drain drain =
        drainer.prepare(
            forces ? options.with(DrainOptions.Flag.FORCE_AT_DEADLINE) : options,
            plan.deadline(),
            progress -> {
              drainLog.accept(progress);
              progressed.run();
            });
    Loop running =
        new Loop(
            "drain",
            now -> {
              tell.accept(new Event.Drained(drain.run()));
              return Loop.UNTIL_WOKEN;
            },
            backoff.get(),
            time);
    work = Optional.of(new Work(drain, running));
    running.start();
  }

  /** Whether one of its notices is of a kind whose deadline nobody can move. */
  private boolean forces(Plan plan) {
    return plan.notices().stream().anyMatch(n -> drainer.forcesFor(n.kind().text()));
  }

  /** The pods that are still to go; empty when no drain runs. */
  Optional<List<Left>> left() {
    return work.map(w -> w.drain().left());
  }

  /** Stops the drain; what is evicted stays so. */
  void stop() {
    work.ifPresent(w -> w.loop().close());
    work = Optional.empty();
  }

  @Override
  public void close() {
    work.ifPresent(w -> w.loop().close());
  }
}
