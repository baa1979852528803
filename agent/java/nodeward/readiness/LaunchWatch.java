package nodeward.readiness;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.readiness.LaunchHook.Result;
import nodeward.readiness.LaunchHook.Standing;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps a new instance's launch hook alive while the gate is closed, and completes it with the
 * gate. It is told where the gate stands, from any thread and as often as one likes, and asks Auto
 * Scaling on a loop of its own, so that neither waits for the other's outage. The hook is dealt
 * with once in a boot: once it is completed, or there turns out to be none, nothing is asked again.
 * Only an instance that goes into the warm pool is held a second time when it leaves: until then
 * its own metadata is looked at, and no API.
 */
public final class LaunchWatch implements Component {
  /** The longest heartbeat time-out there is: an action that was not kept alive so long is over. */
  static final Duration LONGEST_ACTION = Duration.ofHours(2);

  /** The usual heartbeat time-out; an agent that comes back later finds no action any more. */
  static final Duration USUAL_ACTION = Duration.ofHours(1);

  static final Duration LOOK_AGAIN = Duration.ofSeconds(5);
  static final Duration LOOK_FOR = Duration.ofMinutes(10);

  /** How often the metadata of an instance in the warm pool is looked at. */
  static final Duration REST = Duration.ofSeconds(15);

  /** How often Auto Scaling is asked while it and the metadata do not agree on that. */
  static final Duration REST_UNSURE = Duration.ofMinutes(1);

  private static final Logger log = LoggerFactory.getLogger(LaunchWatch.class);
  private static final Duration MARGIN = Duration.ofSeconds(30);

  private final LaunchHook hook;
  private final Time time;
  private final Loop loop;
  private final Counter outcomes;
  // Written by whoever tells, read by the loop's thread.
  private volatile Wish wish = Wish.UNKNOWN;
  // Written by the loop's thread, read by status().
  private volatile String shown = "nobody has asked yet";

  // From here on for the loop's thread alone.
  private Optional<Standing.Waiting> waiting = Optional.empty();
  private boolean told;
  private boolean over;
  private boolean resting;
  private long nextBeat;
  private OptionalLong pendingSince = OptionalLong.empty();
  private OptionalLong failingSince = OptionalLong.empty();

  /** What the gate wants of the hook. */
  private enum Wish {
    UNKNOWN,
    CLOSED,
    OPEN,
    OPEN_BEFORE,
    GIVEN_UP,
    ABANDONED
  }

  /** What came of the launch, as the metric's label has it. */
  private enum Outcome {
    CONTINUE,
    ABANDON,
    NOTHING,
    UNSEEN,
    FAILED;

    private String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Where the launch hook is not wanted, {@code hook} is {@link LaunchHook#disabled}. */
  public LaunchWatch(LaunchHook hook, Time time, CollectorRegistry registry) {
    this.hook = hook;
    this.time = time;
    this.loop =
        new Loop(
            name(), this::pass, new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30)), time);
    this.outcomes =
        Counter.build(
                "nodeward_gate_launch_hook_total",
                "Launches of this instance, by what came of them.")
            .labelNames("outcome")
            .register(registry);
  }

  @Override
  public String name() {
    return "launch";
  }

  @Override
  public void start() {
    loop.start();
  }

  /** The gate is closed: an action that waits is kept alive. */
  public void closed() {
    tell(Wish.CLOSED);
  }

  /** The gate was opened in this run of the agent: the action is completed with CONTINUE. */
  public void opened() {
    tell(Wish.OPEN);
  }

  /**
   * The gate was opened at {@code since} by an earlier run of the agent in this boot. That run may
   * have been killed before it completed the action, so one younger than the usual action is
   * completed again; of an older one nothing is asked.
   */
  public void restored(Instant since) {
    boolean old = Duration.between(since, time.now()).compareTo(USUAL_ACTION) > 0;
    tell(old ? Wish.OPEN_BEFORE : Wish.OPEN);
  }

  /**
   * The gate has been closed for too long: the action is not kept alive any more and ends as its
   * hook says. Should the gate open after all, it is completed as usual.
   */
  public void givenUp() {
    tell(Wish.GIVEN_UP);
  }

  /** The same, but the action is completed with ABANDON, which ends the instance. */
  public void abandoned() {
    tell(Wish.ABANDONED);
  }

  @Override
  public Health health() {
    return loop.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("hook", shown);
    return status;
  }

  @Override
  public void close() {
    loop.close();
  }

  private void tell(Wish next) {
    if (wish != next) {
      wish = next;
      loop.wake();
    }
  }

  Duration pass(Instant now) throws IOException {
    if (over) {
      return Loop.UNTIL_WOKEN;
    }
    try {
      Duration wait = tend(wish);
      failingSince = OptionalLong.empty();
      return wait;
    } catch (IOException e) {
      waiting = Optional.empty();
      if (failingSince.isEmpty()) {
        failingSince = OptionalLong.of(time.nanos());
      }
      if (since(failingSince.getAsLong()).compareTo(LONGEST_ACTION) < 0) {
        throw e;
      }
      log.warn(
          "launch: gave up after {} of failures, the action is over by now why=\"{}\"",
          LONGEST_ACTION,
          e.getMessage());
      return end(Outcome.FAILED, "not reached within 2 h: " + e.getMessage());
    }
  }

