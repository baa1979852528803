package nodeward.termination;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.SequencedMap;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Stream;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.drain.DrainOptions;
import nodeward.drain.Drainer;
import nodeward.drain.Left;
import nodeward.node.NodeEvents;
import nodeward.node.NodeView;
import nodeward.node.Nodes;
import nodeward.termination.LifecycleHook.Result;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Notices.Reading;
import nodeward.termination.Notifier.Moment;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Watches for notices that the node goes away, takes the {@link Termination} from state to state
 * and carries out its effects. Three loops, so that an outage of one side never holds up the
 * others: instance metadata is polled on one, Auto Scaling asked on another, and the third owns the
 * state; the drain runs beside them. {@link #close} stops and undoes nothing: the next agent goes
 * on with the stored plan. Of two agents on a node one acts and the other stands by.
 */
public final class TerminationWatch implements Component {
  private static final Logger log = LoggerFactory.getLogger(TerminationWatch.class);
  private static final Duration KEEP_PLACE = Duration.ofMinutes(5);

  private final Config.Termination config;
  private final Ports ports;
  private final Facts facts;
  private final Time time;
  private final Termination machine;
  private final PlanFile file;
  private final NodeLock lock;
  private final Marks marks;
  private final DrainRunner runner;
  private final HookKeeper keeper;
  private final TerminationMetrics metrics;
  private final Loop polling;
  private final Loop loop;

  private final Queue<Event> inbox = new ConcurrentLinkedQueue<>();
  // Written by the loop's thread for those who show it.
  private volatile State state = new State.InService();
  private final List<Consumer<State>> listeners = new CopyOnWriteArrayList<>();
  private volatile boolean acting;
  // Written by the polling thread: whether it has asked once, got an answer, and is sure of it.
  private volatile boolean asked;
  private volatile boolean heard;
  private volatile boolean sure;
  private final NoticeBoard board = new NoticeBoard();

  // From here on for the loop's thread alone.
  private final Deque<Effect> pending = new ArrayDeque<>();
  private boolean looked;
  private long placeTaken;

  /** The outside world of it. */
  public record Ports(
      Nodes nodes,
      NodeEvents events,
      Notices notices,
      LifecycleHook hook,
      HeldNodes places,
      Notifier notifier) {}

  /** What it knows of its machine: the id of this boot, and of the instance once that is known. */
  public record Facts(String boot, Supplier<String> instanceId) {}

  public TerminationWatch(
      Config.Termination config,
      Config.State stateFiles,
      Ports ports,
      Facts facts,
      Drainer drainer,
      DrainOptions options,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.ports = ports;
    this.facts = facts;
    this.time = time;
    var policy = new Policy(config);
    this.machine = new Termination(policy, facts.boot());
    this.file = new PlanFile(stateFiles.directory(), ports.nodes().nodeName());
    this.lock = new NodeLock(stateFiles.directory());
    this.marks = new Marks(ports.nodes(), policy, facts.instanceId());
    this.keeper = new HookKeeper(ports.hook(), config.pollInterval(), time, this::post);
    this.polling = new Loop("termination-notices", this::poll, backoff(), time);
    this.loop = new Loop("termination", this::pass, backoff(), time);
    this.runner =
        new DrainRunner(
            drainer, options, ports.events(), this::backoff, time, this::post, loop::wake);
    this.metrics = new TerminationMetrics(registry, time, this::state, keeper::state);
  }

  private Backoff backoff() {
    Duration most = config.pollInterval();
    Duration first = Duration.ofMillis(500);
    return new Backoff(first.compareTo(most) < 0 ? first : most, most);
  }

  @Override
  public String name() {
    return "termination";
  }

  @Override
  public void start() {
    keeper.start();
    loop.start();
    polling.start();
  }

  /**
   * Asks for the node to be drained by the deadline, as any notice does; an earlier request of the
   * kind is replaced. It stands until {@link #withdraw}, also over restarts of the agent; one for a
   * shutdown until the next boot.
   */
  public void request(Kind kind, Instant deadline) {
    String id =
        switch (kind) {
          case SHUTDOWN -> "shutdown:" + facts.boot();
          // The same over restarts of both, who asks and who is asked.
          case REPAIR -> "repair:" + deadline;
          case SPOT, AUTO_SCALING, MAINTENANCE, REBALANCE, MANUAL -> kind.text() + ":" + time.now();
        };
    Notice notice = new Notice(kind, id, "requested", deadline);
    board.request(notice, () -> post(new Event.Requested(notice)));
  }

  /** Takes a request back, also one of an earlier run; what was done for it alone is undone. */
  public void withdraw(Kind kind) {
    board.withdraw(kind, standing -> post(new Event.Seen(standing)));
  }

  /** Whether a request of this kind stands. */
  public boolean isRequested(Kind kind) {
    return board.isRequested(kind);
  }

  /** Adds a notice to what instance metadata says, until {@link #endSimulation}. */
  public void simulate(Notice notice) {
    board.simulate(notice);
    polling.wake();
  }

  /** What was simulated is over, as a notice that is cancelled. */
  public void endSimulation() {
    board.endSimulation();
    polling.wake();
  }

  public State state() {
    return state;
  }

  /** Hears each state that differs from the one before, just before {@link #state} tells it. */
  public void onState(Consumer<State> listener) {
    listeners.add(listener);
  }

  @Override
  public Health health() {
    return Stream.of(loop.health(), polling.health(), keeper.health())
        .filter(h -> !h.isHealthy())
        .findFirst()
        .orElseGet(Health::healthy);
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    State now = state;
    status.put("state", acting ? now.word() : "standing by for another agent of this node");
    now.planned()
        .ifPresent(
            plan -> {
              status.put("kind", plan.kind().text());
              status.put("since", plan.since().toString());
              status.put("deadline", text(plan.deadline()));
              status.put("cordonedBy", plan.cordoner().text());
              status.put("left", now.left().stream().map(Left::toString).toList());
            });
    if (!now.settled().isEmpty()) {
      status.put("settled", now.settled());
    }
    status.put("notices", board.standing().stream().map(Notice::toString).toList());
    String hook = keeper.standing();
    if (!hook.isEmpty()) {
      status.put("hook", hook);
    }
    return status;
  }

  private static String text(Instant at) {
    return at.equals(Instant.MAX) ? "no set time" : at.toString();
  }

  @Override
  public void close() {
    polling.close();
    loop.close();
    keeper.close();
    runner.close();
    lock.close();
  }

  /** Goes on where the last agent stopped; false while another one of this node acts. */
  boolean resume() {
    if (acting || !lock.take()) {
      return acting;
    }
    Optional<State> stored = file.read();
    looked = stored.isPresent();
    List<Notice> known = stored.flatMap(State::planned).map(Plan::notices).orElse(List.of());
    board.recall(known);
    ports.notices().recall(known);
    if (stored.isPresent()) {
      log.info("termination: resuming the stored plan state={}", stored.get().word());
      enter(machine.resume(stored.get(), time.now()));
      // A shutdown that was asked for in another boot is over.
      board.withdraw(Set.copyOf(state.settled()));
    }
    acting = true;
    metrics.active();
    polling.wake();
    return true;
  }

  /** One look at instance metadata. */
  Duration poll(Instant now) throws IOException {
    if (!acting) {
      return config.pendingInterval();
    }
    boolean told = false;
    try {
      Reading read = ports.notices().read();
      told = true;
      metrics.heard();
      board.hear(read, standing -> post(new Event.Seen(standing)));
      sure = sure || !board.isUnsure();
      return board.standing().isEmpty() ? config.pollInterval() : config.pendingInterval();
    } finally {
      if (!told) {
        metrics.heardNothing();
      }
      heard = told;
      asked = true;
      loop.wake();
    }
  }

  /** One look at Auto Scaling. */
  Duration askHook(Instant now) throws IOException {
    return keeper.pass(now);
  }

  private void post(Event event) {
    inbox.add(event);
    loop.wake();
  }

  /** Hears what happened and carries out what is to be done; a failed effect is tried again. */
  Duration pass(Instant now) throws IOException, InterruptedException {
    if (!resume()) {
      return config.pendingInterval();
    }
    if (!asked || (heard && !sure)) {
      // A stored plan may be about a notice that is gone since: hear that before acting on it.
      return Loop.UNTIL_WOKEN;
    }
    lookAtNode();
    for (Event event = inbox.poll(); event != null; event = inbox.poll()) {
      feed(event);
    }
    Optional<List<Left>> left = runner.left();
    if (left.isPresent()) {
      feed(new Event.Progressed(left.get()));
    }
    keepPlace();
    // A tick leads on; before the deadline it must not push aside what is still to be done.
    boolean late = state.planned().filter(p -> !now.isBefore(p.deadline())).isPresent();
    if (late) {
      feed(new Event.Tick());
    }
    carryOut();
    feed(new Event.Tick());
    carryOut();
    return untilNext();
  }

  private void carryOut() throws IOException, InterruptedException {
    while (!pending.isEmpty()) {
      Effect effect = pending.getFirst();
      Optional<Event> event = carryOut(effect);
      pending.removeFirst();
      event.ifPresent(this::feed);
    }
  }

  /** Once: an earlier agent may have marked the Node and lost its file. */
  private void lookAtNode() {
    Optional<NodeView> node = ports.nodes().current();
    if (looked || !heard || node.isEmpty()) {
      return;
    }
    looked = true;
    Marks.planOn(node.get()).ifPresent(plan -> feed(new Event.Found(plan, board.standing())));
  }

  /** A place among the held nodes is lost when it is not taken again. */
  private void keepPlace() throws IOException {
    boolean due = time.nanos() - placeTaken >= KEEP_PLACE.toNanos();
    if (state instanceof State.Held(Plan plan, _) && plan.onlyOf(Kind.REBALANCE) && due) {
      placeTaken = time.nanos();
      ports.places().take(config.rebalance().maxShare());
    }
  }

  private void feed(Event event) {
    enter(machine.next(state, event, time.now()));
  }

  private void enter(Termination.Step step) {
    if (!step.effects().isEmpty()) {
      pending.clear();
      pending.addAll(step.effects());
    }
    State before = state;
    boolean entered = !step.state().word().equals(before.word());
    if (entered) {
      listeners.forEach(listener -> listener.accept(step.state()));
    }
    state = step.state();
    if (entered) {
      Optional<Plan> plan = state.planned();
      log.info(
          "termination: {} -> {} kind={} deadline={} left={}",
          before.word(),
          state.word(),
          plan.map(p -> p.kind().text()).orElse("none"),
          plan.map(p -> text(p.deadline())).orElse("none"),
          state.left().size());
      metrics.entered(before, state);
      announce(before);
    } else if (!before.planned().map(Plan::deadline).equals(state.planned().map(Plan::deadline))) {
      log.info(
          "termination: deadline tightened state={} deadline={}",
          state.word(),
          state.planned().map(p -> text(p.deadline())).orElse("none"));
    }
  }

  private void announce(State before) {
    switch (state) {
      case State.Detaching(Plan plan, List<Left> left) when before instanceof State.Noticed ->
          notifyPeople(Moment.FAILED, plan, "not cordoned before the deadline");
      case State.Detaching(Plan plan, List<Left> left) when left.isEmpty() ->
          notifyPeople(Moment.DRAINED, plan, "");
      case State.Detaching(Plan plan, List<Left> left) ->
          notifyPeople(Moment.FAILED, plan, Notifier.named(left));
      case State.Completed(Plan plan, _) -> notifyPeople(Moment.COMPLETED, plan, "");
      case State.InService _,
          State.Noticed _,
          State.Cordoned _,
          State.Held _,
          State.Draining _,
          State.Returned _ -> {}
    }
  }

  private void notifyPeople(Moment moment, Plan plan, String why) {
    notifyPeople(moment, plan.notices().getFirst(), plan.deadline(), why);
  }

  private void notifyPeople(Moment moment, Notice notice, Instant deadline, String why) {
    String node = ports.nodes().nodeName();
    ports.notifier().tell(new Notifier.Message(moment, node, notice, deadline, why, time.now()));
  }

  private Optional<Event> carryOut(Effect effect) throws IOException, InterruptedException {
    switch (effect) {
      case Effect.Announce(Notice notice) -> announce(notice);
      case Effect.Tell tell -> tell(tell);
      case Effect.Store(State kept) -> store(kept);
      case Effect.Forget _ -> forget();
      case Effect.KeepHook(Plan plan) -> keeper.keep(plan.hook());
      case Effect.StopWork _ -> stopWork();
      case Effect.LeavePlace _ -> ports.places().release();
      case Effect.Drain(Plan plan) -> {
        runner.drain(plan);
        return runner.left().map(Event.Progressed::new);
      }
      case Effect.TakePlace _ -> {
        placeTaken = time.nanos();
        return Optional.of(new Event.Placed(ports.places().take(config.rebalance().maxShare())));
      }
      case Effect.Mark(Plan plan) -> {
        return Optional.of(new Event.Marked(marks.put(plan)));
      }
      case Effect.Undo(Plan plan) -> {
        marks.takeOff(plan);
        return Optional.of(new Event.Undone());
      }
      case Effect.Detach(Plan plan, List<Left> left) -> {
        if (!plan.of(Kind.AUTO_SCALING)) {
          return Optional.of(new Event.Detached("no lifecycle hook concerned"));
        }
        boolean abandon = config.autoScaling().abandon() && !left.isEmpty();
        keeper.complete(abandon ? Result.ABANDON : Result.CONTINUE);
      }
    }
    return Optional.empty();
  }

  private void announce(Notice notice) {
    metrics.noticed(notice);
    log.info("termination: notice={} at={}", notice.id(), text(notice.at()));
    tell(Tellings.noticed(notice));
    Instant deadline = state.planned().map(Plan::deadline).orElse(Instant.MAX);
    notifyPeople(Moment.NOTICE, notice, deadline, config.dryRun() ? "dry run" : "");
  }

  private void tell(Effect.Tell tell) {
    ports.events().tell(tell.type(), tell.reason(), tell.message());
  }

  private void store(State kept) {
    try {
      file.write(kept);
    } catch (IOException e) {
      // A full disk must not keep the node from being drained; the annotation holds the plan too.
      log.warn(
          "termination: plan not stored, going on state={} why=\"{}\"", kept.word(), e.toString());
    }
  }

  private void forget() {
    try {
      file.delete();
    } catch (IOException e) {
      log.warn(
          "termination: plan not deleted, the next start looks at it why=\"{}\"", e.toString());
    }
  }

  private void stopWork() {
    keeper.leave();
    runner.stop();
    // What the stopped drain still had to say concerns nobody any more.
    inbox.removeIf(e -> e instanceof Event.Drained || e instanceof Event.Detached);
  }

  private Duration untilNext() {
    Instant now = time.now();
    Instant far = now.plus(Loop.UNTIL_WOKEN);
    Instant next =
        switch (state) {
          case State.Noticed(Plan plan) -> plan.deadline();
          case State.Cordoned(_, Instant drainAt) -> drainAt;
          case State.Held(_, Instant until) -> until;
          case State.InService _,
              State.Draining _,
              State.Detaching _,
              State.Completed _,
              State.Returned _ ->
              far;
        };
    Duration left = Duration.between(now, next.isBefore(far) ? next : far);
    return left.isNegative() ? Duration.ZERO : left;
  }
}
