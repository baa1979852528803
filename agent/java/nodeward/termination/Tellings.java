package nodeward.termination;

import java.util.List;
import java.util.stream.Collectors;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.node.NodeEvents;
import nodeward.termination.Effect.Tell;
import nodeward.termination.Plan.Cordoner;

/**
 * What is told by Events. Reasons and messages are those that people's alerts on
 * aws-node-termination-handler know, where it has the same to tell.
 */
final class Tellings {
  /** Pods that an Event names; its message is limited. */
  private static final int NAMED = 5;

  static final Tell CORDONED =
      new Tell(NodeEvents.Type.NORMAL, "Cordon", "Node successfully cordoned");

  static final Tell TOO_LATE =
      new Tell(
          NodeEvents.Type.WARNING,
          "CordonError",
          "There was a problem while trying to cordon the node: the deadline came first");

  static final Tell NOT_HELD =
      new Tell(
          NodeEvents.Type.NORMAL,
          "RebalanceRecommendation",
          "Not followed: as many nodes are held already as termination.rebalance.maxShare allows");

  private Tellings() {}

  static Tell noticed(Notice notice) {
    String reason =
        switch (notice.kind()) {
          case SPOT -> "SpotInterruption";
          case AUTO_SCALING -> "ASGLifecycle";
          case MAINTENANCE -> "ScheduledEvent";
          case REBALANCE -> "RebalanceRecommendation";
          case MANUAL -> "DrainRequested";
          case REPAIR -> "RuntimeRemediation";
          case SHUTDOWN -> "NodeShutdown";
        };
    String note = notice.note().isEmpty() ? "" : " (" + notice.note() + ")";
    return new Tell(NodeEvents.Type.NORMAL, reason, "The node goes away: " + notice + note);
  }

  static Tell drained(DrainReport report) {
    return switch (report.end()) {
      case DRAINED ->
          new Tell(
              NodeEvents.Type.NORMAL, "CordonAndDrain", "Node successfully cordoned and drained");
      case GIVEN_UP, DEADLINE -> drainError(named(report.left()));
      case BLIND ->
          drainError("its pods could not be seen before the deadline; " + named(report.left()));
    };
  }

  private static Tell drainError(String why) {
    return new Tell(
        NodeEvents.Type.WARNING,
        "CordonAndDrainError",
        "There was a problem while trying to cordon and drain the node: " + why);
  }

  private static String named(List<Left> left) {
    String first = left.stream().limit(NAMED).map(Left::toString).collect(Collectors.joining("; "));
    String more = left.size() > NAMED ? "; and " + (left.size() - NAMED) + " more" : "";
    return "pods left: " + left.size() + (left.isEmpty() ? "" : " (" + first + more + ")");
  }

  static Tell hook(String how) {
    return new Tell(NodeEvents.Type.NORMAL, "ASGLifecycle", "Lifecycle hook: " + how);
  }

  static Tell returned(Plan plan) {
    return plan.cordoner() == Cordoner.OTHERS
        ? new Tell(
            NodeEvents.Type.NORMAL,
            "CancelDrain",
            "No notice stands any more; the node stays cordoned, as others had left it")
        : new Tell(NodeEvents.Type.NORMAL, "Uncordon", "Node successfully uncordoned");
  }
}
