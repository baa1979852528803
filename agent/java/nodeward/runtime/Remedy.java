package nodeward.runtime;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import nodeward.config.Config;
import nodeward.runtime.RuntimeRecord.Broken;
import nodeward.runtime.RuntimeRecord.Gone;
import nodeward.runtime.RuntimeRecord.Undecided;
import nodeward.runtime.RuntimeRecord.Working;

/**
 * What is to be done about one runtime that does not work: nothing for a while, then one step after
 * the other with a cool-down between them, and no more than so many in a day. Pure. A runtime that
 * is slow, or hangs for a single container only, is left alone. One that breaks again soon after a
 * step had helped goes on with the next step.
 *
 * @param deeds what was done in the last day, oldest first, and the drain of the present trouble
 */
record Remedy(Trouble trouble, List<Deed> deeds) {
  static final Remedy NONE = new Remedy(new Trouble.None(), List.of());

  private static final Duration DAY = Duration.ofDays(1);

  Remedy {
    deeds = List.copyOf(deeds);
  }

  /** Whether there is something to mend. */
  sealed interface Trouble {
    record None() implements Trouble {}

    /** It does not work since then; {@code began} is when this trouble began. */
    record Down(Instant began, Instant since) implements Trouble {}

    /** Something was done to it, and it works since then. */
    record Proving(Instant began, Instant since) implements Trouble {}

    default Optional<Instant> beginning() {
      return switch (this) {
        case None() -> Optional.empty();
        case Down(Instant began, _) -> Optional.of(began);
        case Proving(Instant began, _) -> Optional.of(began);
      };
    }
  }

  /** The steps, each harder than the one before. */
  enum Step {
    /** Lets the daemon write down what each of its threads waits for. */
    DUMP,
    RESTART,
    KILL,
    /** Takes the node out of service. */
    DRAIN,
    /** Lets another machine take its place. */
    REPLACE;

    /** Steps of one kind share what may be done in a day; a dump does no harm. */
    private Optional<Set<Step>> kind() {
      return switch (this) {
        case DUMP -> Optional.empty();
        case RESTART, KILL -> Optional.of(EnumSet.of(RESTART, KILL));
        case DRAIN -> Optional.of(EnumSet.of(DRAIN));
        case REPLACE -> Optional.of(EnumSet.of(REPLACE));
      };
    }
  }

  /** A step, and when it was done. */
  record Deed(Step step, Instant at) {}

  /** The bounds. */
  record Rules(Duration after, Duration coolDown, int mostPerDay, Set<Step> steps) {
    Rules {
      steps = Set.copyOf(steps);
    }

    Rules(Config.Remediation config) {
      this(config.after(), config.coolDown(), config.mostPerDay(), steps(config));
    }

    private static Set<Step> steps(Config.Remediation config) {
      Set<Step> steps = EnumSet.of(Step.DUMP, Step.RESTART, Step.KILL);
      if (config.drain()) {
        steps.add(Step.DRAIN);
      }
      if (config.replace()) {
        steps.add(Step.REPLACE);
      }
      return steps;
    }
  }

  /**
   * What is seen of the runtime now.
   *
   * @param started when its daemon was started last, by whomever; empty when nobody can tell
   * @param drained whether nothing is left on the node that would have to go
   */
  record Seen(RuntimeRecord held, Optional<Instant> started, boolean drained) {}

  /** What is to happen now. */
  sealed interface Verdict {
    /** Nothing is wrong that could be mended. */
    record Rest() implements Verdict {}

    /** Until then at the latest; without a time until something else is seen. */
    record Wait(String why, Optional<Instant> until) implements Verdict {
      Wait(String why) {
        this(why, Optional.empty());
      }

      /** Says the time too. */
      static Wait until(String why, Instant until) {
        return new Wait(why + " until " + until, Optional.of(until));
      }
    }

    record Act(Step step) implements Verdict {}

    /** All that may be done was done. */
    record GiveUp(String why) implements Verdict {}
  }

  /** The next state, and what is to happen in it. */
  record Decision(Remedy next, Verdict verdict) {}

  /** Decides by what is seen of the runtime now. */
  Decision decide(Seen seen, Rules rules, Instant now) {
    Remedy here = new Remedy(trouble, stillCounting(now));
    return switch (seen.held()) {
      case Undecided _ -> new Decision(here, new Verdict.Wait("too few probes have failed"));
      case Working _, Gone _ -> here.works(rules, now);
      case Broken(Probed.Bad cause) ->
          switch (cause) {
            case Probed.ContainersHung _, Probed.Slow _ -> here.works(rules, now);
            case Probed.Failed _, Probed.Hung _ -> here.down(seen, rules, now);
          };
    };
  }

