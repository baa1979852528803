package nodeward.runtime;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nodeward.config.Config;
import nodeward.runtime.RuntimeRecord.Broken;
import nodeward.runtime.RuntimeRecord.Gone;
import nodeward.runtime.RuntimeRecord.Undecided;
import nodeward.runtime.RuntimeRecord.Working;

/**
 * What is to be done about one runtime that does not work: nothing for a while, then one step after
 * the other with a cool-down between them, and no more than so many in a day. Pure. A runtime that
 * is slow, or hangs for a single container only, is left alone.
 *
 * @param since when the runtime broke; empty while it works
 * @param deeds what was done in the last day, oldest first
 */
record Remedy(Optional<Instant> since, List<Deed> deeds) {
  static final Remedy NONE = new Remedy(Optional.empty(), List.of());

  private static final Duration DAY = Duration.ofDays(1);

  Remedy {
    deeds = List.copyOf(deeds);
  }

  /** The steps, each harder than the one before. */
  enum Step {
    /** Lets the daemon write down what each of its threads waits for. */
    DUMP,
    RESTART,
    KILL
  }

  /** A step, and when it was done. */
  record Deed(Step step, Instant at) {}

  /** The bounds. */
  record Rules(Duration after, Duration coolDown, int mostPerDay) {
    Rules(Config.Remediation config) {
      this(config.after(), config.coolDown(), config.mostPerDay());
    }
  }

  /** What is to happen now. */
  sealed interface Verdict {
    /** Nothing is wrong that could be mended. */
    record Rest() implements Verdict {}

    record Wait(String why) implements Verdict {}

    record Act(Step step) implements Verdict {}
  }

  /** The next state, and what is to happen in it. */
  record Decision(Remedy next, Verdict verdict) {}

  /** Decides by what is held of the runtime now. */
  Decision decide(RuntimeRecord held, Rules rules, Instant now) {
    List<Deed> recent = deeds.stream().filter(deed -> !deed.at.isBefore(now.minus(DAY))).toList();
    return switch (held) {
      case Working _, Gone _ -> rest(recent);
      case Undecided _ ->
          new Decision(new Remedy(since, recent), new Verdict.Wait("too few probes have failed"));
      case Broken(Probed.Bad cause) ->
          switch (cause) {
            case Probed.ContainersHung _, Probed.Slow _ -> rest(recent);
            case Probed.Failed _, Probed.Hung _ -> broken(recent, rules, now);
          };
    };
  }

  /** After this step was done. */
  Remedy did(Step step, Instant at) {
    var all = new ArrayList<>(deeds);
    all.add(new Deed(step, at));
    return new Remedy(since, all);
  }

  private static Decision rest(List<Deed> recent) {
    return new Decision(new Remedy(Optional.empty(), recent), new Verdict.Rest());
  }

  private Decision broken(List<Deed> recent, Rules rules, Instant now) {
    // A beginning in the future is one before the clock was set back.
    Instant began = since.filter(s -> !s.isAfter(now)).orElse(now);
    return new Decision(new Remedy(Optional.of(began), recent), verdict(began, recent, rules, now));
  }

  private static Verdict verdict(Instant began, List<Deed> recent, Rules rules, Instant now) {
    if (now.isBefore(began.plus(rules.after()))) {
      return new Verdict.Wait("it may mend itself until " + began.plus(rules.after()));
    }
    Optional<Deed> last = recent.isEmpty() ? Optional.empty() : Optional.of(recent.getLast());
    Optional<Step> before = last.filter(deed -> !deed.at.isBefore(began)).map(Deed::step);
    // What a dump shows is old soon: the restart follows it at once.
    Optional<Instant> rested =
        recent.stream()
            .filter(deed -> deed.step != Step.DUMP)
            .map(deed -> deed.at.plus(rules.coolDown()))
            .max(Instant::compareTo);
    if (rested.filter(now::isBefore).isPresent()) {
      return new Verdict.Wait("cool-down until " + rested.get());
    }
    if (before.filter(step -> step == Step.KILL).isPresent()) {
      return new Verdict.Wait("every step was tried");
    }
    long counted = recent.stream().filter(deed -> deed.step != Step.DUMP).count();
    if (counted >= rules.mostPerDay()) {
      return new Verdict.Wait("%d steps in a day are enough".formatted(counted));
    }
    return new Verdict.Act(
        switch (before.orElse(null)) {
          case null -> Step.DUMP;
          case DUMP -> Step.RESTART;
          case RESTART, KILL -> Step.KILL;
        });
  }
}
