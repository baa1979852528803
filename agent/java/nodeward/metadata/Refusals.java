package nodeward.metadata;

import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
import nodeward.component.Time;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells refusals in the log, each kind at most once in ten seconds with the number left out since:
 * a pod that asks in a loop must not fill the node's disk. Called by every request's thread.
 */
final class Refusals {
  private static final Logger log = LoggerFactory.getLogger(Refusals.class);
  private static final Duration PAUSE = Duration.ofSeconds(10);
  private static final int LONGEST = 200;

  private record Told(long at, long leftOut) {}

  private final Time time;
  // Guarded by this.
  private final Map<Refusal, Told> told = new EnumMap<>(Refusal.class);

  Refusals(Time time) {
    this.time = time;
  }

  void tell(Refusal refusal, String from, String request, String why) {
    long leftOut = turn(refusal);
    if (leftOut < 0) {
      return;
    }
    if (refusal.wantsHuman()) {
      log.warn(
          "metadata: refused kind={} from={} request=\"{}\" why=\"{}\" left_out={}",
          refusal.text(),
          from,
          printable(request),
          printable(why),
          leftOut);
    } else {
      log.info(
          "metadata: refused kind={} from={} request=\"{}\" why=\"{}\" left_out={}",
          refusal.text(),
          from,
          printable(request),
          printable(why),
          leftOut);
    }
  }

  /** How many were left out before this one, or -1 when this one is left out too. */
  private synchronized long turn(Refusal refusal) {
    long now = time.nanos();
    Told last = told.get(refusal);
    if (last != null && now - last.at < PAUSE.toNanos()) {
      told.put(refusal, new Told(last.at, last.leftOut + 1));
      return -1;
    }
    told.put(refusal, new Told(now, 0));
    return last == null ? 0 : last.leftOut;
  }

  /** Text from outside as one short line: nobody can forge a log line with it. */
  static String printable(String text) {
    var line = new StringBuilder();
    for (int i = 0; i < Math.min(text.length(), LONGEST); i++) {
      char c = text.charAt(i);
      line.append(c < ' ' || c > '~' ? '?' : c == '"' ? '\'' : c);
    }
    return text.length() > LONGEST ? line + "..." : line.toString();
  }
}
