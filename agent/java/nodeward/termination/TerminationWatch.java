package nodeward.termination;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.SequencedMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Stream;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.drain.Cordon;
import nodeward.drain.Drain;
import nodeward.drain.DrainOptions;
import nodeward.drain.Drainer;
import nodeward.drain.Left;
import nodeward.node.NodeChange;
import nodeward.node.NodeEvents;
import nodeward.node.NodeView;
import nodeward.node.Nodes;
import nodeward.node.Taint;
import nodeward.termination.Plan.Cordoner;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Watches for notices that the node goes away, takes the {@link Termination} from state to state
 * and carries out its effects. Three loops, so that an outage of one side never holds up the
 * others: instance metadata is polled on one, Auto Scaling asked on another, and the third owns the
 * state; the drain runs beside them. {@link #close} stops and undoes nothing: the next agent goes
 * on with the stored plan.
 */
public final class TerminationWatch implements Component {
  static final String TAINT = "nodeward.dev/terminating";
  static final String ANNOTATION = "nodeward.dev/drain";
  static final String EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers";
  private static final String OURS = "nodeward";

  private static final Logger log = LoggerFactory.getLogger(TerminationWatch.class);

  private final Config.Termination config;
  private final Ports ports;
  private final Drainer drainer;
  private final DrainOptions options;
  private final Time time;
  private final Termination machine;
  private final PlanFile file;
  private final Cordon cordon;
  private final HookKeeper keeper;
  private final Loop polling;
  private final Loop loop;
  private final Counter noticesTotal;
  private final Gauge stateGauge;
  private final Gauge secondsUntil;

  private final Queue<Event> inbox = new ConcurrentLinkedQueue<>();
  // Written by the loop's thread for those who show it.
  private volatile State state = new State.InService();
  private volatile Optional<Worker> worker = Optional.empty();
  // Written by the polling thread for those who show it.
  private volatile List<Notice> standing = List.of();
  // Written by the polling thread: whether it has asked once, and whether it got an answer.
  private volatile boolean asked;
  private volatile boolean heard;
  // Guarded by this: a poll that began before a request must not be heard as its withdrawal.
  private Optional<Notice> byHand = Optional.empty();

  // From here on for the loop's thread alone.
  private final Deque<Effect> pending = new ArrayDeque<>();
  private boolean looked;

  /** The outside world of it. */
  public record Ports(Nodes nodes, NodeEvents events, Notices notices, LifecycleHook hook) {}

  /** A drain and the loop that runs it. */
  private record Worker(Drain drain, Loop loop) {}

  public TerminationWatch(
      Config.Termination config,
      Config.State stateFiles,
      Ports ports,
      Drainer drainer,
      DrainOptions options,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.ports = ports;
    this.drainer = drainer;
    this.options = options;
    this.time = time;
    this.machine = new Termination(config);
    this.file = new PlanFile(stateFiles.directory(), ports.nodes().nodeName());
    this.cordon = new Cordon(ports.nodes());
    this.keeper = new HookKeeper(ports.hook(), config.pollInterval(), time, this::post);
    this.polling = new Loop("termination-notices", this::poll, backoff(), time);
    this.loop = new Loop("termination", this::pass, backoff(), time);
    this.noticesTotal =
        Counter.build("nodeward_termination_notices_total", "Notices that became part of a plan.")
            .labelNames("kind")
            .register(registry);
    this.stateGauge =
        Gauge.build("nodeward_termination_state", "1 for the state that the termination is in.")
            .labelNames("state")
            .register(registry);
    this.secondsUntil =
        Gauge.build(
                "nodeward_termination_duration_seconds",
                "Seconds from the first notice of the last plan until the node was so far.")
            .labelNames("until")
            .register(registry);
    Stream.of(Notice.Kind.values()).forEach(k -> noticesTotal.labels(k.text()));
    stateGauge.labels(state.word()).set(1);
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
    resume();
    keeper.start();
    loop.start();
    polling.start();
  }

  /**
   * Asks for the node to be drained by the deadline, as any notice does; an earlier request is
   * replaced. It stands until {@link #withdraw}, also over restarts of the agent.
   */
  public synchronized void request(Instant deadline) {
    Notice notice = new Notice(Notice.Kind.MANUAL, "manual:" + time.now(), "requested", deadline);
    byHand = Optional.of(notice);
    post(new Event.Requested(notice));
  }

  /** Takes a request back; what was done for it alone is undone. */
  public synchronized void withdraw() {
    byHand = Optional.empty();
    polling.wake();
  }

  public State state() {
    return state;
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
    status.put("state", now.word());
    now.planned()
        .ifPresent(
            plan -> {
              status.put("kind", plan.kind().text());
              status.put("since", plan.since().toString());
              status.put("deadline", text(plan.deadline()));
              status.put("cordonedBy", plan.cordoner().text());
              status.put("left", now.left().stream().map(Left::toString).toList());
            });
    status.put("notices", standing.stream().map(TerminationWatch::text).toList());
    String hook = keeper.standing();
    if (!hook.isEmpty()) {
      status.put("hook", hook);
    }
    return status;
  }

  private static String text(Notice n) {
    return "%s %s at %s".formatted(n.kind().text(), n.detail(), text(n.at()));
  }

  private static String text(Instant at) {
    return at.equals(Instant.MAX) ? "no set time" : at.toString();
  }

  @Override
  public void close() {
    polling.close();
    loop.close();
    keeper.close();
    worker.ifPresent(w -> w.loop().close());
  }

  /** Goes on where the last agent stopped. */
  void resume() {
    Optional<State> stored = file.read();
    if (stored.isEmpty()) {
      return;
    }
    looked = true;
    stored
        .get()
        .planned()
        .ifPresent(
            plan -> {
              synchronized (this) {
                byHand =
                    plan.notices().stream()
                        .filter(n -> n.kind() == Notice.Kind.MANUAL)
                        .reduce((_, last) -> last);
              }
            });
    log.info("termination: resuming the stored plan state={}", stored.get().word());
    enter(machine.resume(stored.get()));
  }

  /** One look at instance metadata. */
  Duration poll(Instant now) throws IOException {
    try {
      List<Notice> read = ports.notices().read();
      synchronized (this) {
        var all = new ArrayList<>(read);
        byHand.ifPresent(all::add);
        standing = List.copyOf(all);
        heard = true;
        post(new Event.Seen(all));
      }
    } finally {
      asked = true;
      loop.wake();
    }
    return config.pollInterval();
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
    if (!asked) {
      // A stored plan may be about a notice that is gone since: hear that before acting on it.
      return Loop.UNTIL_WOKEN;
    }
    lookAtNode();
    for (Event event = inbox.poll(); event != null; event = inbox.poll()) {
      feed(event);
    }
    if (worker.isPresent()) {
      feed(new Event.Progressed(worker.get().drain().left()));
    }
    feed(new Event.Tick());
    while (!pending.isEmpty()) {
      Effect effect = pending.getFirst();
      Optional<Event> event = carryOut(effect);
      pending.removeFirst();
      event.ifPresent(this::feed);
    }
    return untilDeadline();
  }

  /** Once: an earlier agent may have marked the Node and lost its file. */
  private void lookAtNode() {
    Optional<NodeView> node = ports.nodes().current();
    if (looked || !heard || node.isEmpty()) {
      return;
    }
    looked = true;
    annotated(node.get()).ifPresent(plan -> feed(new Event.Found(plan, standing)));
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
    state = step.state();
    if (!state.word().equals(before.word())) {
      Optional<Plan> plan = state.planned();
      log.info(
          "termination: {} -> {} kind={} deadline={} left={}",
          before.word(),
          state.word(),
          plan.map(p -> p.kind().text()).orElse("none"),
          plan.map(p -> text(p.deadline())).orElse("none"),
          state.left().size());
      measure(before);
    } else if (!before.planned().map(Plan::deadline).equals(state.planned().map(Plan::deadline))) {
      log.info(
          "termination: deadline tightened state={} deadline={}",
          state.word(),
          state.planned().map(p -> text(p.deadline())).orElse("none"));
    }
  }

  private void measure(State before) {
    stateGauge.labels(before.word()).set(0);
    stateGauge.labels(state.word()).set(1);
    switch (state) {
      case State.Cordoned(Plan plan) -> measure("cordoned", plan);
      case State.Detaching(Plan plan, _) -> measure("drained", plan);
      case State.Completed(Plan plan, _) -> measure("completed", plan);
      case State.InService _, State.Noticed _, State.Draining _, State.Returned _ -> {}
    }
  }

  private void measure(String until, Plan plan) {
    secondsUntil.labels(until).set(Duration.between(plan.since(), time.now()).toMillis() / 1e3);
  }

  private Optional<Event> carryOut(Effect effect) throws IOException, InterruptedException {
    switch (effect) {
      case Effect.Announce(Notice notice) -> announce(notice);
      case Effect.Tell(NodeEvents.Type type, String reason, String message) ->
          ports.events().tell(type, reason, message);
      case Effect.Store(State kept) -> store(kept);
      case Effect.Forget _ -> forget();
      case Effect.KeepHook(Plan plan) -> keeper.keep(plan.hook());
      case Effect.StopWork _ -> stopWork();
      case Effect.Drain(Plan plan) -> {
        return Optional.of(new Event.Progressed(drain(plan).left()));
      }
      case Effect.Mark(Plan plan) -> {
        return Optional.of(new Event.Marked(mark(plan)));
      }
      case Effect.Undo(Plan plan) -> {
        undo(plan);
        return Optional.of(new Event.Undone());
      }
      case Effect.Detach(Plan plan) -> {
        if (!plan.of(Notice.Kind.AUTO_SCALING)) {
          return Optional.of(new Event.Detached("no lifecycle hook concerned"));
        }
        keeper.complete();
      }
    }
    return Optional.empty();
  }

  private void announce(Notice notice) {
    noticesTotal.labels(notice.kind().text()).inc();
    log.info("termination: notice={} at={}", notice.id(), text(notice.at()));
    // The reasons are those that people's alerts on aws-node-termination-handler know.
    String reason =
        switch (notice.kind()) {
          case SPOT -> "SpotInterruption";
          case AUTO_SCALING -> "ASGLifecycle";
          case MAINTENANCE -> "ScheduledEvent";
          case MANUAL -> "DrainRequested";
        };
    ports.events().tell(NodeEvents.Type.NORMAL, reason, "The node goes away: " + text(notice));
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

  private Cordoner mark(Plan plan) throws IOException, InterruptedException {
    return switch (cordon.edit(node -> marked(node, plan))) {
      case Cordon.Edit.Written(NodeView before) -> cordoner(before, plan);
      case Cordon.Edit.Same(NodeView before) -> cordoner(before, plan);
      case Cordon.Edit.Absent _ -> {
        log.warn("termination: no such node={}, nothing to cordon", ports.nodes().nodeName());
        yield Cordoner.UNKNOWN;
      }
    };
  }

  private NodeChange marked(NodeView node, Plan plan) {
    State cordoned = new State.Cordoned(plan.cordonedBy(cordoner(node, plan)));
    NodeChange change =
        NodeChange.of(node)
            .cordoned()
            .withTaint(new Taint(TAINT, plan.kind().text(), "NoSchedule", ""))
            .withAnnotation(ANNOTATION, PlanJson.write(node.name(), cordoned));
    return node.labels().containsKey(EXCLUDE) ? change : change.withLabel(EXCLUDE, OURS);
  }

  /** Who had cordoned the node, as far as the node itself and the plan tell. */
  private Cordoner cordoner(NodeView node, Plan plan) {
    if (!node.unschedulable()) {
      return Cordoner.NODEWARD;
    }
    if (plan.cordoner() != Cordoner.UNKNOWN) {
      return plan.cordoner();
    }
    return annotated(node)
        .map(Plan::cordoner)
        .filter(c -> c != Cordoner.UNKNOWN)
        .orElse(Cordoner.OTHERS);
  }

  private Optional<Plan> annotated(NodeView node) {
    Optional<String> text = node.annotation(ANNOTATION);
    if (text.isEmpty()) {
      return Optional.empty();
    }
    try {
      return PlanJson.read(text.get()).state().planned();
    } catch (IllegalArgumentException e) {
      log.debug("termination: annotation {} cannot be read why=\"{}\"", ANNOTATION, e.toString());
      return Optional.empty();
    }
  }

  private void undo(Plan plan) throws IOException, InterruptedException {
    cordon.edit(
        node -> {
          NodeChange change = NodeChange.of(node).withoutTaint(TAINT).withoutAnnotation(ANNOTATION);
          if (OURS.equals(node.labels().get(EXCLUDE))) {
            change = change.withoutLabel(EXCLUDE);
          }
          return ours(node, plan) ? change.uncordoned() : change;
        });
  }

  /** A plan that was withdrawn before it had marked the Node has cordoned nothing. */
  private boolean ours(NodeView node, Plan plan) {
    Cordoner known =
        plan.cordoner() == Cordoner.UNKNOWN
            ? annotated(node).map(Plan::cordoner).orElse(Cordoner.UNKNOWN)
            : plan.cordoner();
    return known == Cordoner.NODEWARD;
  }

  private Drain drain(Plan plan) {
    if (worker.isPresent()) {
      Drain running = worker.get().drain();
      running.tighten(plan.deadline());
      if (forces(plan)) {
        running.force();
      }
      return running;
    }
    var drainLog = new DrainLog(ports.events());
    Drain drain =
        drainer.prepare(
            forces(plan) ? options.with(DrainOptions.Flag.FORCE_AT_DEADLINE) : options,
            plan.deadline(),
            progress -> {
              drainLog.accept(progress);
              loop.wake();
            });
    Loop running =
        new Loop(
            "drain",
            now -> {
              post(new Event.Drained(drain.run()));
              return Loop.UNTIL_WOKEN;
            },
            backoff(),
            time);
    worker = Optional.of(new Worker(drain, running));
    running.start();
    return drain;
  }

  /** Whether one of its notices is of a kind whose deadline nobody can move. */
  private boolean forces(Plan plan) {
    return plan.notices().stream().anyMatch(n -> drainer.forcesFor(n.kind().text()));
  }

  private void stopWork() {
    keeper.leave();
    worker.ifPresent(w -> w.loop().close());
    worker = Optional.empty();
    // What the stopped drain still had to say concerns nobody any more.
    inbox.removeIf(e -> e instanceof Event.Drained || e instanceof Event.Detached);
  }

  private Duration untilDeadline() {
    if (!(state instanceof State.Noticed(Plan plan))) {
      return Loop.UNTIL_WOKEN;
    }
    Instant now = time.now();
    Instant far = now.plus(Loop.UNTIL_WOKEN);
    Duration left = Duration.between(now, plan.deadline().isBefore(far) ? plan.deadline() : far);
    return left.isNegative() ? Duration.ZERO : left;
  }
}
