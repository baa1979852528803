package nodeward.component;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/** A part of the agent that runs between {@link #start} and {@link #close}. */
public interface Component extends AutoCloseable {
  /** The name in logs, metrics and the status: lower case, one word. */
  String name();

  /** Returns when the part is serving; throws if it cannot. */
  void start() throws IOException;

  /** Cheap; never blocks. */
  Health health();

  /**
   * What {@code agent status} and the status page show of it, in order: texts, numbers, booleans,
   * and lists and maps of them. Cheap; never blocks; holds no secret.
   */
  default SequencedMap<String, Object> status() {
    return new LinkedHashMap<>();
  }

  /** Idempotent and bounded; never throws. */
  @Override
  void close();
}
