package nodeward.node;

/** What became of a guarded write to the Node. */
public sealed interface Changed {
  /** Written, or nothing was to be written. */
  record Done(NodeView node) implements Changed {}

  /** Somebody else wrote first, or the API server refused the guard: read again and decide anew. */
  record Stale(String why) implements Changed {}

  /** There is no such Node. */
  record Absent() implements Changed {}
}
