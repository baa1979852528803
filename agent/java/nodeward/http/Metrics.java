package nodeward.http;

import io.prometheus.client.Collector;
import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.GaugeMetricFamily;
import io.prometheus.client.exporter.common.TextFormat;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import nodeward.component.Component;

/** The registry of all metrics, with those of the process itself, in the Prometheus text format. */
public final class Metrics {
  static final String CONTENT_TYPE = TextFormat.CONTENT_TYPE_004;

  private final CollectorRegistry registry = new CollectorRegistry();

  public Metrics(String version, Instant started) {
    new Collector() {
      @Override
      public List<MetricFamilySamples> collect() {
        return process(version, started);
      }
    }.register(registry);
  }

  public CollectorRegistry registry() {
    return registry;
  }

  /** Adds one gauge for the health of each of these. */
  public void watch(List<Component> components) {
    var watched = List.copyOf(components);
    new Collector() {
      @Override
      public List<MetricFamilySamples> collect() {
        var family =
            new GaugeMetricFamily(
                "nodeward_component_healthy",
                "1 while this part of the agent is healthy.",
                List.of("component"));
        for (Component component : watched) {
          family.addMetric(List.of(component.name()), component.health().isHealthy() ? 1 : 0);
        }
        return List.of(family);
      }
    }.register(registry);
  }

  byte[] text() throws IOException {
    var bytes = new java.io.ByteArrayOutputStream(8192);
    try (var writer = new OutputStreamWriter(bytes, StandardCharsets.UTF_8)) {
      // simpleclient adds the birth of each counter as a gauge of its own: twice the series for
      // nothing.
      TextFormat.write004(
          writer, registry.filteredMetricFamilySamples(name -> !name.endsWith("_created")));
    }
    return bytes.toByteArray();
  }

  /** The process's own figures, cheap ones only: no JMX but the thread count. */
  private static List<Collector.MetricFamilySamples> process(String version, Instant started) {
    var families = new ArrayList<Collector.MetricFamilySamples>();
    var build = new GaugeMetricFamily("nodeward_build_info", "1.", List.of("version"));
    build.addMetric(List.of(version), 1);
    families.add(build);
    families.add(
        new GaugeMetricFamily(
            "process_start_time_seconds",
            "When the agent started, since the epoch.",
            started.toEpochMilli() / 1000.0));
    var handle = ProcessHandle.current().info();
    handle
        .totalCpuDuration()
        .map(Duration::toMillis)
        .ifPresent(
            ms ->
                families.add(
                    new io.prometheus.client.CounterMetricFamily(
                        "process_cpu_seconds", "CPU time of the agent.", ms / 1000.0)));
    Runtime runtime = Runtime.getRuntime();
    families.add(
        new GaugeMetricFamily(
            "nodeward_heap_used_bytes",
            "Java heap in use.",
            runtime.totalMemory() - runtime.freeMemory()));
    families.add(
        new GaugeMetricFamily(
            "nodeward_threads",
            "Platform threads.",
            ManagementFactory.getThreadMXBean().getThreadCount()));
    return families;
  }
}
