package nodeward.aws;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nodeward.aws.NoticeDocuments.Parsed;
import nodeward.termination.Notice;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Notices;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The notices in instance metadata: one request a kind and cycle. Called by the loop of the
 * termination alone. A kind that cannot be read keeps what it last said, so that its trouble
 * withdraws nothing and hides no other kind's notice; only when no notice stands at all is that
 * trouble thrown. What is malformed is logged once, until it changes.
 */
public final class ImdsNotices implements Notices {
  private static final Logger log = LoggerFactory.getLogger(ImdsNotices.class);

  /** Times of the same spot action that differ by no more than this are one notice. */
  private static final Duration SAME = Duration.ofMinutes(5);

  private static final Map<Kind, String> PATHS =
      Map.of(
          Kind.SPOT, "/latest/meta-data/spot/instance-action",
          Kind.AUTO_SCALING, "/latest/meta-data/autoscaling/target-lifecycle-state",
          Kind.MAINTENANCE, "/latest/meta-data/events/maintenance/scheduled",
          Kind.REBALANCE, "/latest/meta-data/events/recommendations/rebalance");

  private static final String HISTORY = "/latest/meta-data/events/maintenance/history";

  /** Readings for which an event that is listed no more is looked for in the history. */
  private static final int LOOKS = 5;

  private final Imds imds;
  private final Map<Kind, String> paths = new EnumMap<>(Kind.class);
  private final Map<Kind, List<Notice>> standing = new EnumMap<>(Kind.class);
  private final Map<Kind, String> told = new EnumMap<>(Kind.class);
  private final Map<Kind, Last> last = new EnumMap<>(Kind.class);
  // Ids that were seen, with the readings since.
  private final Map<String, Integer> known = new HashMap<>();
  private String trouble = "";

  /** A notice by the name it keeps, and the time that metadata gave it last. */
  private record Last(Notice named, Instant time) {}

  /** Reads these kinds; the metadata of the others is not asked for. */
  public ImdsNotices(Imds imds, Set<Kind> kinds) {
    this.imds = imds;
    paths.putAll(PATHS);
    paths.keySet().retainAll(kinds);
  }

  /** A spot action or recommendation among them keeps its id though its time has moved. */
  @Override
  public void recall(Collection<Notice> notices) {
    for (Notice n : notices) {
      known.put(n.id(), 0);
      time(n).ifPresent(at -> last.put(n.kind(), new Last(n, at)));
    }
  }

  @Override
  public Reading read() throws IOException {
    Optional<IOException> failure = Optional.empty();
    Set<String> over = new HashSet<>();
    for (Map.Entry<Kind, String> path : paths.entrySet()) {
      try {
        Parsed parsed = parsed(path.getKey(), path.getValue());
        standing.put(path.getKey(), parsed.notices().stream().map(this::named).toList());
        over.addAll(over(path.getKey(), parsed));
      } catch (IOException e) {
        failure.ifPresent(e::addSuppressed);
        failure = Optional.of(e);
      }
    }
    List<Notice> notices = new ArrayList<>();
    standing.values().forEach(notices::addAll);
    notices.forEach(n -> known.put(n.id(), 0));
    over.forEach(known::remove);
    known.replaceAll((_, looks) -> looks + 1);
    known.values().removeIf(looks -> looks > LOOKS);
    if (failure.isPresent()) {
      if (notices.isEmpty()) {
        throw failure.get();
      }
    }
    tell(failure.map(IOException::getMessage).orElse(""));
    return new Reading(notices, over);
  }

  /** What the document says to be over, of what was there. */
  private List<String> over(Kind kind, Parsed parsed) throws IOException {
    Set<String> there = new HashSet<>();
    parsed.notices().forEach(n -> there.add(n.id()));
    List<String> gone =
        known.keySet().stream()
            .filter(id -> id.startsWith(kind.text() + ":") && !there.contains(id))
            .toList();
    if (gone.isEmpty() || parsed.over().contains(NoticeDocuments.ALL)) {
      return gone;
    }
    List<String> over = new ArrayList<>(parsed.over());
    if (kind == Kind.MAINTENANCE && !over.containsAll(gone)) {
      over.addAll(imds.get(HISTORY).map(NoticeDocuments::scheduledEvents).orElse(parsed).over());
    }
    return gone.stream().filter(over::contains).toList();
  }

  /** Warns of trouble that a standing notice keeps from being thrown: once, until it changes. */
  private void tell(String why) {
    if (!why.equals(trouble)) {
      trouble = why;
      if (why.isEmpty()) {
        log.info("notices: all kinds can be read again");
      } else {
        log.warn("notices: one kind at least keeps what it last said why=\"{}\"", why);
      }
    }
  }

  private Parsed parsed(Kind kind, String path) throws IOException {
    Optional<String> body = imds.get(path);
    Parsed parsed = body.map(text -> parse(kind, text)).orElse(Parsed.NOTHING);
    String malformed = String.join("; ", parsed.malformed());
    if (!malformed.equals(told.getOrDefault(kind, ""))) {
      told.put(kind, malformed);
      if (!malformed.isEmpty()) {
        log.warn("notices: passed over in path={} why=\"{}\"", path, OneLine.of(malformed));
      }
    }
    return parsed;
  }

  private static Parsed parse(Kind kind, String body) {
    return switch (kind) {
      case SPOT -> NoticeDocuments.spot(body);
      case AUTO_SCALING -> NoticeDocuments.targetLifecycleState(body);
      case MAINTENANCE -> NoticeDocuments.scheduledEvents(body);
      case REBALANCE -> NoticeDocuments.rebalance(body);
      case MANUAL, REPAIR, SHUTDOWN -> Parsed.NOTHING;
    };
  }

  /** The notice under the id it had before its time moved, by the clock of this machine. */
  private Notice named(Notice notice) {
    Optional<Instant> time = time(notice);
    String id = notice.id();
    if (time.isPresent()) {
      Last before = last.get(notice.kind());
      if (before != null
          && before.named().detail().equals(notice.detail())
          && apart(before.time(), time.get()).compareTo(SAME) <= 0) {
        id = before.named().id();
      }
      last.put(
          notice.kind(),
          new Last(new Notice(notice.kind(), id, notice.detail(), Instant.MAX), time.get()));
    }
    Instant at = notice.at().equals(Instant.MAX) ? notice.at() : notice.at().minus(imds.ahead());
    return new Notice(notice.kind(), id, notice.detail(), at, notice.note());
  }

  /** The time that AWS gave a notice whose id it is part of. */
  private static Optional<Instant> time(Notice notice) {
    return switch (notice.kind()) {
      case SPOT, REBALANCE -> parse(notice.id().replaceFirst("^(spot:[^:]*|rebalance):", ""));
      case AUTO_SCALING, MAINTENANCE, MANUAL, REPAIR, SHUTDOWN -> Optional.empty();
    };
  }

  private static Optional<Instant> parse(String text) {
    try {
      return Optional.of(Instant.parse(text));
    } catch (DateTimeParseException e) {
      return Optional.empty();
    }
  }

  private static Duration apart(Instant one, Instant other) {
    return Duration.between(one, other).abs();
  }
}
