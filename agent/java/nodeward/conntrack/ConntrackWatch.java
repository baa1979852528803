package nodeward.conntrack;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.SequencedMap;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Reading;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.conntrack.ConntrackTable.Unknown;
import nodeward.conntrack.PressureRule.Sample;
import nodeward.conntrack.PressureRule.State;
import nodeward.node.Conditions;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Samples the connection tracking table, shows it as metrics and states the condition {@code
 * ConntrackPressure}; under pressure it walks through the table too and names who fills it. One
 * thread of its own reads; a read that fails makes the condition Unknown and is tried again.
 */
public final class ConntrackWatch implements Component {
  static final String CONDITION = "ConntrackPressure";

  private static final Logger log = LoggerFactory.getLogger(ConntrackWatch.class);
  // At boot the limit is the kernel's own until kube-proxy has raised it.
  private static final Duration BOOT = Duration.ofSeconds(60);
  // That somebody else fills the table now is told no more often than this: each is a write.
  private static final Duration RETELL = Duration.ofMinutes(5);
  private static final double FORECAST_SECONDS = 3600;

  private final Config.Conntrack config;
  private final ConntrackTable table;
  private final FlowCount flows;
  private final Conditions conditions;
  private final PressureRule rule;
  private final CpuCounters counters = new CpuCounters();
  private final ConntrackMetrics metrics;
  private final Time time;
  private final long settled;
  private final Loop loop;

  // Touched by the loop's thread alone.
  private State state = State.NEW;
  private Told told = new Told(Pressure.UNKNOWN, -1, "", 0);
  private long nextWalk;
  private String walkFailure = "";
  private String toldSource = "";
  // Written by the loop's thread, read by status().
  private volatile Seen seen =
      new Seen(new Unknown("not read yet"), State.NEW, Pressure.UNKNOWN, Optional.empty());

  private record Seen(Reading reading, State state, Pressure pressure, Optional<Holders> holders) {}

  /** What the condition says, and when it was told so. */
  private record Told(Pressure pressure, long limit, String most, long nanos) {}

  /**
   * @param uptime of the machine, now
   */
  public ConntrackWatch(
      Config.Conntrack config,
      ConntrackTable table,
      FlowCount flows,
      Duration uptime,
      Conditions conditions,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.table = table;
    this.flows = flows;
    this.conditions = conditions;
    this.rule = new PressureRule(config);
    this.metrics = new ConntrackMetrics(config, registry);
    this.time = time;
    this.settled = time.nanos() + BOOT.minus(uptime).toNanos();
    this.nextWalk = time.nanos();
    this.loop =
        new Loop(
            name(),
            this::sample,
            new Backoff(Duration.ofSeconds(1), config.interval().plusSeconds(1)),
            time);
  }

  @Override
  public String name() {
    return "conntrack";
  }

  @Override
  public void start() {
    loop.start();
  }

  @Override
  public Health health() {
    return loop.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    Seen now = seen;
    var shown = new LinkedHashMap<String, Object>();
    shown.put("pressure", now.pressure().reason());
    switch (now.reading()) {
      case Known known -> {
        shown.put("entries", known.entries());
        shown.put("limit", known.limit());
        shown.put("source", known.source());
        forecast(now.state()).ifPresent(text -> shown.put("forecast", text));
        if (now.state().dropRate() > 0) {
          shown.put("drops", perSecond(now.state().dropRate()));
        }
        if (now.state().failureRate() > 0) {
          shown.put("insertFailures", perSecond(now.state().failureRate()));
        }
        now.holders().ifPresent(holders -> shown.put("holders", holders.named()));
      }
      case Unknown unknown -> shown.put("why", unknown.why());
    }
    return shown;
  }

  @Override
  public void close() {
    loop.close();
  }

  /** One sample; the loop's pass. */
  Duration sample(Instant now) throws IOException {
    Reading reading;
    try {
      reading = table.read();
    } catch (IOException e) {
      take(new Unknown(Objects.requireNonNullElseGet(e.getMessage(), e::toString)));
      throw e;
    }
    take(reading);
    return config.interval();
  }

  private void take(Reading reading) {
    switch (reading) {
      case Known table -> take(table);
      case Unknown unknown -> take(unknown);
    }
  }

