package nodeward.readiness;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.List;
import java.util.Optional;
import nodeward.node.NodeView;

/**
 * What annotation {@code nodeward.dev/gate} holds: for which Node object, instance and boot the
 * gate was opened, when, and which taint keys were its own then. {@code instanceID} is empty where
 * instance metadata had not told it yet, {@code bootID} where the agent has put its taints on the
 * Node and the gate was not opened since.
 */
@JsonIgnoreProperties(ignoreUnknown = true)
record Mark(
    String nodeUID,
    String providerID,
    String bootID,
    String instanceID,
    String since,
    List<String> keys) {
  static final String ANNOTATION = "nodeward.dev/gate";

  private static final JsonMapper JSON =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES).build();
  private static final ObjectReader READER =
      JSON.readerFor(Mark.class).with(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES);
  private static final ObjectWriter WRITER = JSON.writerFor(Mark.class);

  Mark {
    keys = List.copyOf(keys);
  }

  /** Reads the annotation's value; the JSON {@code null} is no mark. */
  static Optional<Mark> parse(String json) throws JsonProcessingException {
    return Optional.ofNullable(READER.readValue(json));
  }

  String json() {
    try {
      return WRITER.writeValueAsString(this);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Whether it speaks of this very Node object, instance and boot; one of no boot never does. */
  boolean isOf(NodeView node, Boot boot, String instance) {
    boolean sameInstance =
        instanceID.isEmpty() || instance.isEmpty() || instanceID.equals(instance);
    return !bootID.isEmpty()
        && nodeUID.equals(node.uid())
        && providerID.equals(node.providerId())
        && bootID.equals(boot.id())
        && sameInstance;
  }
}
