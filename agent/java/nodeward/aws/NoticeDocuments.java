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
  /** The notices of one document, and in words what in it was not understood. */
  record Parsed(List<Notice> notices, List<String> malformed) {
    static final Parsed NOTHING = new Parsed(List.of(), List.of());

    Parsed {
      notices = List.copyOf(notices);
      malformed = List.copyOf(malformed);
    }

    static Parsed of(Notice notice) {
      return new Parsed(List.of(notice), List.of());
    }

    static Parsed malformed(String why) {
      return new Parsed(List.of(), List.of(why));
    }
  }

  private static final JsonMapper json = new JsonMapper();
  private static final DateTimeFormatter EVENT_TIME =
      DateTimeFormatter.ofPattern("d MMM uuuu HH:mm:ss 'GMT'", Locale.ENGLISH)
          .withResolverStyle(ResolverStyle.STRICT)
          .withZone(ZoneOffset.UTC);
  private static final Pattern WORD = Pattern.compile("[\\w.:-]{1,64}");
  private static final Set<String> ENDS = Set.of("Terminated", "Warmed:Terminated");
  private static final Set<String> LIVES_ON =
      Set.of(
          "InService",
          "Detached",
          "Standby",
          "Warmed:Hibernated",
          "Warmed:Running",
          "Warmed:Stopped");
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
    if (ENDS.contains(state)) {
      return Parsed.of(new Notice(Kind.AUTO_SCALING, "autoscaling:" + state, state, Instant.MAX));
    }
    return LIVES_ON.contains(state)
        ? Parsed.NOTHING
        : Parsed.malformed("unknown state=" + OneLine.of(state));
  }

  /** {@code events/maintenance/scheduled}: an array of events, of which the active ones count. */
  static Parsed scheduledEvents(String body) {
    List<Notice> notices = new ArrayList<>();
    List<String> malformed = new ArrayList<>();
    try (JsonParser parser = json.createParser(body)) {
      JsonToken first = parser.nextToken();
      if (first != JsonToken.START_ARRAY) {
        return first == null ? Parsed.NOTHING : Parsed.malformed("not an array");
      }
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        Parsed one = scheduledEvent(json.readTree(parser));
        notices.addAll(one.notices());
        malformed.addAll(one.malformed());
      }
    } catch (JsonProcessingException e) {
      malformed.add("not JSON after " + notices.size() + " events");
    } catch (IOException e) {
      throw new UncheckedIOException("a string cannot fail to be read", e);
    }
    return new Parsed(notices, malformed);
  }

  private static Parsed scheduledEvent(JsonNode event) {
    String code = event.path("Code").asText("");
    String id = event.path("EventId").asText("");
    if (!WORD.matcher(code).matches() || !WORD.matcher(id).matches()) {
      return Parsed.malformed("an event without Code or EventId");
    }
    String state = event.path("State").asText("active").toLowerCase(Locale.ROOT);
    String description = event.path("Description").asText("").toLowerCase(Locale.ROOT);
    if (OVER.contains(state)
        || OVER.stream().anyMatch(o -> description.startsWith("[" + o + "]"))) {
      return Parsed.NOTHING;
    }
    try {
      Instant at = Instant.from(EVENT_TIME.parse(event.path("NotBefore").asText("").strip()));
      return Parsed.of(new Notice(Kind.MAINTENANCE, "maintenance:" + id, code, at));
    } catch (DateTimeParseException e) {
      return Parsed.malformed("event " + id + " without a NotBefore that can be read");
    }
  }
}
