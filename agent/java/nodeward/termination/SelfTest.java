package nodeward.termination;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Gauge;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.random.RandomGenerator;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.termination.Permissions.Check;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Looks once, some minutes after the start so that many agents do not ask at a time, whether a
 * termination could be carried through, and again later while that is not known. What is missing is
 * told while there is time to grant it; it makes nothing else wait.
 */
public final class SelfTest implements Component {
  private static final Logger log = LoggerFactory.getLogger(SelfTest.class);
  private static final Duration AGAIN = Duration.ofHours(1);

  private final List<Permissions> permissions;
  private final Gauge able;
  private final Loop loop;
  private final Duration delay;
  // Written by the loop's thread, read by those who show it.
  private volatile List<String> missing = List.of();
  private volatile boolean done;
  // For the loop's thread alone.
  private boolean waited;

  /** It begins at a random time within {@code spread}. */
  public SelfTest(
      List<Permissions> permissions,
      Duration spread,
      RandomGenerator random,
      CollectorRegistry registry) {
    this.permissions = List.copyOf(permissions);
    this.delay = Duration.ofMillis(1 + random.nextLong(spread.toMillis()));
    this.able =
        Gauge.build(
                "nodeward_termination_able",
                "1 when all rights for a termination were found, 0 when one is missing, NaN when"
                    + " that is not known.")
            .labelNames("where")
            .register(registry);
    permissions.forEach(p -> able.labels(p.name()).set(Double.NaN));
    this.loop = new Loop("self-test", this::pass);
  }

  @Override
  public String name() {
    return "self-test";
  }

  @Override
  public void start() {
    loop.start();
  }

  @Override
  public Health health() {
    List<String> now = missing;
    return now.isEmpty()
        ? Health.healthy()
        : Health.degraded("a termination could not be carried through: " + now.getFirst());
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("able", done ? String.valueOf(missing.isEmpty()) : "not known yet");
    status.put("missing", missing);
    return status;
  }

  @Override
  public void close() {
    loop.close();
  }

  Duration pass(Instant now) {
    if (!waited) {
      waited = true;
      return delay;
    }
    boolean known = true;
    var lacking = new ArrayList<String>();
    for (Permissions where : permissions) {
      List<Check> checks = where.check();
      boolean lacks = false;
      boolean unknown = checks.isEmpty();
      for (Check check : checks) {
        switch (check.verdict()) {
          case GRANTED -> {}
          case MISSING -> {
            lacks = true;
            lacking.add(check.what() + ": " + check.hint());
            log.warn("self-test: missing right={} hint=\"{}\"", check.what(), check.hint());
          }
          case UNKNOWN -> {
            unknown = true;
            log.info("self-test: not known right={} why=\"{}\"", check.what(), check.hint());
          }
        }
      }
      able.labels(where.name()).set(lacks ? 0 : unknown ? Double.NaN : 1);
      known &= !unknown && !lacks;
    }
    missing = List.copyOf(lacking);
    done = true;
    return known ? Loop.UNTIL_WOKEN : AGAIN;
  }
}
