package nodeward.node;

/** The Node's conditions that this agent tells, gathered and written by one part of it. */
public interface Conditions {
  /**
   * States a condition from now on; returns at once. A condition that nobody has stated yet is not
   * written. The message should change only when the reader learns something: each change is a
   * write to the API server.
   */
  void set(String type, Condition.Status status, String reason, String message);

  /**
   * As {@link #set}, for a condition whose changes the feature tells by Events and log lines of its
   * own: it is written and nothing more.
   */
  void note(String type, Condition.Status status, String reason, String message);
}
