package nodeward.termination;

import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.termination.Plan.Cordoner;

/**
 * The way of a node out of service, as a pure function of state, event and time. It holds nothing
 * but the {@link Policy}. The effects of a step are all that is to be done from there on: they
 * replace those of an earlier step that are not carried out yet. A step without effects leaves them
 * as they are.
 */
final class Termination {
  private final Policy policy;
  private final String boot;

  /** Where an event leads, and what is to be done. */
  record Step(State state, List<Effect> effects) {
    Step {
      effects = List.copyOf(effects);
    }
  }

  /** {@code boot} is the id of the boot that the machine is in. */
  Termination(Policy policy, String boot) {
    this.policy = policy;
    this.boot = boot;
  }

  /** Goes on from a state that was stored, maybe before a reboot. */
  Step resume(State stored, Instant now) {
    Optional<Plan> plan = stored.planned();
    String known = plan.map(Plan::boot).orElse("");
    boolean same = known.isEmpty() || known.equals(boot);
    return same || stored instanceof State.Returned
        ? new Step(stored, duties(stored))
        : booted(stored, plan.get(), now);
  }

  Step next(State state, Event event, Instant now) {
    return switch (event) {
      case Event.Seen(List<Notice> standing) -> seen(state, standing, now);
      case Event.Requested(Notice notice) -> requested(state, notice, now);
      case Event.Found(Plan plan, List<Notice> standing) ->
          found(state, plan, active(standing, plan.settled(), now), now);
      case Event.Placed(boolean taken) -> placed(state, taken);
      case Event.Marked(Cordoner cordoner) -> marked(state, cordoner, now);
      case Event.OutOfBalancers _ -> outOfBalancers(state, now);
      case Event.Progressed(List<Left> left) -> progressed(state, left);
      case Event.Drained(DrainReport report) -> drained(state, report);
      case Event.Hooked(LifecycleHook.Hook hook) ->
          state
              .planned()
              .map(p -> changed(state, p.with(hook).by(policy.deadline(hook, p.since()))))
              .orElseGet(() -> stay(state));
      case Event.Detached(String how) -> detached(state, how);
      case Event.Undone _ -> undone(state);
      case Event.Tick _ -> tick(state, now);
    };
  }

  private List<Notice> active(List<Notice> standing, List<String> settled, Instant now) {
    return standing.stream()
        .filter(n -> !settled.contains(n.id()) && policy.due(n, now))
        .sorted(Comparator.comparing(n -> policy.deadline(n, now)))
        .toList();
  }

  private Step seen(State before, List<Notice> standing, Instant now) {
    Step forgotten = forgetSettled(before, standing);
    State state = forgotten.state();
    List<Notice> active = active(standing, state.settled(), now);
    Step step =
        switch (state) {
          case State.InService(List<String> settled) ->
              active.isEmpty() ? stay(state) : begin(active, Cordoner.UNKNOWN, settled, now);
          case State.Noticed(Plan plan) -> joined(state, plan, active, now);
          case State.Cordoned(Plan plan, _) -> joined(state, plan, active, now);
          case State.Held(Plan plan, _) -> joined(state, plan, active, now);
          case State.Draining(Plan plan, _) -> joined(state, plan, active, now);
          case State.Detaching(Plan plan, _) -> joined(state, plan, active, now);
          case State.Completed(Plan plan, _) ->
              // Other notices than those it was completed for: the node is back and goes anew.
              !active.isEmpty() && active.stream().noneMatch(plan::knows)
                  ? begin(active, plan.cordoner(), plan.settled(), now)
                  : joined(state, plan, active, now);
          case State.Returned(Plan plan) ->
              active.isEmpty() ? stay(state) : begin(active, plan.cordoner(), plan.settled(), now);
        };
    return step.effects().isEmpty() ? forgotten : step;
  }

  /** A settled notice that does not stand any more may come again. */
  private Step forgetSettled(State state, List<Notice> standing) {
    Set<String> there = standing.stream().map(Notice::id).collect(Collectors.toSet());
    List<String> rest = state.settled().stream().filter(there::contains).toList();
    if (rest.equals(state.settled())) {
      return stay(state);
    }
    State next =
        state
            .planned()
            .map(p -> state.with(p.settled(rest)))
            .orElseGet(() -> new State.InService(rest));
    return new Step(next, duties(next));
  }

  private Step requested(State state, Notice notice, Instant now) {
    if (!policy.due(notice, now)) {
      return stay(state);
    }
    return switch (state) {
      case State.InService(List<String> settled) ->
          begin(List.of(notice), Cordoner.UNKNOWN, settled, now);
      case State.Noticed(Plan plan) -> joined(state, plan, List.of(notice), now);
      case State.Cordoned(Plan plan, _) -> joined(state, plan, List.of(notice), now);
      case State.Held(Plan plan, _) -> joined(state, plan, List.of(notice), now);
      case State.Draining(Plan plan, _) -> joined(state, plan, List.of(notice), now);
      case State.Detaching(Plan plan, _) -> joined(state, plan, List.of(notice), now);
      case State.Completed(Plan plan, _) ->
          plan.knows(notice)
              ? stay(state)
              : begin(List.of(notice), plan.cordoner(), plan.settled(), now);
      case State.Returned(Plan plan) ->
          begin(List.of(notice), plan.cordoner(), plan.settled(), now);
    };
  }

