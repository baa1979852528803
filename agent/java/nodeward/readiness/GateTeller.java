package nodeward.readiness;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import io.prometheus.client.Histogram;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.node.Condition.Status;
import nodeward.node.NodeEvents;
import nodeward.readiness.Gate.Cause;
import nodeward.readiness.Gate.State;
import nodeward.readiness.Requirement.Finding;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells everybody how the gate stands: the log, Events, the Node's condition, metrics and the
 * launch hook. The one place for each transition. For the keeper's thread alone.
 */
final class GateTeller {
  static final String CONDITION = "ReadinessGateClosed";

  private static final Logger log = LoggerFactory.getLogger(GateTeller.class);

  private final Config.Gate config;
  private final GateKeeper.Ports ports;
  private final Optional<LaunchWatch> launch;
  private final Time time;
  private final Gauge open;
  private final Gauge missing;
  private final Gauge readyAfter;
  private final Gauge givenUp;
  private final Histogram openAfter;
  private final Counter writes;
  private final Counter taintMissing;
  private final Map<String, Duration> took = new HashMap<>();
  private String malformed = "";
  private boolean saidFull;
  private boolean saidGivenUp;
  private OptionalLong closedSince = OptionalLong.empty();

  GateTeller(
      Config.Gate config,
      GateKeeper.Ports ports,
      Optional<LaunchWatch> launch,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.time = time;
    this.ports = ports;
    this.launch = launch;
    this.open = Gauge.build("nodeward_gate_open", "1 while the gate is open.").register(registry);
    this.missing =
        Gauge.build("nodeward_gate_missing", "1 while this DaemonSet keeps the gate closed.")
            .labelNames("daemonset")
            .register(registry);
    this.readyAfter =
        Gauge.build(
                "nodeward_gate_daemonset_ready_seconds",
                "Seconds from boot until this DaemonSet was found Ready.")
            .labelNames("daemonset")
            .register(registry);
    this.givenUp =
        Gauge.build(
                "nodeward_gate_given_up", "1 while a gate is closed for longer than giveUpAfter.")
            .register(registry);
    this.openAfter =
        Histogram.build("nodeward_gate_open_seconds", "Seconds from boot until the gate opened.")
            .buckets(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200)
            .register(registry);
    this.writes =
        Counter.build("nodeward_gate_writes_total", "Patches of the Node, by what came of them.")
            .labelNames("outcome")
            .register(registry);
    this.taintMissing =
        Counter.build(
                "nodeward_gate_taint_missing_at_start_total",
                "Boots whose Node did not have the whole gate taint, which the agent then added.")
            .register(registry);
    GateKeeper.names(config).forEach(name -> missing.labels(name).set(1));
    List.of("done", "stale").forEach(writes::labels);
  }

  void stale() {
    writes.labels("stale").inc();
  }

  void wrote(Cause cause) {
    writes.labels("done").inc();
    switch (cause) {
      case TAINT_MISSING -> {
        taintMissing.inc();
        log.warn(
            "gate: node={} had not the whole gate taint, added it; does the kubelet register with"
                + " it?",
            ports.nodes().nodeName());
      }
      case OPENED, ADOPTED, TAINT_TAKEN, TAINT_RETURNED, CLOSED_AGAIN, NONE -> {}
    }
  }

  void malformed(Optional<String> annotation) {
    String value = annotation.orElse("");
    if (!value.equals(malformed)) {
      malformed = value;
      if (!value.isEmpty()) {
        log.warn("gate: annotation {} is not readable and counts as absent", Mark.ANNOTATION);
      }
    }
  }

  /** The node should close again, but too many others are closed already. */
  void full(double share) {
    if (!saidFull) {
      saidFull = true;
      log.warn("gate: stays open, share={} of the nodes is closed already", share);
      ports
          .events()
          .tell(
              NodeEvents.Type.WARNING,
              "NodeGateStaysOpen",
              "System pods are missing, but so many nodes are closed already that this one stays"
                  + " open");
    }
  }

  void entered(
      State before, State next, Cause cause, SequencedMap<String, Finding> findings, Duration up) {
    note(findings, up);
    giveUp(next);
    if (next.equals(before)) {
      return;
    }
    boolean isOpen = next instanceof State.Open;
    open.set(isOpen ? 1 : 0);
    SequencedMap<String, String> away = away(next);
    for (String name : GateKeeper.names(config)) {
      missing.labels(name).set(away.containsKey(name) ? 1 : 0);
    }
    log(before, next, up);
    tell(before, next, cause, up);
  }

  private void log(State before, State next, Duration up) {
    String node = ports.nodes().nodeName();
    switch (next) {
      case State.Unknown _ -> {}
      case State.Unregistered _ -> log.info("gate: node={} is not registered", node);
      case State.Closed(var why) ->
          log.info("gate: closed node={} missing=\"{}\"", node, Gate.words(why));
      case State.Settling(var why) ->
          log.info("gate: settling node={} waiting=\"{}\"", node, Gate.words(why));
      case State.Adopting(var why) ->
          log.info("gate: adopting node={} missing=\"{}\"", node, Gate.words(why));
      case State.Open(_, var why) when before instanceof State.Open ->
          log.info("gate: stays open node={} missing=\"{}\"", node, Gate.words(why));
      case State.Open(var since, _) ->
          log.info("gate: open node={} since={} uptime={}s", node, since, up.toSeconds());
    }
  }