  private Duration tend(Wish wished) throws IOException {
    if (resting && hook.isResting()) {
      shown = "the instance rests in the warm pool";
      return REST;
    }
    return switch (wished) {
      case UNKNOWN -> Loop.UNTIL_WOKEN;
      case CLOSED -> keep();
      case OPEN -> complete(Result.CONTINUE, Outcome.CONTINUE);
      case ABANDONED -> complete(Result.ABANDON, Outcome.ABANDON);
      case GIVEN_UP -> {
        shown = "left to run out";
        yield Loop.UNTIL_WOKEN;
      }
      case OPEN_BEFORE -> {
        if (resting) {
          yield complete(Result.CONTINUE, Outcome.CONTINUE);
        }
        if (hook.isResting()) {
          resting = true;
          yield LOOK_AGAIN;
        }
        over = true;
        shown = "the gate was opened by an earlier run of the agent";
        yield Loop.UNTIL_WOKEN;
      }
    };
  }

  private Duration keep() throws IOException {
    if (waiting.isPresent() && time.nanos() - nextBeat < 0) {
      return Duration.ofNanos(nextBeat - time.nanos());
    }
    // Somebody else may have ended the action since the last beat.
    Optional<Duration> instead = look();
    if (instead.isPresent()) {
      return instead.get();
    }
    Standing.Waiting action = waiting.orElseThrow();
    hook.heartbeat(action);
    log.debug("launch: heartbeat hook={} group={}", action.hook(), action.group());
    Duration wait = between(action.heartbeatTimeout());
    nextBeat = time.nanos() + wait.toNanos();
    return wait;
  }

  private Duration complete(Result result, Outcome outcome) throws IOException {
    if (waiting.isEmpty()) {
      Optional<Duration> instead = look();
      if (instead.isPresent()) {
        return instead.get();
      }
    }
    Standing.Waiting action = waiting.orElseThrow();
    hook.complete(action, result);
    log.info("launch: completed hook={} group={} result={}", action.hook(), action.group(), result);
    String how = "completed %s with %s".formatted(words(action), result);
    if (action.into() == LaunchHook.Into.WARM_POOL && result == Result.CONTINUE) {
      outcomes.labels(outcome.label()).inc();
      rest(how);
      return LOOK_AGAIN;
    }
    return end(outcome, how);
  }

  private void rest(String how) {
    resting = true;
    waiting = Optional.empty();
    pendingSince = OptionalLong.empty();
    told = false;
    shown = how;
  }

  /** Looks how the instance stands; the wait that this leaves where there is no action to tend. */
  private Optional<Duration> look() throws IOException {
    waiting = Optional.empty();
    switch (hook.standing()) {
      case Standing.Waiting action -> {
        resting = false;
        waiting = Optional.of(action);
        shown = words(action) + " waits for the gate";
        if (!told) {
          told = true;
          log.info("launch: waiting hook={} group={}", action.hook(), action.group());
        }
        return Optional.empty();
      }
      case Standing.Resting(String state) -> {
        if (!resting) {
          log.info("launch: in the warm pool state={}", state);
        }
        rest("the instance is " + state);
        return Optional.of(REST_UNSURE);
      }
      case Standing.NotYet(String state) -> {
        if (pendingSince.isEmpty()) {
          pendingSince = OptionalLong.of(time.nanos());
        }
        if (since(pendingSince.getAsLong()).compareTo(LOOK_FOR) < 0) {
          shown = "the instance is " + state;
          return Optional.of(LOOK_AGAIN);
        }
        log.warn("launch: state={} for {} already, not asked again", state, LOOK_FOR);
        return Optional.of(end(Outcome.UNSEEN, "the instance stayed " + state));
      }
      case Standing.Nothing(String why) -> {
        log.info("launch: no hook to complete why=\"{}\"", why);
        return Optional.of(end(Outcome.NOTHING, why));
      }
    }
  }

  private Duration end(Outcome outcome, String how) {
    over = true;
    shown = how;
    waiting = Optional.empty();
    outcomes.labels(outcome.label()).inc();
    return Loop.UNTIL_WOKEN;
  }

  private Duration since(long nanos) {
    return Duration.ofNanos(time.nanos() - nanos);
  }

  private static String words(Standing.Waiting action) {
    return action.hook() + " of group " + action.group();
  }

  /** Half the time-out, or half a minute before it if that is earlier; never a hot loop. */
  private static Duration between(Duration timeout) {
    Duration half = timeout.dividedBy(2);
    Duration margin = timeout.minus(MARGIN);
    Duration third = timeout.dividedBy(3);
    Duration less = half.compareTo(margin) < 0 ? half : margin;
    return less.compareTo(third) > 0 ? less : third;
  }
}