  private Step begin(List<Notice> active, Cordoner cordoner, List<String> settled, Instant now) {
    Notice first = active.getFirst();
    Plan plan =
        join(
            new Plan(
                List.of(first),
                now,
                policy.deadline(first, now),
                cordoner,
                Optional.empty(),
                boot,
                settled),
            active,
            now);
    var effects = new ArrayList<Effect>();
    plan.notices().forEach(n -> effects.add(new Effect.Announce(n)));
    if (policy.dryRun()) {
      State same = new State.InService(plan.settling(plan.notices()).settled());
      effects.addAll(duties(same));
      return new Step(same, effects);
    }
    // A drain or a hook of an earlier plan is none of this one.
    effects.add(new Effect.StopWork());
    effects.addAll(duties(new State.Noticed(plan)));
    return new Step(new State.Noticed(plan), effects);
  }

  private Step joined(State state, Plan plan, List<Notice> active, Instant now) {
    if (active.isEmpty()) {
      return returned(plan);
    }
    Plan joined = join(plan, active, now);
    boolean hookToo = !plan.of(Notice.Kind.AUTO_SCALING) && joined.of(Notice.Kind.AUTO_SCALING);
    State next =
        switch (state) {
          // The node is drained; only the hook is still to be completed.
          case State.Completed(_, List<Left> left) when hookToo ->
              new State.Detaching(joined, left);
          // It was cordoned for less; load balancers have to know now.
          case State.Held _ when !policy.holds(joined) ->
              new State.Cordoned(joined, policy.drainAt(joined, now));
          case State.Cordoned(_, Instant drainAt) ->
              new State.Cordoned(joined, earlier(drainAt, policy.drainAt(joined, now)));
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
    if (policy.needsPlace(plan) && !policy.needsPlace(joined)) {
      effects.add(new Effect.LeavePlace());
    }
    switch (next) {
      case State.Cordoned _, State.Draining _, State.Held _ -> effects.add(new Effect.Mark(joined));
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
      joined = joined.joinedBy(notice, policy.deadline(notice, now));
    }
    return joined;
  }

  private static Step returned(Plan plan) {
    State next = new State.Returned(plan);
    return new Step(next, duties(next));
  }

  private Step found(State state, Plan plan, List<Notice> active, Instant now) {
    return switch (state) {
      case State.InService _ -> {
        if (active.isEmpty()) {
          yield returned(plan);
        }
        if (active.stream().noneMatch(plan::knows)) {
          yield begin(active, plan.cordoner(), plan.settled(), now);
        }
        State noticed = new State.Noticed(join(plan, active, now));
        yield resume(noticed, now);
      }
      case State.Noticed _,
          State.Cordoned _,
          State.Held _,
          State.Draining _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  /** What the notices of the last boot were about may have happened. */
  private Step booted(State state, Plan plan, Instant now) {
    List<Notice> done = plan.notices().stream().filter(n -> policy.endedByReboot(n, now)).toList();
    List<Notice> rest = plan.notices().stream().filter(n -> !done.contains(n)).toList();
    Plan here = plan.inBoot(boot).settling(done);
    if (rest.isEmpty()) {
      return returned(policy.uncordonsAfterReboot() ? here : here.cordonedBy(Cordoner.OTHERS));
    }
    // Whatever came up with the new boot is still on a node that goes away.
    State next =
        state instanceof State.Held(_, Instant until)
            ? new State.Held(here.left(rest), until)
            : new State.Noticed(here.left(rest));
    return new Step(next, duties(next));
  }

  private static Step placed(State state, boolean taken) {
    return switch (state) {
      case State.Noticed(Plan plan) -> {
        if (taken) {
          yield new Step(state, List.of(new Effect.Mark(plan)));
        }
        State next = new State.InService(plan.settling(plan.notices()).settled());
        yield new Step(next, told(Tellings.NOT_HELD, duties(next)));
      }
      case State.InService _,
          State.Cordoned _,
          State.Held _,
          State.Draining _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private Step marked(State state, Cordoner cordoner, Instant now) {
    return switch (state) {
      case State.Noticed(Plan plan) -> {
        Plan marked = plan.cordonedBy(cordoner);
        State next =
            policy.holds(marked)
                ? new State.Held(marked, policy.heldUntil(marked, now))
                : new State.Cordoned(marked, policy.drainAt(marked, now));
        yield new Step(next, told(Tellings.CORDONED, due(next, now)));
      }
      case State.Cordoned(Plan plan, _) -> changed(state, plan.cordonedBy(cordoner));
      case State.Held(Plan plan, _) -> changed(state, plan.cordonedBy(cordoner));
      case State.Draining(Plan plan, _) -> changed(state, plan.cordonedBy(cordoner));
      case State.Detaching(Plan plan, _) -> changed(state, plan.cordonedBy(cordoner));
      case State.InService _, State.Completed _, State.Returned _ -> stay(state);
    };
  }

  private static Step outOfBalancers(State state, Instant now) {
    return state instanceof State.Cordoned(Plan plan, Instant drainAt) && now.isBefore(drainAt)
        ? new Step(new State.Cordoned(plan, now), due(new State.Cordoned(plan, now), now))
        : stay(state);
  }

  private static Step progressed(State state, List<Left> left) {
    return switch (state) {
      case State.Cordoned(Plan plan, _) -> {
        State next = new State.Draining(plan, left);
        yield new Step(next, duties(next));
      }
      case State.Draining(Plan plan, _) -> new Step(new State.Draining(plan, left), List.of());
      case State.InService _,
          State.Noticed _,
          State.Held _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step drained(State state, DrainReport report) {
    return switch (state) {
      case State.Cordoned(Plan plan, _) -> drained(plan, report);
      case State.Draining(Plan plan, _) -> drained(plan, report);
      case State.InService _,
          State.Noticed _,
          State.Held _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step drained(Plan plan, DrainReport report) {
    State next = new State.Detaching(plan, report.left());
    return new Step(next, told(Tellings.drained(report), duties(next)));
  }

  private static Step detached(State state, String how) {
    return switch (state) {
      case State.Detaching(Plan plan, List<Left> left) -> {
        State next = new State.Completed(plan, left);
        yield plan.of(Notice.Kind.AUTO_SCALING)
            ? new Step(next, told(Tellings.hook(how), duties(next)))
            : new Step(next, duties(next));
      }
      case State.InService _,
          State.Noticed _,
          State.Cordoned _,
          State.Held _,
          State.Draining _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step undone(State state) {
    return switch (state) {
      case State.Returned(Plan plan) -> {
        State next = new State.InService(plan.settled());
        yield new Step(next, told(Tellings.returned(plan), duties(next)));
      }
      case State.InService _,
          State.Noticed _,
          State.Cordoned _,
          State.Held _,
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
      case State.Cordoned(Plan plan, Instant drainAt) ->
          now.isBefore(drainAt) ? stay(state) : new Step(state, List.of(new Effect.Drain(plan)));
      case State.Held(Plan plan, Instant until) ->
          now.isBefore(until) ? stay(state) : returned(plan.settling(plan.notices()));
      case State.InService _,
          State.Draining _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ ->
          stay(state);
    };
  }

  private static Step tooLate(Plan plan) {
    State next = new State.Detaching(plan, List.of());
    return new Step(next, told(Tellings.TOO_LATE, duties(next)));
  }

  private static Step changed(State state, Plan plan) {
    State next = state.with(plan);
    return next.equals(state) ? stay(state) : new Step(next, duties(next));
  }

  private static Step stay(State state) {
    return new Step(state, List.of());
  }

  private static Instant earlier(Instant one, Instant other) {
    return one.isBefore(other) ? one : other;
  }

  private static List<Effect> told(Effect.Tell tell, List<Effect> duties) {
    var all = new ArrayList<Effect>();
    all.add(tell);
    all.addAll(duties);
    return all;
  }

  /** What is to be done in a state, and the drain with it when its time has come. */
  private static List<Effect> due(State state, Instant now) {
    var all = new ArrayList<>(duties(state));
    if (state instanceof State.Cordoned(Plan plan, Instant drainAt) && !now.isBefore(drainAt)) {
      all.add(new Effect.Drain(plan));
    }
    return all;
  }

  /** What is to be done in a state, however it was reached. */
  private static List<Effect> duties(State state) {
    var duties = new ArrayList<Effect>();
    switch (state) {
      case State.InService(List<String> settled) ->
          duties.add(settled.isEmpty() ? new Effect.Forget() : new Effect.Store(state));
      case State.Noticed(Plan plan) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
        boolean place = plan.onlyOf(Notice.Kind.REBALANCE);
        duties.add(place ? new Effect.TakePlace() : new Effect.Mark(plan));
      }
      case State.Cordoned(Plan plan, _) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
      }
      case State.Held _ -> duties.add(new Effect.Store(state));
      case State.Draining(Plan plan, _) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
        duties.add(new Effect.Drain(plan));
      }
      case State.Detaching(Plan plan, List<Left> left) -> {
        duties.add(new Effect.Store(state));
        keepHook(plan, duties);
        duties.add(new Effect.Detach(plan, left));
      }
      case State.Completed _ -> duties.add(new Effect.Store(state));
      case State.Returned(Plan plan) -> {
        duties.add(new Effect.StopWork());
        duties.add(new Effect.Store(state));
        if (plan.onlyOf(Notice.Kind.REBALANCE)) {
          duties.add(new Effect.LeavePlace());
        }
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
