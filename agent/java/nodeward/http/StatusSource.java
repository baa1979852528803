package nodeward.http;

import java.util.List;
import java.util.SequencedMap;

/** What the servers show of the whole agent; cheap, never blocks, holds no secret. */
public interface StatusSource {
  /** The whole status, as {@code agent status -o json} prints it. */
  SequencedMap<String, Object> status();

  /** Which role the pod gets or why it gets none, step by step. */
  SequencedMap<String, Object> explain(String namespace, String pod);

  /** What keeps the agent from being ready, a line each; empty when it is. */
  List<String> troubles();

  /** Whether every part of the agent still answers. */
  boolean alive();
}
