package nodeward.termination;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import nodeward.termination.LifecycleHook.Hook;
import nodeward.termination.Plan.Cordoner;

/**
 * A state with its plan as JSON, in the plan's file and in the Node's annotation. What cannot be
 * read is an {@link IllegalArgumentException} that says why.
 */
final class PlanJson {
  private static final int VERSION = 1;
  private static final ObjectMapper json = new ObjectMapper();

  private PlanJson() {}

  /** The node it is about, and the state. */
  record Stored(String node, State state) {}

  static String write(String node, State state) {
    ObjectNode root = json.createObjectNode();
    root.put("version", VERSION);
    root.put("node", node);
    root.put("state", state.word());
    if (!state.settled().isEmpty()) {
      state.settled().forEach(root.putArray("settled")::add);
    }
    switch (state) {
      case State.Cordoned(_, Instant drainAt) -> root.put("drainAt", drainAt.toString());
      case State.Held(_, Instant until) -> root.put("until", until.toString());
      case State.InService _,
          State.Noticed _,
          State.Draining _,
          State.Detaching _,
          State.Completed _,
          State.Returned _ -> {}
    }
    state.planned().ifPresent(plan -> write(root, plan));
    return root.toString();
  }

  private static void write(ObjectNode root, Plan plan) {
    root.put("since", plan.since().toString());
    root.put("deadline", plan.deadline().toString());
    root.put("cordonedBy", plan.cordoner().text());
    if (!plan.boot().isEmpty()) {
      root.put("boot", plan.boot());
    }
    ArrayNode notices = root.putArray("notices");
    for (Notice notice : plan.notices()) {
      ObjectNode n = notices.addObject();
      n.put("kind", notice.kind().text());
      n.put("id", notice.id());
      n.put("detail", notice.detail());
      n.put("at", notice.at().toString());
      if (!notice.note().isEmpty()) {
        n.put("note", notice.note());
      }
    }
    if (plan.hook().isPresent()) {
      Hook hook = plan.hook().get();
      ObjectNode h = root.putObject("hook");
      h.put("group", hook.group());
      h.put("name", hook.name());
      h.put("heartbeatTimeout", hook.heartbeatTimeout().toString());
      h.put("globalTimeout", hook.globalTimeout().toString());
    }
  }

  static Stored read(String text) {
    try {
      JsonNode root = json.readTree(text);
      if (root.path("version").asInt() != VERSION) {
        throw new IllegalArgumentException(
            root.has("version") ? "version is " + root.path("version") : "version is missing");
      }
      String word = text(root, "state");
      State state =
          word.equals(new State.InService().word())
              ? new State.InService(settled(root))
              : state(word, plan(root), root);
      return new Stored(text(root, "node"), state);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("not JSON: " + e.getOriginalMessage(), e);
    } catch (DateTimeException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
  }

  private static State state(String word, Plan plan, JsonNode root) {
    return Stream.of(
            new State.Noticed(plan),
            new State.Cordoned(plan, instant(root, "drainAt", Instant.MIN)),
            new State.Held(plan, instant(root, "until", Instant.MIN)),
            new State.Draining(plan, List.of()),
            new State.Detaching(plan, List.of()),
            new State.Completed(plan, List.of()),
            new State.Returned(plan))
        .filter(s -> s.word().equals(word))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("state is \"" + word + "\""));
  }

  private static Instant instant(JsonNode root, String key, Instant without) {
    return root.has(key) ? Instant.parse(text(root, key)) : without;
  }

  private static List<String> settled(JsonNode root) {
    var ids = new ArrayList<String>();
    root.path("settled").forEach(id -> ids.add(id.asText()));
    return ids;
  }

  private static Plan plan(JsonNode root) {
    var notices = new ArrayList<Notice>();
    for (JsonNode n : root.path("notices")) {
      notices.add(
          new Notice(
              kind(text(n, "kind")),
              text(n, "id"),
              text(n, "detail"),
              Instant.parse(text(n, "at")),
              n.path("note").asText("")));
    }
    return new Plan(
        notices,
        Instant.parse(text(root, "since")),
        Instant.parse(text(root, "deadline")),
        cordoner(text(root, "cordonedBy")),
        root.has("hook") ? Optional.of(hook(root.path("hook"))) : Optional.empty(),
        root.path("boot").asText(""),
        settled(root));
  }

  private static Hook hook(JsonNode h) {
    return new Hook(
        text(h, "group"),
        text(h, "name"),
        Duration.parse(text(h, "heartbeatTimeout")),
        Duration.parse(text(h, "globalTimeout")));
  }

  private static Notice.Kind kind(String text) {
    return Stream.of(Notice.Kind.values())
        .filter(k -> k.text().equals(text))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("kind is \"" + text + "\""));
  }

  private static Cordoner cordoner(String text) {
    return Stream.of(Cordoner.values())
        .filter(c -> c.text().equals(text))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("cordonedBy is \"" + text + "\""));
  }

  private static String text(JsonNode node, String key) {
    JsonNode value = node.path(key);
    if (!value.isTextual()) {
      throw new IllegalArgumentException(key + " is missing");
    }
    return value.textValue();
  }
}
