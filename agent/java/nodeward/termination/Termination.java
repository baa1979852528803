package nodeward.termination;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import nodeward.config.Config;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.node.NodeEvents;
import nodeward.termination.Plan.Cordoner;

/**
 * The way of a node out of service, as a pure function of state, event and time. It holds nothing
 * but the configuration. The effects of a step are all that is to be done from there on: they
 * replace those of an earlier step that are not carried out yet. A step without effects leaves them
 * as they are.
 */
final class Termination {
  /** How long AWS gives a spot instance whose notice names no time. */
  private static final Duration SPOT_NOTICE = Duration.ofMinutes(2);

  /** Pods that an Event names; its message is limited. */
  private static final int NAMED = 5;

  private final Config.Termination config;

  /** Where an event leads, and what is to be done. */
  record Step(State state, List<Effect> effects) {
    Step {
      effects = List.copyOf(effects);
    }
  }

  Termination(Config.Termination config) {
    this.config = config;
  }

  /** Goes on from a state that was stored. */
  Step resume(State stored) {
    return new Step(stored, duties(stored));
  }

  Step next(State state, Event event, Instant now) {
    return switch (event) {
      case Event.Seen(List<Notice> standing) -> seen(state, active(standing, now), now);
      case Event.Requested(Notice notice) -> requested(state, notice, now);
      case Event.Found(Plan plan, List<Notice> standing) ->
          found(state, plan, active(standing, now), now);
      case Event.Marked(Cordoner cordoner) -> marked(state, cordoner);
      case Event.Progressed(List<Left> left) -> progressed(state, left);
      case Event.Drained(DrainReport report) -> drained(state, report);
      case Event.Hooked(LifecycleHook.Hook hook) ->
          state.planned().isPresent()
              ? changed(state, state.planned().get().with(hook))
              : stay(state);
      case Event.Detached(String how) -> detached(state, how);
      case Event.Undone _ -> undone(state);
      case Event.Tick _ -> tick(state, now);
    };
  }

  /** Whether notices of the kind are acted upon. */
  boolean enabled(Notice.Kind kind) {
    return switch (kind) {
      case SPOT -> config.spot().enabled();
      case AUTO_SCALING -> config.autoScaling().enabled();
      case MAINTENANCE -> config.maintenance().enabled();
      case MANUAL -> true;
    };
  }

  private List<Notice> active(List<Notice> standing, Instant now) {
    return standing.stream()
        .filter(n -> enabled(n.kind()) && !now.isBefore(start(n)))
        .sorted(Comparator.comparing(n -> end(n, now)))
        .toList();
  }

  private Instant start(Notice notice) {
    return switch (notice.kind()) {
      case SPOT, AUTO_SCALING, MANUAL -> Instant.MIN;
      case MAINTENANCE ->
          said(notice) ? notice.at().minus(config.maintenance().lead()) : Instant.MIN;
    };
  }

  /** The deadline that the notice sets when it is seen now. */
  private Instant end(Notice notice, Instant now) {
    return switch (notice.kind()) {
      case SPOT ->
          (said(notice) ? notice.at() : now.plus(SPOT_NOTICE)).minus(config.spot().reserve());
      case AUTO_SCALING -> now.plus(config.autoScaling().deadline());
      case MAINTENANCE ->
          said(notice) && notice.at().isAfter(now)
              ? notice.at()
              : now.plus(config.maintenance().lead());
      case MANUAL -> notice.at();
    };
  }

  private static boolean said(Notice notice) {
    return !notice.at().equals(Instant.MAX);
  }

  private Step seen(State state, List<Notice> active, Instant now) {
    return switch (state) {
      case State.InService _ ->
          active.isEmpty() ? stay(state) : begin(active, Cordoner.UNKNOWN, now);
      case State.Noticed(Plan plan) -> joined(state, plan, active, now);
      case State.Cordoned(Plan plan) -> joined(state, plan, active, now);
      case State.Draining(Plan plan, _) -> joined(state, plan, active, now);
      case State.Detaching(Plan plan, _) -> joined(state, plan, active, now);
      case State.Completed(Plan plan, _) ->
          // Other notices than those it was completed for: the node is back and goes away anew.
          !active.isEmpty() && active.stream().noneMatch(plan::knows)
              ? begin(active, plan.cordoner(), now)
              : joined(state, plan, active, now);
      case State.Returned(Plan plan) ->
          active.isEmpty() ? stay(state) : begin(active, plan.cordoner(), now);
    };
  }

