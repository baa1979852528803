package nodeward.drain;

import java.time.Duration;
import java.time.Instant;
import java.util.List;

/**
 * How the time of a drain is shared out. {@code reserve} is kept free at the end, so that what is
 * forced has ended before the deadline; {@link Instant#MAX} is no deadline.
 */
record Pace(Instant begun, Instant deadline, Duration reserve) {
  /** Without a deadline: what a tier gets beyond the longest grace in it. */
  static final Duration PATIENCE = Duration.ofMinutes(1);

  private static final Duration LEAST_GRACE = Duration.ofSeconds(1);

  /**
   * When the tier may start although pods of earlier ones are still there. Each tier's share of the
   * time is as large as the longest grace in it, one second more so that none is empty.
   *
   * @param graces the longest grace of each tier, in their order
   */
  Instant latestStart(List<Duration> graces, int tier) {
    if (tier == 0) {
      return begun;
    }
    if (!limited()) {
      return begun.plus(sum(graces.subList(0, tier), PATIENCE));
    }
    Duration before = sum(graces.subList(0, tier), LEAST_GRACE);
    Duration all = sum(graces, LEAST_GRACE);
    Duration time = Duration.between(begun, end());
    return begun.plusMillis(
        (long) (time.toMillis() * ((double) before.toMillis() / Math.max(1, all.toMillis()))));
  }

  /**
   * Until when pods are asked; from then on they are told, with as much grace as is left. At least
   * half of the time is for asking.
   */
  Instant politeUntil(Duration longestGrace) {
    if (!limited()) {
      return Instant.MAX;
    }
    Duration half = Duration.between(begun, end()).dividedBy(2);
    return end().minus(longestGrace.compareTo(half) < 0 ? longestGrace : half);
  }

  /** As much of the grace as ends before the deadline, at least a second, in whole seconds. */
  Duration clamped(Duration grace, Instant now) {
    if (!limited()) {
      return grace;
    }
    Duration left = Duration.ofSeconds(Duration.between(now, end()).toSeconds());
    Duration most = left.compareTo(LEAST_GRACE) < 0 ? LEAST_GRACE : left;
    return grace.compareTo(most) < 0 ? grace : most;
  }

  boolean limited() {
    return !deadline.equals(Instant.MAX);
  }

  /** When everything is to have ended; never before the beginning. */
  private Instant end() {
    Instant end = deadline.minus(reserve);
    return end.isBefore(begun) ? begun : end;
  }

  private static Duration sum(List<Duration> graces, Duration more) {
    return graces.stream().map(g -> g.plus(more)).reduce(Duration.ZERO, Duration::plus);
  }
}
