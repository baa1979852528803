package nodeward.linux;

import io.prometheus.client.Collector;
import io.prometheus.client.GaugeMetricFamily;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the kernel accounts to this process, as metrics with the names that Prometheus' clients
 * share; read at each scrape. What cannot be read is left out of that scrape.
 */
public final class OwnProcess extends Collector {
  private static final Logger log = LoggerFactory.getLogger(OwnProcess.class);

  private final Procfs proc;

  public OwnProcess() {
    this(new Procfs(Path.of("/proc")));
  }

  OwnProcess(Procfs proc) {
    this.proc = proc;
  }

  @Override
  public List<MetricFamilySamples> collect() {
    var families = new ArrayList<MetricFamilySamples>();
    try {
      Optional<Procfs.Memory> memory = proc.ownMemory();
      memory.ifPresent(
          m -> {
            families.add(
                gauge("process_resident_memory_bytes", "Memory of the agent.", m.resident()));
            families.add(
                gauge(
                    "nodeward_process_anonymous_memory_bytes",
                    "Memory of the agent that no file stands behind.",
                    m.anonymous()));
          });
      proc.ownDescriptors()
          .ifPresent(n -> families.add(gauge("process_open_fds", "Open files and sockets.", n)));
      proc.ownDescriptorLimit()
          .ifPresent(
              n -> families.add(gauge("process_max_fds", "How many may be open at once.", n)));
    } catch (IOException e) {
      log.debug("linux: own process not read why=\"{}\"", e.getMessage());
    }
    return families;
  }

  private static GaugeMetricFamily gauge(String name, String help, long value) {
    return new GaugeMetricFamily(name, help, (double) value);
  }
}