  private void take(Known sample) {
    if (!sample.source().equals(toldSource)) {
      toldSource = sample.source();
      log.info("conntrack: reading the table source=\"{}\"", toldSource);
    }
    Map<Integer, Map<Stat, Long>> grown = counters.grow(sample.cpus());
    long dropped = CpuCounters.sum(grown, Stat.DROP) + CpuCounters.sum(grown, Stat.EARLY_DROP);
    long failed = CpuCounters.sum(grown, Stat.INSERT_FAILED);
    long nanos = time.nanos();
    state = rule.next(state, new Sample(nanos, sample.entries(), sample.limit(), dropped, failed));
    metrics.show(sample, grown, state);
    Pressure pressure = state.pressure();
    Optional<Holders> holders = pressure.isBad() ? walk(nanos) : Optional.empty();
    if (!pressure.isBad()) {
      metrics.showNoHolders();
    }
    seen = new Seen(sample, state, pressure, holders);
    if (pressure.isBad() && nanos - settled < 0) {
      log.debug("conntrack: held back so soon after boot pressure={}", pressure.reason());
      return;
    }

    String most = holders.map(Holders::mostName).orElse("");
    // The numbers are those of the change: new ones with each sample would be a write each.
    boolean changed = pressure != told.pressure || sample.limit() != told.limit;
    boolean somebodyElse =
        !most.equals(told.most) && nanos - told.nanos >= RETELL.toNanos() && pressure.isBad();
    if (changed || somebodyElse) {
      conditions.set(
          CONDITION, pressure.status(), pressure.reason(), message(pressure, sample, holders));
      told = new Told(pressure, sample.limit(), most, nanos);
    }
  }

  private void take(Unknown unknown) {
    metrics.showUnknown();
    metrics.showNoHolders();
    if (!seen.reading().equals(unknown)) {
      conditions.set(
          CONDITION, Pressure.UNKNOWN.status(), Pressure.UNKNOWN.reason(), unknown.why());
      told = new Told(Pressure.UNKNOWN, -1, "", time.nanos());
    }
    seen = new Seen(unknown, state, Pressure.UNKNOWN, Optional.empty());
  }

  /** Who fills the table, by a walk now or, when it is too soon for one, by the last. */
  private Optional<Holders> walk(long nanos) {
    if (nanos - nextWalk < 0) {
      return seen.holders();
    }
    nextWalk = nanos + config.holdersInterval().toNanos();
    try {
      Holders holders = flows.now();
      metrics.walked(flows.lastSeconds());
      metrics.show(holders);
      walkFailure = "";
      return Optional.of(holders);
    } catch (IOException e) {
      String why = Objects.requireNonNullElseGet(e.getMessage(), e::toString);
      if (!why.equals(walkFailure)) {
        walkFailure = why;
        log.warn("conntrack: cannot tell who fills the table why=\"{}\"", why);
      }
      metrics.showNoHolders();
      return Optional.empty();
    }
  }

  private String message(Pressure pressure, Known table, Optional<Holders> holders) {
    String filling =
        table.limit() == 0
            ? table.entries() + " entries and no limit"
            : String.format(
                Locale.ROOT,
                "%d of %d entries (%.1f %%)",
                table.entries(),
                table.limit(),
                100 * table.share());
    String told =
        switch (pressure) {
          case OK, UNKNOWN ->
              table.limit() == 0
                  ? "the connection tracking table has no limit"
                  : "the connection tracking table has room, limit " + table.limit();
          case NEAR_FULL -> "the connection tracking table is nearly full: " + filling;
          case CRITICAL ->
              "the connection tracking table is all but full and the kernel drops flows: "
                  + filling;
          case DROPPING ->
              "the kernel drops flows, %s: the connection tracking table has %s"
                  .formatted(perSecond(state.dropRate()), filling);
          case INSERT_FAILING ->
              "new flows get lost, %s: the connection tracking table has %s"
                  .formatted(perSecond(state.failureRate()), filling);
        };
    String when =
        pressure == Pressure.NEAR_FULL ? forecast(state).map(text -> ", " + text).orElse("") : "";
    String who = holders.map(Holders::named).filter(named -> !named.isEmpty()).orElse("");
    return told + when + (who.isEmpty() ? "" : "; held by " + who);
  }

  /** When the table is full if it goes on so, while that is within the hour. */
  private static Optional<String> forecast(State state) {
    OptionalDouble seconds = state.secondsToFull();
    if (seconds.isEmpty() || seconds.getAsDouble() > FORECAST_SECONDS) {
      return Optional.empty();
    }
    long minutes = Math.max(1, Math.round(seconds.getAsDouble() / 60));
    return Optional.of("full in about %d min".formatted(minutes));
  }

  private static String perSecond(double rate) {
    return String.format(Locale.ROOT, "%.1f a second", rate);
  }
}
