package nodeward.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;

/**
 * One request as the API server's audit log tells it: texts are empty where it tells nothing,
 * {@code code} is 0 until the response is known. A watch that is still open is at stage
 * ResponseStarted, all else at ResponseComplete.
 */
public record AuditEntry(
    String id,
    Instant received,
    Instant stageReached,
    Stage stage,
    String user,
    String userAgent,
    String verb,
    String resource,
    String subresource,
    String namespace,
    String name,
    String uri,
    int code) {

  public enum Stage {
    ResponseStarted,
    ResponseComplete,
    Panic
  }

  static AuditEntry of(JsonNode event) {
    return new AuditEntry(
        event.path("auditID").asText(),
        Instant.parse(event.path("requestReceivedTimestamp").asText()),
        Instant.parse(event.path("stageTimestamp").asText()),
        Stage.valueOf(event.path("stage").asText()),
        event.at("/user/username").asText(),
        event.path("userAgent").asText(),
        event.path("verb").asText(),
        event.at("/objectRef/resource").asText(),
        event.at("/objectRef/subresource").asText(),
        event.at("/objectRef/namespace").asText(),
        event.at("/objectRef/name").asText(),
        event.path("requestURI").asText(),
        event.at("/responseStatus/code").asInt());
  }
}
