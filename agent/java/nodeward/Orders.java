package nodeward;

import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.LinkedHashMap;
import java.util.Map;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.ConfigReader;
import nodeward.http.ControlServer.Order;
import nodeward.linux.ShutdownLock.Shutdowns;
import nodeward.termination.Notice;
import nodeward.termination.Notice.Kind;
import nodeward.termination.State;
import nodeward.termination.TerminationWatch;

/** The orders that the control socket takes for the termination. */
final class Orders {
  private static final Duration SPOT_NOTICE = Duration.ofMinutes(2);

  private final Config.Termination config;
  private final TerminationWatch termination;
  private final Time time;

  Orders(Config.Termination config, TerminationWatch termination, Time time) {
    this.config = config;
    this.termination = termination;
    this.time = time;
  }

  Map<String, Order> all() {
    var all = new LinkedHashMap<String, Order>();
    all.put("/shutdown", this::shutdown);
    all.put("/simulate", this::simulate);
    return all;
  }

  /** What logind's word of a shutdown leads to. */
  static Shutdowns shutdowns(TerminationWatch termination, Time time) {
    return new Shutdowns() {
      @Override
      public void begins(Duration budget) {
        termination.request(Kind.SHUTDOWN, time.now().plus(budget));
      }

      @Override
      public boolean handled() {
        return switch (termination.state()) {
          case State.Detaching _, State.Completed _ -> true;
          case State.InService _,
              State.Noticed _,
              State.Cordoned _,
              State.Held _,
              State.Draining _,
              State.Returned _ ->
              false;
        };
      }

      @Override
      public void cancelled() {
        termination.withdraw(Kind.SHUTDOWN);
      }
    };
  }

  /** {@code deadline}: when the node must be drained. */
  private String shutdown(Map<String, String> parameters) {
    if (!config.shutdown().enabled()) {
      throw new IllegalStateException("termination.shutdown.enabled is false");
    }
    Instant deadline =
        instant(parameters, "deadline", time.now().plus(config.shutdown().deadline()));
    termination.request(Kind.SHUTDOWN, deadline);
    return "the node is drained by " + deadline;
  }

  /** {@code kind}, or {@code off} to end it; {@code detail}; {@code in}: the time until it. */
  private String simulate(Map<String, String> parameters) {
    if (!config.allowSimulation()) {
      throw new IllegalStateException(
          "termination.allowSimulation is false: notices are simulated on test nodes only");
    }
    String kind = parameters.getOrDefault("kind", "");
    String detail = parameters.getOrDefault("detail", "");
    Duration in =
        parameters.containsKey("in")
            ? ConfigReader.duration(parameters.getOrDefault("in", ""))
            : SPOT_NOTICE;
    Instant at = time.now().plus(in);
    switch (kind) {
      case "off" -> termination.endSimulation();
      case "spot" -> simulate(Kind.SPOT, detail.isEmpty() ? "terminate" : detail, at);
      case "asg" ->
          simulate(Kind.AUTO_SCALING, detail.isEmpty() ? "Terminated" : detail, Instant.MAX);
      case "rebalance" -> simulate(Kind.REBALANCE, "recommended", Instant.MAX);
      case "maintenance" ->
          simulate(Kind.MAINTENANCE, detail.isEmpty() ? "system-reboot" : detail, at);
      default ->
          throw new IllegalArgumentException(
              "kind \"" + kind + "\" is none of spot, asg, rebalance, maintenance, off");
    }
    return kind.equals("off") ? "the simulation ends" : "simulated: " + kind;
  }

  private void simulate(Kind kind, String detail, Instant at) {
    String id = "%s:simulated:%s".formatted(kind.text(), time.now());
    termination.simulate(new Notice(kind, id, detail, at, "simulated"));
  }

  private static Instant instant(Map<String, String> parameters, String key, Instant without) {
    try {
      return parameters.containsKey(key)
          ? Instant.parse(parameters.getOrDefault(key, ""))
          : without;
    } catch (DateTimeParseException e) {
      throw new IllegalArgumentException(key + " is not a time like 2026-11-21T08:00:00Z", e);
    }
  }
}
