package nodeward.aws;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.time.format.ResolverStyle;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import nodeward.termination.Notice;
import nodeward.termination.Notice.Kind;

/**
 * Reads the documents of instance metadata that announce the end of the node. Each element is read
 * on its own: what cannot be read is named in {@link Parsed#malformed} and hides nothing else;
 * fields we do not know are passed over, and so are words we do not know where they are AWS's to
 * choose.
 *
 * <p>Shapes: "Spot Instance interruption notices", "Scheduled events for your instances" and
 * "Retrieve the target lifecycle state" in the EC2 and Auto Scaling user guides.
 */
final class NoticeDocuments {
  /**
   * The notices of one document, in words what in it was not understood, and the ids of what it
   * says to be over; {@link #ALL} for everything of its kind.
   */
  record Parsed(List<Notice> notices, List<String> malformed, List<String> over) {
    static final Parsed NOTHING = new Parsed(List.of(), List.of(), List.of());
    static final Parsed NONE_STANDS = new Parsed(List.of(), List.of(), List.of(ALL));

    Parsed {
      notices = List.copyOf(notices);
      malformed = List.copyOf(malformed);
      over = List.copyOf(over);
    }

    static Parsed of(Notice notice) {
      return new Parsed(List.of(notice), List.of(), List.of());
    }

    static Parsed malformed(String why) {
      return new Parsed(List.of(), List.of(why), List.of());
    }

    static Parsed over(String id) {
      return new Parsed(List.of(), List.of(), List.of(id));
    }
  }

  static final String ALL = "*";

  private static final JsonMapper json = new JsonMapper();
  private static final DateTimeFormatter EVENT_TIME =
      DateTimeFormatter.ofPattern("d MMM uuuu HH:mm:ss 'GMT'", Locale.ENGLISH)
          .withResolverStyle(ResolverStyle.STRICT)
          .withZone(ZoneOffset.UTC);
  private static final Pattern WORD = Pattern.compile("[\\w.:-]{1,64}");

  /** The instance ends, or goes to the warm pool, from where it may come back as it is. */
  private static final Set<String> LEAVES =
      Set.of(
          "Terminated",
          "Warmed:Terminated",
          "Warmed:Hibernated",
          "Warmed:Running",
          "Warmed:Stopped");

  /** The instance lives on, also where it leaves its group. */
  private static final Set<String> LIVES_ON = Set.of("InService", "Detached", "Standby");

  private static final Set<String> OVER = Set.of("completed", "canceled", "cancelled");

  private NoticeDocuments() {}

  /** {@code spot/instance-action}: {@code {"action":"terminate","time":"2026-11-21T08:02:00Z"}}. */
  static Parsed spot(String body) {
    JsonNode document;
    try {
      document = json.readTree(body);
    } catch (JsonProcessingException e) {
      return Parsed.malformed("not JSON");
    }
    String action = document.path("action").asText("");
    if (!WORD.matcher(action).matches()) {
      return Parsed.malformed("no action");
    }
    try {
      Instant at = Instant.parse(document.path("time").asText(""));
      return Parsed.of(new Notice(Kind.SPOT, "spot:" + action + ":" + at, action, at));
    } catch (DateTimeParseException e) {
      return Parsed.malformed("action=" + action + " without a time that can be read");
    }
  }

  /** {@code autoscaling/target-lifecycle-state}: one word, the state the instance moves to. */
  static Parsed targetLifecycleState(String body) {
    String state = body.strip();
    if (LEAVES.contains(state)) {
      return Parsed.of(new Notice(Kind.AUTO_SCALING, "autoscaling:" + state, state, Instant.MAX));
    }
    return LIVES_ON.contains(state)
        ? Parsed.NONE_STANDS
        : Parsed.malformed("unknown state=" + OneLine.of(state));
  }

  /** {@code events/recommendations/rebalance}: {@code {"noticeTime":"2026-11-21T08:02:00Z"}}. */
  static Parsed rebalance(String body) {
    try {
      Instant at = Instant.parse(json.readTree(body).path("noticeTime").asText(""));
      return Parsed.of(new Notice(Kind.REBALANCE, "rebalance:" + at, "recommended", Instant.MAX));
    } catch (JsonProcessingException e) {
      return Parsed.malformed("not JSON");
    } catch (DateTimeParseException e) {
      return Parsed.malformed("no noticeTime that can be read");
    }
  }

  /**
   * {@code events/maintenance/scheduled} and {@code history}: an array of events, of which the
   * active ones count and the others are over.
   */
  static Parsed scheduledEvents(String body) {
    List<Notice> notices = new ArrayList<>();
    List<String> malformed = new ArrayList<>();
    List<String> over = new ArrayList<>();
    try (JsonParser parser = json.createParser(body)) {
      JsonToken first = parser.nextToken();
      if (first != JsonToken.START_ARRAY) {
        return first == null ? Parsed.NOTHING : Parsed.malformed("not an array");
      }
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        Parsed one = scheduledEvent(json.readTree(parser));
        notices.addAll(one.notices());
        malformed.addAll(one.malformed());
        over.addAll(one.over());
      }
    } catch (JsonProcessingException e) {
      malformed.add("not JSON after " + notices.size() + " events");
    } catch (IOException e) {
      throw new UncheckedIOException("a string cannot fail to be read", e);
    }
    return new Parsed(notices, malformed, over);
  }

  private static Parsed scheduledEvent(JsonNode event) {
    String code = event.path("Code").asText("");
    String id = event.path("EventId").asText("");
    if (!WORD.matcher(code).matches() || !WORD.matcher(id).matches()) {
      return Parsed.malformed("an event without Code or EventId");
    }
    String state = event.path("State").asText("active").toLowerCase(Locale.ROOT);
    String description = OneLine.of(event.path("Description").asText(""));
    String lower = description.toLowerCase(Locale.ROOT);
    if (OVER.contains(state) || OVER.stream().anyMatch(o -> lower.startsWith("[" + o + "]"))) {
      return Parsed.over("maintenance:" + id);
    }
    try {
      Instant at = Instant.from(EVENT_TIME.parse(event.path("NotBefore").asText("").strip()));
      return Parsed.of(new Notice(Kind.MAINTENANCE, "maintenance:" + id, code, at, description));
    } catch (DateTimeParseException e) {
      return Parsed.malformed("event " + id + " without a NotBefore that can be read");
    }
  }
}
