package nodeward.termination;

import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;
import nodeward.config.Config;
import nodeward.config.Config.Termination.Rebalance.Action;

/** What each kind of notice means for this node: whether, from when, by when. Pure. */
final class Policy {
  /** How long AWS gives a spot instance at most. */
  private static final Duration SPOT_NOTICE = Duration.ofMinutes(2);

  /** A notice that is found late still gets this long. */
  private static final Duration LEAST = Duration.ofSeconds(5);

  /** An action of a hook is to be completed this much before Auto Scaling ends it. */
  private static final Duration HOOK_MARGIN = Duration.ofSeconds(30);

  /** Load balancers get no more of the time left than one part in so many. */
  private static final int BALANCERS_PART = 3;

  /** Scheduled events that are over once the instance has booted again. */
  private static final Set<String> REBOOTS =
      Set.of(
          "system-reboot",
          "instance-reboot",
          "instance-stop",
          "instance-retirement",
          "system-maintenance");

  private final Config.Termination config;

  Policy(Config.Termination config) {
    this.config = config;
  }

  /** Whether the notice is to be acted upon now. */
  boolean due(Notice notice, Instant now) {
    return switch (notice.kind()) {
      case SPOT -> config.spot().enabled();
      case AUTO_SCALING -> config.autoScaling().enabled();
      case REBALANCE -> config.rebalance().action() != Action.OFF;
      case SHUTDOWN -> config.shutdown().enabled();
      case MANUAL, REPAIR -> true;
      case MAINTENANCE ->
          config.maintenance().enabled()
              && (!notice.said()
                  || atOnce(notice)
                  || !now.isBefore(notice.at().minus(config.maintenance().lead())));
    };
  }

  private boolean atOnce(Notice notice) {
    return config.maintenance().atOnce().contains(notice.detail())
        || notice.note().toLowerCase(Locale.ENGLISH).contains("degraded");
  }

  /** The deadline that the notice sets when it is seen now. */
  Instant deadline(Notice notice, Instant now) {
    Instant set =
        switch (notice.kind()) {
          // A clock that is slow must not make it more than AWS ever gives.
          case SPOT ->
              earlier(notice.said() ? notice.at() : Instant.MAX, now.plus(SPOT_NOTICE))
                  .minus(config.spot().reserve());
          case AUTO_SCALING -> now.plus(config.autoScaling().deadline());
          case MAINTENANCE ->
              notice.said() && notice.at().isAfter(now)
                  ? notice.at()
                  : now.plus(config.maintenance().lead());
          case REBALANCE ->
              config.rebalance().action() == Action.DRAIN
                  ? now.plus(config.rebalance().hold())
                  : Instant.MAX;
          case SHUTDOWN, MANUAL, REPAIR -> notice.at();
        };
    Instant least = now.plus(LEAST);
    return set.isBefore(least) ? least : set;
  }

  /** The deadline that a hook sets to a plan whose wait begins at this time or later. */
  Instant deadline(LifecycleHook.Hook hook, Instant from) {
    return from.plus(hook.globalTimeout()).minus(HOOK_MARGIN);
  }

  /** Whether the node is cordoned for the plan and left at that. */
  boolean holds(Plan plan) {
    return config.cordonOnly()
        || (plan.onlyOf(Notice.Kind.REBALANCE) && config.rebalance().action() == Action.CORDON);
  }

  /** Whether the plan needs a place among the nodes that may be held at a time. */
  boolean needsPlace(Plan plan) {
    return plan.onlyOf(Notice.Kind.REBALANCE);
  }

  Instant heldUntil(Plan plan, Instant now) {
    return plan.onlyOf(Notice.Kind.REBALANCE) ? now.plus(config.rebalance().hold()) : Instant.MAX;
  }

  /** When load balancers have had their time; a part of what is left at most. */
  Instant drainAt(Plan plan, Instant now) {
    if (plan.of(Notice.Kind.SPOT, "hibernate")) {
      return now;
    }
    Instant delayed = now.plus(config.loadBalancerDelay());
    Duration left =
        plan.deadline().equals(Instant.MAX)
            ? config.loadBalancerDelay().multipliedBy(BALANCERS_PART)
            : Duration.between(now, plan.deadline());
    Instant most = now.plus(left.isNegative() ? Duration.ZERO : left.dividedBy(BALANCERS_PART));
    return earlier(delayed, most);
  }

  /** Whether a boot after the plan began is what the notice was about. */
  boolean endedByReboot(Notice notice, Instant now) {
    return switch (notice.kind()) {
      case SHUTDOWN -> true;
      case MAINTENANCE -> REBOOTS.contains(notice.detail()) && !now.isBefore(notice.at());
      // Whoever asked for the repair looks at the node again and withdraws it.
      case SPOT, AUTO_SCALING, REBALANCE, MANUAL, REPAIR -> false;
    };
  }

  boolean uncordonsAfterReboot() {
    return config.maintenance().uncordonAfterReboot();
  }

  boolean dryRun() {
    return config.dryRun();
  }

  private static Instant earlier(Instant... instants) {
    return Stream.of(instants).min(Instant::compareTo).orElseThrow();
  }
}
