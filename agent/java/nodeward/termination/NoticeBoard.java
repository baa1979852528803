package nodeward.termination;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Consumer;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Notices.Reading;

/**
 * The notices that stand: from what the readings of instance metadata say, from requests, and
 * simulated ones. A notice that is said to be over is gone at once; one that is merely not
 * mentioned is gone after {@value #MISSES} readings in a row, since instance metadata is a best
 * effort. Any thread; listeners hear each change under the board's lock, so that a reading which
 * began before a request is never heard as its withdrawal.
 */
final class NoticeBoard {
  static final int MISSES = 3;

  /** A notice and the readings in a row that did not mention it. */
  private record Posted(Notice notice, int missed) {}

  // All of these are guarded by this.
  private final SequencedMap<String, Posted> posted = new LinkedHashMap<>();
  private final Set<String> unsure = new HashSet<>();
  private final Map<Kind, Notice> requests = new EnumMap<>(Kind.class);
  private final Map<String, Notice> simulated = new LinkedHashMap<>();
  private final Set<String> ended = new HashSet<>();
  // Withdrawn, maybe before an earlier run's request was recalled.
  private final Set<Kind> withdrawn = EnumSet.noneOf(Kind.class);
  private List<Notice> standing = List.of();

  /** Puts up what an earlier run has acted on: it is not confirmed yet. */
  synchronized void recall(List<Notice> known) {
    for (Notice n : known) {
      switch (n.kind()) {
        case MANUAL, REPAIR, SHUTDOWN -> {
          if (!withdrawn.contains(n.kind())) {
            requests.put(n.kind(), n);
          }
        }
        case SPOT, AUTO_SCALING, MAINTENANCE, REBALANCE -> {
          posted.put(n.id(), new Posted(n, 0));
          unsure.add(n.id());
        }
      }
    }
  }

  /** Takes in one reading, and tells what stands. */
  synchronized void hear(Reading read, Consumer<List<Notice>> told) {
    Map<String, Notice> now = new LinkedHashMap<>();
    read.standing().forEach(n -> now.put(n.id(), n));
    now.putAll(simulated);
    posted.keySet().removeAll(read.over());
    posted.keySet().removeAll(ended);
    ended.clear();
    posted.replaceAll((id, p) -> new Posted(p.notice(), p.missed() + 1));
    posted.values().removeIf(p -> p.missed() >= MISSES);
    now.forEach((id, n) -> posted.put(id, new Posted(n, 0)));
    unsure.removeIf(id -> now.containsKey(id) || !posted.containsKey(id));
    publish();
    told.accept(standing);
  }

  /** Puts up a request, in place of an earlier one of its kind. */
  synchronized void request(Notice notice, Runnable told) {
    withdrawn.remove(notice.kind());
    requests.put(notice.kind(), notice);
    publish();
    told.run();
  }

  /** Takes a request down. */
  synchronized void withdraw(Kind kind, Consumer<List<Notice>> told) {
    withdrawn.add(kind);
    if (requests.remove(kind) != null) {
      publish();
      told.accept(standing);
    }
  }

  synchronized boolean isRequested(Kind kind) {
    return requests.containsKey(kind);
  }

  synchronized void withdraw(Set<String> ids) {
    requests.values().removeIf(n -> ids.contains(n.id()));
    publish();
  }

  /** From the next reading on, as if instance metadata said so. */
  synchronized void simulate(Notice notice) {
    simulated.put(notice.id(), notice);
  }

  /** With the next reading all that was simulated is over. */
  synchronized void endSimulation() {
    ended.addAll(simulated.keySet());
    simulated.clear();
  }

  synchronized List<Notice> standing() {
    return standing;
  }

  /** Whether a recalled notice is neither confirmed nor given up yet. */
  synchronized boolean isUnsure() {
    return !unsure.isEmpty();
  }

  private void publish() {
    var all = new ArrayList<Notice>();
    posted.values().forEach(p -> all.add(p.notice()));
    all.addAll(requests.values());
    standing = List.copyOf(all);
  }
}