  private Step requested(State state, Notice notice, Instant now) {
    return switch (state) {
      case State.InService _ -> begin(List.of(notice), Cordoner.UNKNOWN, now);
      case State.Noticed(Plan plan) -> joined(state, plan, List.of(notice), now);
      case State.Cordoned(Plan plan) -> joined(state, plan, List.of(notice), now);
      case State.Draining(Plan plan, _) -> joined(state, plan, List.of(notice), now);
      case State.Detaching(Plan plan, _) -> joined(state, plan, List.of(notice), now);
      case State.Completed(Plan plan, _) -> begin(List.of(notice), plan.cordoner(), now);
      case State.Returned(Plan plan) -> begin(List.of(notice), plan.cordoner(), now);
    };
  }

  private Step begin(List<Notice> active, Cordoner cordoner, Instant now) {
    Notice first = active.getFirst();
    Plan plan =
        join(
            new Plan(List.of(first), now, end(first, now), cordoner, Optional.empty()),
            active,
            now);
    var effects = new ArrayList<Effect>();
    plan.notices().forEach(n -> effects.add(new Effect.Announce(n)));
    // A drain or a hook of an earlier plan is none of this one.
    effects.add(new Effect.StopWork());
    effects.addAll(duties(new State.Noticed(plan)));
    return new Step(new State.Noticed(plan), effects);
  }

  private Step joined(State state, Plan plan, List<Notice> active, Instant now) {
    if (active.isEmpty()) {
      return new Step(new State.Returned(plan), duties(new State.Returned(plan)));
    }
    Plan joined = join(plan, active, now);
    boolean hookToo = !plan.of(Notice.Kind.AUTO_SCALING) && joined.of(Notice.Kind.AUTO_SCALING);
    State next =
        switch (state) {
          // The node is drained; only the hook is still to be completed.
          case State.Completed(_, List<Left> left) when hookToo ->
              new State.Detaching(joined, left);
          case State s -> s.with(joined);
        };
    if (next.equals(state)) {
      return stay(state);
    }
    var effects = new ArrayList<Effect>();
    joined.notices().stream()
        .filter(n -> !plan.knows(n))
        .forEach(n -> effects.add(new Effect.Announce(n)));
    effects.addAll(duties(next));
    switch (next) {
      case State.Cordoned _, State.Draining _ -> effects.add(new Effect.Mark(joined));
      case State.InService _,
          State.Noticed _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ -> {}
    }
    return new Step(next, effects);
  }

  private Plan join(Plan plan, List<Notice> active, Instant now) {
    Plan joined = plan;
    for (Notice notice : active) {
      joined = joined.joinedBy(notice, end(notice, now));
    }
    return joined;
  }

