package nodeward.conntrack;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Objects;
import java.util.SequencedMap;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Reading;
import nodeward.conntrack.ConntrackTable.Unknown;
import nodeward.node.Conditions;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Samples the connection tracking table, shows it as metrics and states the condition {@code
 * ConntrackPressure}. One thread of its own reads the table; a read that fails makes the condition
 * Unknown and is tried again.
 */
public final class ConntrackWatch implements Component {
  static final String CONDITION = "ConntrackPressure";

  private static final Logger log = LoggerFactory.getLogger(ConntrackWatch.class);

  private final Config.Conntrack config;
  private final ConntrackTable table;
  private final Conditions conditions;
  private final PressureRule rule;
  private final CpuCounters counters = new CpuCounters();
  private final Gauge entries;
  private final Gauge limit;
  private final Counter stats;
  private final Loop loop;

  // Touched by the loop's thread alone.
  private Pressure known = Pressure.OK;
  private long toldLimit = -1;
  private String toldSource = "";
  // Written by the loop's thread, read by status().
  private volatile Seen seen = new Seen(new Unknown("not read yet"), Pressure.UNKNOWN);

  private record Seen(Reading reading, Pressure pressure) {}

  public ConntrackWatch(
      Config.Conntrack config,
      ConntrackTable table,
      Conditions conditions,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.table = table;
    this.conditions = conditions;
    this.rule = new PressureRule(config);
    this.entries =
        Gauge.build("nodeward_conntrack_entries", "Flows in the connection tracking table.")
            .register(registry);
    this.limit =
        Gauge.build(
                "nodeward_conntrack_entries_limit", "Flows that the table can hold; 0 is no limit.")
            .register(registry);
    this.stats =
        Counter.build(
                "nodeward_conntrack_stat_total", "The kernel's per-CPU counters, summed over CPUs.")
            .labelNames("stat")
            .register(registry);
    showUnknown();
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
    entries.set((double) sample.entries());
    limit.set((double) sample.limit());
    counters
        .grow(sample.cpus())
        .forEach((stat, by) -> stats.labels(stat.name().toLowerCase(Locale.ROOT)).inc(by));
    if (!sample.source().equals(toldSource)) {
      toldSource = sample.source();
      log.info("conntrack: reading the table source=\"{}\"", toldSource);
    }

    Pressure next = rule.next(known, sample);
    // The numbers are those of the change: new ones with each sample would be a write each.
    if (next != seen.pressure() || sample.limit() != toldLimit) {
      state(next, message(next, sample));
      toldLimit = sample.limit();
    }
    known = next;
    seen = new Seen(sample, next);
  }

  private void take(Unknown unknown) {
    showUnknown();
    if (!seen.reading().equals(unknown)) {
      state(Pressure.UNKNOWN, unknown.why());
    }
    seen = new Seen(unknown, Pressure.UNKNOWN);
  }

  private void state(Pressure pressure, String message) {
    conditions.set(CONDITION, pressure.status(), pressure.reason(), message);
  }

  private String message(Pressure pressure, Known table) {
    if (table.limit() == 0) {
      return "the connection tracking table has no limit";
    }
    String filling =
        String.format(
            Locale.ROOT,
            "%d of %d entries (%.1f %%)",
            table.entries(),
            table.limit(),
            100 * table.share());
    return switch (pressure) {
      case OK, UNKNOWN ->
          "the connection tracking table has room, limit %d".formatted(table.limit());
      case NEAR_FULL -> "the connection tracking table is nearly full: " + filling;
      case CRITICAL ->
          "the connection tracking table is all but full and the kernel drops flows: " + filling;
    };
  }

  /** What is not known is not a number: 0 would look like a healthy table. */
  private void showUnknown() {
    entries.set(Double.NaN);
    limit.set(Double.NaN);
  }
}