  private void tell(State before, State next, Cause cause, Duration up) {
    switch (next) {
      case State.Unknown _, State.Unregistered _ -> {}
      case State.Closed(var why) -> {
        condition(Status.TRUE, "SystemPodsMissing", "waiting for " + Gate.words(why));
        if (!(before instanceof State.Closed) && !(before instanceof State.Settling)) {
          launch.ifPresent(LaunchWatch::closed);
          ports
              .events()
              .tell(
                  before instanceof State.Open ? NodeEvents.Type.WARNING : NodeEvents.Type.NORMAL,
                  "NodeGateClosed",
                  "Workloads are kept away until these are Ready: " + Gate.words(why));
        }
      }
      case State.Settling(var why) -> {
        condition(Status.TRUE, "SystemPodsSettling", "waiting for " + Gate.words(why));
        if (!(before instanceof State.Closed)) {
          launch.ifPresent(LaunchWatch::closed);
        }
      }
      case State.Adopting(var why) ->
          condition(Status.FALSE, "NodeAdopted", "never tainted; missing are " + Gate.words(why));
      case State.Open(var since, var why) -> {
        condition(
            Status.FALSE,
            why.isEmpty() ? "SystemPodsReady" : "SystemPodsMissing",
            why.isEmpty()
                ? "system pods were Ready in this boot"
                : "missing now: " + Gate.words(why));
        if (!(before instanceof State.Open)) {
          opened(cause, since, up);
        }
      }
    }
  }

  private void opened(Cause cause, Instant since, Duration up) {
    saidFull = false;
    if (cause != Cause.OPENED) {
      // Adopted, or left open by an earlier run of the agent: neither is news.
      launch.ifPresent(watch -> watch.restored(since));
      return;
    }
    launch.ifPresent(LaunchWatch::opened);
    openAfter.observe(up.toMillis() / 1000.0);
    var times = new ArrayList<String>();
    for (String name : GateKeeper.names(config)) {
      Duration after = took.get(name);
      times.add(name + (after == null ? " skipped" : " %d s".formatted(after.toSeconds())));
    }
    ports
        .events()
        .tell(
            NodeEvents.Type.NORMAL,
            "NodeGateOpened",
            "Workloads may come, %d s after boot: %s"
                .formatted(up.toSeconds(), String.join(", ", times)));
  }

  private void note(SequencedMap<String, Finding> findings, Duration up) {
    findings.forEach(
        (name, finding) -> {
          switch (finding) {
            case Finding.Fine _ -> {
              if (took.putIfAbsent(name, up) == null) {
                readyAfter.labels(name).set(up.toMillis() / 1000.0);
              }
            }
            case Finding.Held _, Finding.Settling _, Finding.Skipped _ -> {}
          }
        });
  }

  /**
   * Counted from when this run of the agent first saw the gate closed, by the clock that never
   * jumps.
   */
  private void giveUp(State next) {
    boolean closed = next instanceof State.Closed || next instanceof State.Settling;
    if (!closed) {
      closedSince = OptionalLong.empty();
    } else if (closedSince.isEmpty()) {
      closedSince = OptionalLong.of(time.nanos());
    }
    boolean late =
        closed && time.nanos() - closedSince.getAsLong() > config.giveUpAfter().toNanos();
    givenUp.set(late ? 1 : 0);
    if (late && !saidGivenUp) {
      saidGivenUp = true;
      String why = Gate.words(away(next));
      log.warn("gate: still closed after limit={} missing=\"{}\"", config.giveUpAfter(), why);
      ports
          .events()
          .tell(
              NodeEvents.Type.WARNING,
              "NodeGateGivenUp",
              "Still closed after %d s, waiting for %s"
                  .formatted(config.giveUpAfter().toSeconds(), why));
      launch.ifPresent(
          config.launchHook().abandon() ? LaunchWatch::abandoned : LaunchWatch::givenUp);
    }
  }

  private void condition(Status status, String reason, String message) {
    ports.conditions().note(CONDITION, status, reason, message);
  }

  private SequencedMap<String, String> away(State state) {
    return switch (state) {
      case State.Closed(var why) -> why;
      case State.Settling(var why) -> why;
      case State.Adopting(var why) -> why;
      case State.Open(_, var why) -> why;
      case State.Unknown _ -> all("nothing is known yet");
      case State.Unregistered _ -> all("the node is not registered");
    };
  }

  private SequencedMap<String, String> all(String why) {
    var every = new LinkedHashMap<String, String>();
    GateKeeper.names(config).forEach(name -> every.put(name, why));
    return every;
  }

  static SequencedMap<String, Object> status(State state, SequencedMap<String, Finding> findings) {
    var status = new LinkedHashMap<String, Object>();
    switch (state) {
      case State.Unknown _ -> status.put("state", "unknown");
      case State.Unregistered _ -> status.put("state", "unregistered");
      case State.Closed(var why) -> {
        status.put("state", "closed");
        status.put("missing", why);
      }
      case State.Settling(var why) -> {
        status.put("state", "settling");
        status.put("waiting", why);
      }
      case State.Adopting(var why) -> {
        status.put("state", "adopting");
        status.put("missing", why);
      }
      case State.Open(var since, var why) -> {
        status.put("state", "open");
        status.put("since", since.toString());
        if (!why.isEmpty()) {
          status.put("missing", why);
        }
      }
    }
    var skipped = new LinkedHashMap<String, String>();
    findings.forEach(
        (name, finding) -> {
          if (finding instanceof Finding.Skipped(String why)) {
            skipped.put(name, why);
          }
        });
    if (!skipped.isEmpty()) {
      status.put("skipped", skipped);
    }
    return status;
  }
}
