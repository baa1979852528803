package nodeward.conntrack;

import nodeward.node.Condition;

/** How the table is, as the condition {@code ConntrackPressure} tells it. */
enum Pressure {
  OK("ConntrackOk", Condition.Status.FALSE),
  INSERT_FAILING("ConntrackInsertFailing", Condition.Status.TRUE),
  NEAR_FULL("ConntrackNearFull", Condition.Status.TRUE),
  CRITICAL("ConntrackCritical", Condition.Status.TRUE),
  DROPPING("ConntrackDropping", Condition.Status.TRUE),
  UNKNOWN("ConntrackUnknown", Condition.Status.UNKNOWN);

  private final String reason;
  private final Condition.Status status;

  Pressure(String reason, Condition.Status status) {
    this.reason = reason;
    this.status = status;
  }

  String reason() {
    return reason;
  }

  Condition.Status status() {
    return status;
  }

  boolean isBad() {
    return status == Condition.Status.TRUE;
  }
}
