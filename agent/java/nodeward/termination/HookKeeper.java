package nodeward.termination;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import nodeward.component.Backoff;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.termination.LifecycleHook.Answer;
import nodeward.termination.LifecycleHook.Hook;
import nodeward.termination.LifecycleHook.Result;
import nodeward.termination.LifecycleHook.Standing;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the lifecycle action of a plan alive while the node drains, and completes it when told. The
 * orders come from the thread of the termination; Auto Scaling is asked on a loop of its own, so
 * that neither side waits for the other's outage. A failed call is retried with back-off.
 */
final class HookKeeper implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(HookKeeper.class);
  private static final Duration UNHURRIED = Duration.ofSeconds(15);
  private static final Duration MARGIN = Duration.ofSeconds(30);
  private static final String IDLE = "none";
  private static final String ASKED = "asked";
  private static final String AHEAD = "terminating";
  private static final String WAITING = "waiting";
  private static final String OVER = "over";

  /** All of {@link #state}. */
  static final List<String> STATES = List.of(IDLE, ASKED, AHEAD, WAITING, OVER);

  private final LifecycleHook lifecycle;
  private final Duration interval;
  private final Time time;
  private final Consumer<Event> tell;
  private final Loop loop;

  // Written by the termination's thread, read by the loop's: an order is replaced whole.
  private volatile Order order = new Order(Want.NOTHING, 0, Optional.empty(), Result.CONTINUE);
  // Both are written by the loop's thread for those who show them.
  private volatile String standing = "";
  private volatile String word = IDLE;

  // From here on for the loop's thread alone.
  private int number;
  private Optional<Hook> hook = Optional.empty();
  private String lastSeen = "";
  private boolean waiting;
  private long nextBeat;
  private Optional<Long> waitingSince = Optional.empty();
  private String over = "";
  private boolean told;

  private enum Want {
    NOTHING,
    KEEP,
    COMPLETE
  }

  /** What is wanted; a new number means a new plan, for which nothing is known. */
  private record Order(Want want, int number, Optional<Hook> known, Result result) {}

  /** {@code interval} is the wait between questions while the end of the work hangs on them. */
  HookKeeper(LifecycleHook lifecycle, Duration interval, Time time, Consumer<Event> tell) {
    this.lifecycle = lifecycle;
    this.interval = interval;
    this.time = time;
    this.tell = tell;
    this.loop =
        new Loop(
            "termination-hook",
            this::pass,
            new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(15)),
            time);
  }

  void start() {
    loop.start();
  }

  /** Keeps the action of this instance alive from now on; {@code known} spares a question. */
  void keep(Optional<Hook> known) {
    if (order.want() == Want.NOTHING) {
      order = new Order(Want.KEEP, order.number() + 1, known, Result.CONTINUE);
      loop.wake();
    }
  }

  /** Completes the action as soon as there is one, and tells {@link Event.Detached}. */
  void complete(Result result) {
    if (order.want() == Want.KEEP) {
      order = new Order(Want.COMPLETE, order.number(), order.known(), result);
      loop.wake();
    }
  }

  /** Leaves the action alone. */
  void leave() {
    order = new Order(Want.NOTHING, order.number(), Optional.empty(), Result.CONTINUE);
    loop.wake();
  }

  /** How the hook stands, in words; empty when it is nobody's concern. */
  String standing() {
    return standing;
  }

  /** One of {@link #STATES}. */
  String state() {
    return word;
  }

  Health health() {
    return order.want() == Want.NOTHING ? Health.healthy() : loop.health();
  }

  @Override
  public void close() {
    loop.close();
  }

  Duration pass(Instant now) throws IOException {
    Order wanted = order;
    if (wanted.number() != number) {
      number = wanted.number();
      hook = wanted.known();
      lastSeen = "";
      waiting = false;
      waitingSince = Optional.empty();
      over = "";
      told = false;
      word = ASKED;
    }
    if (wanted.want() == Want.NOTHING) {
      standing = "";
      word = IDLE;
      return Loop.UNTIL_WOKEN;
    }
    if (over.isEmpty()) {
      tend(wanted);
    }
    if (over.isEmpty()) {
      return untilNext(wanted.want());
    }
    standing = over;
    word = OVER;
    // Told once, and only while nobody has thought better of it.
    if (wanted.want() == Want.COMPLETE && order.equals(wanted) && !told) {
      told = true;
      tell.accept(new Event.Detached(over));
    }
    return Loop.UNTIL_WOKEN;
  }

  private void tend(Order wanted) throws IOException {
    if (!waiting) {
      try {
        ask();
      } catch (IOException e) {
        // The hook may be known from before: then its completion does not hang on a Describe call.
        if (wanted.want() == Want.COMPLETE && hook.isPresent()) {
          complete(hook.get(), wanted.result());
        }
        if (over.isEmpty()) {
          throw e;
        }
      }
    }
    if (!over.isEmpty() || !waiting || hook.isEmpty()) {
      return;
    }
    if (wanted.want() == Want.COMPLETE) {
      if (complete(hook.get(), wanted.result()) instanceof Answer.NoAction) {
        ask();
      }
    } else if (time.nanos() - waitingSince.orElseThrow() >= hook.get().globalTimeout().toNanos()) {
      over("the global timeout of %s is over".formatted(hook.get().name()));
    } else if (time.nanos() - nextBeat >= 0) {
      beat(hook.get());
    }
  }

  private void ask() throws IOException {
    boolean before = waiting;
    waiting = false;
    switch (lifecycle.standing()) {
      case Standing.NoGroup _ -> over("the instance is in no Auto Scaling group");
      case Standing.NoHook(String group, _) ->
          over("group %s has no termination hook".formatted(group));
      case Standing.Hooked hooked -> {
        waiting = hooked.waiting();
        if (!hook.equals(Optional.of(hooked.hook()))) {
          hook = Optional.of(hooked.hook());
          tell.accept(new Event.Hooked(hooked.hook()));
        }
        if (!hooked.lifecycleState().equals(lastSeen)) {
          lastSeen = hooked.lifecycleState();
          log.info(
              "termination: lifecycle hook={} group={} state={}",
              hooked.hook().name(),
              hooked.hook().group(),
              lastSeen);
        }
        standing = "%s of %s: %s".formatted(hooked.hook().name(), hooked.hook().group(), lastSeen);
        word = waiting ? WAITING : AHEAD;
        if (hooked.over()) {
          over("the action of %s is over, state %s".formatted(hooked.hook().name(), lastSeen));
        } else if (waiting && !before) {
          // How much of its time has run out is not known.
          nextBeat = time.nanos();
          if (waitingSince.isEmpty()) {
            waitingSince = Optional.of(nextBeat);
            // Auto Scaling waits for the load balancers first.
            tell.accept(new Event.OutOfBalancers());
          }
        }
      }
    }
  }

  private Answer complete(Hook known, Result result) throws IOException {
    Answer answer = lifecycle.complete(known, result);
    switch (answer) {
      case Answer.Done _ ->
          over(
              result == Result.CONTINUE
                  ? "completed " + known.name() + " of group " + known.group()
                  : "abandoned " + known.name() + " of group " + known.group());
      case Answer.NoAction(String why) ->
          log.debug("termination: nothing to complete hook={} why=\"{}\"", known.name(), why);
    }
    return answer;
  }

  private void beat(Hook known) throws IOException {
    switch (lifecycle.heartbeat(known)) {
      case Answer.Done _ -> {
        nextBeat = time.nanos() + between(known).toNanos();
        log.debug("termination: heartbeat hook={}", known.name());
      }
      case Answer.NoAction(String why) -> {
        log.info("termination: no heartbeat taken hook={} why=\"{}\"", known.name(), why);
        ask();
      }
    }
  }

  /** Half the timeout, or half a minute before it if that is earlier; never a hot loop. */
  private static Duration between(Hook known) {
    Duration half = known.heartbeatTimeout().dividedBy(2);
    Duration margin = known.heartbeatTimeout().minus(MARGIN);
    Duration third = known.heartbeatTimeout().dividedBy(3);
    Duration less = half.compareTo(margin) < 0 ? half : margin;
    return less.compareTo(third) > 0 ? less : third;
  }

  private Duration untilNext(Want want) {
    if (want == Want.COMPLETE) {
      return interval;
    }
    if (!waiting) {
      return UNHURRIED.compareTo(interval) > 0 ? UNHURRIED : interval;
    }
    long left = Math.max(0, nextBeat - time.nanos());
    return Duration.ofNanos(left);
  }

  private void over(String how) {
    over = how;
    log.info("termination: lifecycle hook: {}", how);
  }
}
