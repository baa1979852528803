package nodeward.runtime;

import nodeward.runtime.Probed.Absent;
import nodeward.runtime.Probed.Bad;
import nodeward.runtime.Probed.Healthy;

/** What is held of one runtime after its probes so far. */
sealed interface RuntimeRecord {
  /** Nothing is known yet, or failures that are too few to tell since. */
  record Undecided(int failures) implements RuntimeRecord {}

  record Gone(String why) implements RuntimeRecord {}

  /** It works, or did until the last few probes, which are too few to tell. */
  record Working(String what, int failures) implements RuntimeRecord {}

  record Broken(Bad cause) implements RuntimeRecord {}

  RuntimeRecord NEW = new Undecided(0);

  /** After one more probe; the n-th failure in a row breaks the runtime. */
  static RuntimeRecord next(RuntimeRecord before, Probed probed, int n) {
    return switch (probed) {
      case Healthy healthy -> new Working(healthy.what(), 0);
      case Absent absent -> new Gone(absent.why());
      case Bad bad ->
          switch (before) {
            case Undecided undecided when undecided.failures() + 1 < n ->
                new Undecided(undecided.failures() + 1);
            case Working working when working.failures() + 1 < n ->
                new Working(working.what(), working.failures() + 1);
            case Gone _ when n > 1 -> new Undecided(1);
            case Undecided _, Working _, Gone _, Broken _ -> new Broken(bad);
          };
    };
  }
}
