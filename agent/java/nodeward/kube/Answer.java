package nodeward.kube;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/**
 * What the API server answered to one request. The body of a refusal is a {@code Status} object,
 * save for the few that come from before its API handlers (overload, a proxy): those are plain
 * text.
 */
record Answer(String operation, int code, String body, JsonNode json, Duration retryAfter) {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final int LONGEST_TEXT = 300;

  static Answer of(String operation, int code, String body, @Nullable String retryAfter) {
    JsonNode json = json(body);
    Duration wait =
        retryAfter != null && retryAfter.matches("\\d{1,6}")
            ? Duration.ofSeconds(Long.parseLong(retryAfter))
            : Duration.ofSeconds(Math.max(0, json.at("/details/retryAfterSeconds").asInt()));
    return new Answer(operation, code, body, json, wait);
  }

  boolean accepted() {
    return code >= 200 && code < 300;
  }

  String message() {
    String message = json.path("message").asText("");
    if (message.isEmpty()) {
      message = body.strip();
    }
    return message.length() > LONGEST_TEXT ? message.substring(0, LONGEST_TEXT) + "..." : message;
  }

  /** The message with the code: {@code nodes is forbidden: ... (403)}. */
  String summary() {
    return message().isEmpty() ? "status " + code : message() + " (" + code + ")";
  }

  boolean hasCause(String reason) {
    return causes().stream().anyMatch(c -> c.path("reason").asText().equals(reason));
  }

  /** The texts of the causes, or the message where there are none. */
  String explanation() {
    List<String> texts =
        causes().stream().map(c -> c.path("message").asText()).filter(t -> !t.isEmpty()).toList();
    return texts.isEmpty() ? message() : String.join("; ", texts);
  }

  IOException failure() {
    return new IOException(operation + ": " + summary());
  }

  private List<JsonNode> causes() {
    return StreamSupport.stream(json.path("details").path("causes").spliterator(), false).toList();
  }

  private static JsonNode json(String body) {
    try {
      return MAPPER.readTree(body);
    } catch (JsonProcessingException _) {
      // Plain text: message() shows it as it is.
      return MissingNode.getInstance();
    }
  }
}
