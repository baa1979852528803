package nodeward.aws;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
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
          Kind.MAINTENANCE, "/latest/meta-data/events/maintenance/scheduled");

  private final Imds imds;
  private final Map<Kind, String> paths = new EnumMap<>(Kind.class);
  private final Map<Kind, List<Notice>> standing = new EnumMap<>(Kind.class);
  private final Map<Kind, String> told = new EnumMap<>(Kind.class);
  private String trouble = "";
  private Optional<Notice> lastSpot = Optional.empty();

  /** Reads these kinds; the metadata of the others is not asked for. */
  public ImdsNotices(Imds imds, Set<Kind> kinds) {
    this.imds = imds;
    paths.putAll(PATHS);
    paths.keySet().retainAll(kinds);
  }

  /**
   * Names the notices that an earlier run of the agent has acted on, before the first {@link
   * #read}: a spot action among them keeps its id though its time has moved meanwhile.
   */
  public void recall(Collection<Notice> known) {
    known.stream().filter(n -> n.kind() == Kind.SPOT).forEach(n -> lastSpot = Optional.of(n));
  }

  @Override
  public List<Notice> read() throws IOException {
    Optional<IOException> failure = Optional.empty();
    for (Map.Entry<Kind, String> path : paths.entrySet()) {
      try {
        standing.put(path.getKey(), read(path.getKey(), path.getValue()));
      } catch (IOException e) {
        failure.ifPresent(e::addSuppressed);
        failure = Optional.of(e);
      }
    }
    List<Notice> notices = new ArrayList<>();
    standing.values().forEach(notices::addAll);
    if (failure.isPresent()) {
      if (notices.isEmpty()) {
        throw failure.get();
      }
    }
    tell(failure.map(IOException::getMessage).orElse(""));
    return notices;
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

  private List<Notice> read(Kind kind, String path) throws IOException {
    Optional<String> body = imds.get(path);
    Parsed parsed = body.map(text -> parse(kind, text)).orElse(Parsed.NOTHING);
    String malformed = String.join("; ", parsed.malformed());
    if (!malformed.equals(told.getOrDefault(kind, ""))) {
      told.put(kind, malformed);
      if (!malformed.isEmpty()) {
        log.warn("notices: passed over in path={} why=\"{}\"", path, OneLine.of(malformed));
      }
    }
    return parsed.notices().stream().map(this::named).toList();
  }

  private static Parsed parse(Kind kind, String body) {
    return switch (kind) {
      case SPOT -> NoticeDocuments.spot(body);
      case AUTO_SCALING -> NoticeDocuments.targetLifecycleState(body);
      case MAINTENANCE -> NoticeDocuments.scheduledEvents(body);
      case MANUAL -> Parsed.NOTHING;
    };
  }

  /** The notice under the id it had before its time moved. */
  private Notice named(Notice notice) {
    if (notice.kind() != Kind.SPOT) {
      return notice;
    }
    Notice named =
        lastSpot
            .filter(last -> last.detail().equals(notice.detail()))
            .filter(last -> apart(last.at(), notice.at()).compareTo(SAME) <= 0)
            .map(last -> new Notice(Kind.SPOT, last.id(), notice.detail(), notice.at()))
            .orElse(notice);
    lastSpot = Optional.of(named);
    return named;
  }

  private static Duration apart(Instant one, Instant other) {
    return Duration.between(one, other).abs();
  }
}