  private Step found(State state, Plan plan, List<Notice> active, Instant now) {
    return switch (state) {
      case State.InService _ -> {
        if (active.isEmpty()) {
          State returned = new State.Returned(plan);
          yield new Step(returned, duties(returned));
        }
        if (active.stream().noneMatch(plan::knows)) {
          yield begin(active, plan.cordoner(), now);
        }
        State noticed = new State.Noticed(join(plan, active, now));
        yield new Step(noticed, duties(noticed));
      }
      case State.Noticed _,
          State.Cordoned _,
          State.Draining _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step marked(State state, Cordoner cordoner) {
    return switch (state) {
      case State.Noticed(Plan plan) -> {
        State next = new State.Cordoned(plan.cordonedBy(cordoner));
        yield new Step(
            next,
            told(
                new Effect.Tell(NodeEvents.Type.NORMAL, "Cordon", "Node successfully cordoned"),
                duties(next)));
      }
      case State.Cordoned(Plan plan) -> changed(state, plan.cordonedBy(cordoner));
      case State.Draining(Plan plan, _) -> changed(state, plan.cordonedBy(cordoner));
      case State.Detaching(Plan plan, _) -> changed(state, plan.cordonedBy(cordoner));
      case State.InService _, State.Completed _, State.Returned _ -> stay(state);
    };
  }

  private static Step progressed(State state, List<Left> left) {
    return switch (state) {
      case State.Cordoned(Plan plan) -> {
        State next = new State.Draining(plan, left);
        yield new Step(next, duties(next));
      }
      case State.Draining(Plan plan, _) -> new Step(new State.Draining(plan, left), List.of());
      case State.InService _,
          State.Noticed _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step drained(State state, DrainReport report) {
    return switch (state) {
      case State.Cordoned(Plan plan) -> drained(plan, report);
      case State.Draining(Plan plan, _) -> drained(plan, report);
      case State.InService _,
          State.Noticed _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step drained(Plan plan, DrainReport report) {
    State next = new State.Detaching(plan, report.left());
    Effect.Tell tell =
        switch (report.end()) {
          case DRAINED ->
              new Effect.Tell(
                  NodeEvents.Type.NORMAL,
                  "CordonAndDrain",
                  "Node successfully cordoned and drained");
          case GIVEN_UP, DEADLINE -> drainError(named(report.left()));
          case BLIND ->
              drainError("its pods could not be seen before the deadline; " + named(report.left()));
        };
    return new Step(next, told(tell, duties(next)));
  }

  private static Effect.Tell drainError(String why) {
    return new Effect.Tell(
        NodeEvents.Type.WARNING,
        "CordonAndDrainError",
        "There was a problem while trying to cordon and drain the node: " + why);
  }

  private static String named(List<Left> left) {
    String first = left.stream().limit(NAMED).map(Left::toString).collect(Collectors.joining("; "));
    String more = left.size() > NAMED ? "; and " + (left.size() - NAMED) + " more" : "";
    return "pods left: " + left.size() + (left.isEmpty() ? "" : " (" + first + more + ")");
  }

  private static Step detached(State state, String how) {
    return switch (state) {
      case State.Detaching(Plan plan, List<Left> left) -> {
        State next = new State.Completed(plan, left);
        yield plan.of(Notice.Kind.AUTO_SCALING)
            ? new Step(
                next,
                told(
                    new Effect.Tell(
                        NodeEvents.Type.NORMAL, "ASGLifecycle", "Lifecycle hook: " + how),
                    duties(next)))
            : new Step(next, duties(next));
      }
      case State.InService _,
          State.Noticed _,
          State.Cordoned _,
          State.Draining _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step undone(State state) {
    return switch (state) {
      case State.Returned(Plan plan) -> {
        State next = new State.InService();
        yield new Step(
            next,
            told(
                plan.cordoner() == Cordoner.OTHERS
                    ? new Effect.Tell(
                        NodeEvents.Type.NORMAL,
                        "CancelDrain",
                        "Notice withdrawn; the node stays cordoned, as others had left it")
                    : new Effect.Tell(
                        NodeEvents.Type.NORMAL, "Uncordon", "Node successfully uncordoned"),
                duties(next)));
      }
      case State.InService _,
          State.Noticed _,
          State.Cordoned _,
          State.Draining _,
          State.Detaching _,
          State.Completed _ ->
          stay(state);
    };
  }

  /** The drain keeps the deadline itself; before it begins this does. */
  private static Step tick(State state, Instant now) {
    return switch (state) {
      case State.Noticed(Plan plan) -> now.isBefore(plan.deadline()) ? stay(state) : tooLate(plan);
      case State.InService _,
          State.Cordoned _,
          State.Draining _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step tooLate(Plan plan) {
    State next = new State.Detaching(plan, List.of());
    return new Step(
        next,
        told(
            new Effect.Tell(
                NodeEvents.Type.WARNING,
                "CordonError",
                "There was a problem while trying to cordon the node: the deadline came first"),
            duties(next)));
  }

  private static Step changed(State state, Plan plan) {
    State next = state.with(plan);
    return next.equals(state) ? stay(state) : new Step(next, duties(next));
  }

  private static Step stay(State state) {
    return new Step(state, List.of());
  }

  private static List<Effect> told(Effect.Tell tell, List<Effect> duties) {
    var all = new ArrayList<Effect>();
    all.add(tell);
    all.addAll(duties);
    return all;
  }

  /** What is to be done in a state, however it was reached. */
  private static List<Effect> duties(State state) {
    var duties = new ArrayList<Effect>();
    switch (state) {
      case State.InService _ -> duties.add(new Effect.Forget());
      case State.Noticed(Plan plan) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
        duties.add(new Effect.Mark(plan));
      }
      case State.Cordoned(Plan plan) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
        duties.add(new Effect.Drain(plan));
      }
      case State.Draining(Plan plan, _) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
        duties.add(new Effect.Drain(plan));
      }
      case State.Detaching(Plan plan, _) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
        duties.add(new Effect.Detach(plan));
      }
      case State.Completed _ -> duties.add(new Effect.Store(state));
      case State.Returned(Plan plan) -> {
        duties.add(new Effect.StopWork());
        duties.add(new Effect.Store(state));
        duties.add(new Effect.Undo(plan));
      }
    }
    return duties;
  }

  private static void keepHook(Plan plan, List<Effect> duties) {
    if (plan.of(Notice.Kind.AUTO_SCALING)) {
      duties.add(new Effect.KeepHook(plan));
    }
  }
}
