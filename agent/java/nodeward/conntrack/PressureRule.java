package nodeward.conntrack;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import nodeward.config.Config;

/**
 * Decides from the samples so far how the table is. A share is reached at its bound and left only
 * when the table is {@link #MARGIN} below it, a rate is left below the half of its bound, so that a
 * table which hovers around a bound does not flap. What hurts already comes before what is about
 * to: drops, then how full it is, then inserts that fail.
 */
record PressureRule(double nearFull, double critical, double drops, double insertFailures) {
  static final double MARGIN = 0.05;

  private static final double SECOND = 1e9;
  private static final long RATE_WINDOW = (long) (60 * SECOND);
  private static final long SLOPE_WINDOW = (long) (300 * SECOND);
  // Fewer or closer points than these are no trend.
  private static final int LEAST_POINTS = 4;
  private static final long LEAST_SPAN = (long) (30 * SECOND);

  PressureRule(Config.Conntrack config) {
    this(
        config.nearFull(),
        config.critical(),
        config.dropsPerSecond(),
        config.insertFailuresPerSecond());
  }

  /**
   * One look at the table.
   *
   * @param nanos when, by a clock that only grows
   * @param dropped how many flows or packets the kernel has dropped since the sample before
   * @param failed how many inserts have failed since then
   */
  record Sample(long nanos, long entries, long limit, long dropped, long failed) {}

  /** How full the table is. */
  enum Level {
    ROOM,
    NEAR_FULL,
    CRITICAL
  }

  /** A sample with the sums of all drops and failures since the first one. */
  record Point(long nanos, long entries, long dropped, long failed) {}

  /** What is held after the samples so far; the points are those of the last minutes. */
  record State(Level level, boolean dropping, boolean failing, long limit, List<Point> points) {
    static final State NEW = new State(Level.ROOM, false, false, 0, List.of());

    State {
      points = List.copyOf(points);
    }

    Pressure pressure() {
      if (points.isEmpty()) {
        return Pressure.UNKNOWN;
      }
      if (dropping) {
        return Pressure.DROPPING;
      }
      return switch (level) {
        case CRITICAL -> Pressure.CRITICAL;
        case NEAR_FULL -> Pressure.NEAR_FULL;
        case ROOM -> failing ? Pressure.INSERT_FAILING : Pressure.OK;
      };
    }

    /** Drops a second, over the last minute. */
    double dropRate() {
      return rate(points, points.isEmpty() ? 0 : points.getLast().dropped, Point::dropped);
    }

    /** Failed inserts a second, over the last minute. */
    double failureRate() {
      return rate(points, points.isEmpty() ? 0 : points.getLast().failed, Point::failed);
    }

    /** By how many entries a second the table grows; empty while there are too few samples. */
    OptionalDouble growth() {
      return slope(points);
    }

    /** In how many seconds the table is full if it goes on so; empty when it does not fill. */
    OptionalDouble secondsToFull() {
      OptionalDouble growth = growth();
      if (limit == 0 || growth.isEmpty() || growth.getAsDouble() <= 0) {
        return OptionalDouble.empty();
      }
      long left = Math.max(0, limit - points.getLast().entries);
      return OptionalDouble.of(left / growth.getAsDouble());
    }
  }

  /** A sum of a point. */
  @FunctionalInterface
  private interface Sum {
    long of(Point point);
  }

  /** What is held after one more sample. */
  State next(State before, Sample sample) {
    var points = new ArrayList<Point>();
    // The first sample counts everything since boot: it is where sums begin, not a rate.
    long dropped = 0;
    long failed = 0;
    if (!before.points.isEmpty()) {
      Point last = before.points.getLast();
      dropped = last.dropped + sample.dropped;
      failed = last.failed + sample.failed;
      before.points.stream()
          .filter(point -> sample.nanos - point.nanos <= SLOPE_WINDOW)
          .forEach(points::add);
      if (points.isEmpty()) {
        points.add(last);
      }
    }
    points.add(new Point(sample.nanos, sample.entries, dropped, failed));
    var state = new State(level(before.level, sample), false, false, sample.limit, points);
    return new State(
        state.level,
        holds(before.dropping, state.dropRate(), drops),
        holds(before.failing, state.failureRate(), insertFailures),
        sample.limit,
        points);
  }

  private static boolean holds(boolean before, double rate, double bound) {
    return rate >= (before ? bound / 2 : bound);
  }

  private Level level(Level before, Sample sample) {
    double share = sample.limit == 0 ? 0 : (double) sample.entries / sample.limit;
    double upper = before == Level.CRITICAL ? critical - MARGIN : critical;
    double lower = before == Level.ROOM ? nearFull : nearFull - MARGIN;
    if (share >= upper) {
      return Level.CRITICAL;
    }
    return share >= lower ? Level.NEAR_FULL : Level.ROOM;
  }

  /** From the youngest point that is a minute old, or the oldest of all, to the last. */
  private static double rate(List<Point> points, long sum, Sum of) {
    if (points.size() < 2) {
      return 0;
    }
    Point last = points.getLast();
    Point from = points.getFirst();
    for (Point point : points) {
      if (last.nanos - point.nanos >= RATE_WINDOW) {
        from = point;
      }
    }
    double seconds = (last.nanos - from.nanos) / SECOND;
    return seconds <= 0 ? 0 : (sum - of.of(from)) / seconds;
  }

  /** Least squares. */
  private static OptionalDouble slope(List<Point> points) {
    if (points.size() < LEAST_POINTS
        || points.getLast().nanos - points.getFirst().nanos < LEAST_SPAN) {
      return OptionalDouble.empty();
    }
    long from = points.getFirst().nanos;
    double times = 0;
    double entries = 0;
    for (Point point : points) {
      times += (point.nanos - from) / SECOND;
      entries += point.entries;
    }
    times /= points.size();
    entries /= points.size();
    double above = 0;
    double below = 0;
    for (Point point : points) {
      double time = (point.nanos - from) / SECOND - times;
      above += time * (point.entries - entries);
      below += time * time;
    }
    return OptionalDouble.of(above / below);
  }
}
