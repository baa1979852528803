package nodeward.conntrack;

import io.prometheus.client.Collector;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import io.prometheus.client.GaugeMetricFamily;
import io.prometheus.client.Histogram;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import nodeward.config.Config;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Stat;

/** What {@code /metrics} shows of the table. The watch's thread alone writes. */
final class ConntrackMetrics {
  // At most so many holders are a label at one time.
  private static final int HOLDERS = 5;
  // How long a closed TCP flow holds its slot (nf_conntrack_tcp_timeout_time_wait).
  private static final double TIME_WAIT_SECONDS = 120;

  private final Gauge entries;
  private final Gauge limit;
  private final Gauge growth;
  private final Gauge sustainable;
  private final Gauge secondsToFull;
  private final Gauge holders;
  private final Counter stats;
  private final Histogram walks;
  // node_exporter's names; written by the watch's thread, read by that of a scrape.
  private volatile Map<String, Double> foreign = Map.of();
  private final Map<Stat, Double> sums = new EnumMap<>(Stat.class);

  ConntrackMetrics(Config.Conntrack config, CollectorRegistry registry) {
    this.entries =
        Gauge.build("nodeward_conntrack_entries", "Flows in the connection tracking table.")
            .register(registry);
    this.limit =
        Gauge.build(
                "nodeward_conntrack_entries_limit", "Flows that the table can hold; 0 is no limit.")
            .register(registry);
    this.growth =
        Gauge.build("nodeward_conntrack_growth_per_second", "By how many flows the table grows.")
            .register(registry);
    this.sustainable =
        Gauge.build(
                "nodeward_conntrack_sustainable_per_second",
                "Short TCP connections a second that fill the table and no more.")
            .register(registry);
    this.secondsToFull =
        Gauge.build(
                "nodeward_conntrack_full_in_seconds",
                "When the table is full if it goes on so; +Inf when it does not fill.")
            .register(registry);
    this.holders =
        Gauge.build(
                "nodeward_conntrack_holder_flows",
                "Under pressure: the flows of those that hold most, five at most.")
            .labelNames("holder")
            .register(registry);
    this.stats =
        Counter.build("nodeward_conntrack_stat_total", "The kernel's counters of each CPU.")
            .labelNames("cpu", "stat")
            .register(registry);
    this.walks =
        Histogram.build("nodeward_conntrack_walk_seconds", "How long walks through the table took.")
            .buckets(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
            .register(registry);
    if (config.nodeExporterNames()) {
      new Foreign().register(registry);
    }
    showUnknown();
  }

  void show(Known sample, Map<Integer, Map<Stat, Long>> grown, PressureRule.State state) {
    entries.set((double) sample.entries());
    limit.set((double) sample.limit());
    growth.set(state.growth().orElse(Double.NaN));
    sustainable.set(
        sample.limit() == 0 ? Double.POSITIVE_INFINITY : sample.limit() / TIME_WAIT_SECONDS);
    secondsToFull.set(state.secondsToFull().orElse(Double.POSITIVE_INFINITY));
    grown.forEach(
        (cpu, own) ->
            own.forEach(
                (stat, by) -> {
                  stats.labels(Integer.toString(cpu), name(stat)).inc((double) by);
                  sums.merge(stat, (double) by, Double::sum);
                }));
    var shown = new TreeMap<String, Double>();
    shown.put("node_nf_conntrack_entries", (double) sample.entries());
    shown.put("node_nf_conntrack_entries_limit", (double) sample.limit());
    sums.forEach((stat, sum) -> shown.put("node_nf_conntrack_stat_" + name(stat), sum));
    foreign = Map.copyOf(shown);
  }

  /** What is not known is not a number: 0 would look like a healthy table. */
  void showUnknown() {
    List.of(entries, limit, growth, sustainable, secondsToFull).forEach(g -> g.set(Double.NaN));
    foreign = Map.of();
  }

  void walked(double seconds) {
    walks.observe(seconds);
  }

  void show(Holders now) {
    holders.clear();
    now.by(Holders.By.POD).stream()
        .limit(HOLDERS)
        .forEach(holder -> holders.labels(holder.name()).set((double) holder.flows()));
  }

  void showNoHolders() {
    holders.clear();
  }

  private static String name(Stat stat) {
    return stat.name().toLowerCase(Locale.ROOT);
  }

  /** The names and types that node_exporter's collector has, for dashboards that know them. */
  private final class Foreign extends Collector {
    @Override
    public List<MetricFamilySamples> collect() {
      var families = new ArrayList<MetricFamilySamples>();
      foreign.forEach(
          (name, value) ->
              families.add(new GaugeMetricFamily(name, "As node_exporter shows it.", value)));
      return families;
    }
  }
}