  /** After this step was done. */
  Remedy did(Step step, Instant at) {
    var all = new ArrayList<>(deeds);
    all.add(new Deed(step, at));
    return new Remedy(trouble, all);
  }

  /** The drain of the present trouble. */
  Optional<Deed> drain() {
    return own().stream().filter(deed -> deed.step == Step.DRAIN).findFirst();
  }

  /** What was done last about the present trouble. */
  Optional<Step> last() {
    return own().isEmpty() ? Optional.empty() : Optional.of(own().getLast().step);
  }

  private List<Deed> own() {
    return trouble.beginning().stream()
        .flatMap(began -> deeds.stream().filter(deed -> !deed.at.isBefore(began)))
        .toList();
  }

  private List<Deed> stillCounting(Instant now) {
    Optional<Deed> drain = drain();
    return deeds.stream()
        .filter(deed -> !deed.at.isBefore(now.minus(DAY)) || drain.filter(deed::equals).isPresent())
        .toList();
  }

  /** It works, or what does not is nothing that a step here would mend. */
  private Decision works(Rules rules, Instant now) {
    Instant began = trouble.beginning().orElse(now);
    if (own().isEmpty()) {
      return rest();
    }
    Instant since = trouble instanceof Trouble.Proving(_, Instant s) && !s.isAfter(now) ? s : now;
    Instant proven = since.plus(rules.after());
    return now.isBefore(proven)
        ? new Decision(
            new Remedy(new Trouble.Proving(began, since), deeds),
            Verdict.Wait.until("it works again, looked at", proven))
        : rest();
  }

  private Decision rest() {
    return new Decision(new Remedy(new Trouble.None(), deeds), new Verdict.Rest());
  }

  private Decision down(Seen seen, Rules rules, Instant now) {
    // A time in the future is one before the clock was set back.
    Instant began = trouble.beginning().filter(b -> !b.isAfter(now)).orElse(now);
    Instant since = trouble instanceof Trouble.Down(_, Instant s) && !s.isAfter(now) ? s : now;
    Remedy next = new Remedy(new Trouble.Down(began, since), deeds);
    return new Decision(next, next.verdict(since, seen, rules, now));
  }

  private Verdict verdict(Instant since, Seen seen, Rules rules, Instant now) {
    Instant mending = since.plus(rules.after());
    if (now.isBefore(mending)) {
      return Verdict.Wait.until("it may mend itself", mending);
    }
    // What a dump shows is old soon: the restart follows it at once.
    Instant rested =
        Stream.concat(
                Stream.of(mending),
                deeds.stream()
                    .filter(deed -> deed.step != Step.DUMP)
                    .map(deed -> deed.at.plus(rules.coolDown())))
            .max(Instant::compareTo)
            .orElseThrow();
    if (now.isBefore(rested)) {
      return Verdict.Wait.until("cool-down", rested);
    }
    // Whoever starts it over and over must not put off the next step for ever.
    Optional<Instant> up =
        seen.started()
            .map(at -> at.plus(rules.coolDown()))
            .filter(at -> now.isBefore(at) && now.isBefore(rested.plus(rules.coolDown())));
    if (up.isPresent()) {
      return Verdict.Wait.until("it was started just now, cool-down", up.get());
    }
    return step(seen.drained(), rules, now);
  }

  private Verdict step(boolean drained, Rules rules, Instant now) {
    Optional<Step> last = last();
    for (Step step : rules.steps().stream().sorted().toList()) {
      // Who asks for a replacement may be told to ask again later.
      boolean tried = step != Step.REPLACE && last.filter(l -> l.compareTo(step) >= 0).isPresent();
      // A dump is for the restart that follows.
      Step counted = step == Step.DUMP ? Step.RESTART : step;
      if (tried || used(counted, now) >= rules.mostPerDay()) {
        continue;
      }
      if (step != Step.REPLACE || !rules.steps().contains(Step.DRAIN)) {
        return new Verdict.Act(step);
      }
      if (drain().isEmpty()) {
        return new Verdict.GiveUp("the node was drained as often as it may in a day");
      }
      return drained
          ? new Verdict.Act(step)
          : new Verdict.Wait("the node is drained before it is replaced");
    }
    return new Verdict.GiveUp(
        last.isPresent() ? "every step was tried" : "as many steps were done as may be in a day");
  }

  private long used(Step step, Instant now) {
    Set<Step> kind = step.kind().orElse(Set.of());
    return deeds.stream()
        .filter(deed -> kind.contains(deed.step) && !deed.at.isBefore(now.minus(DAY)))
        .count();
  }
}
