package nodeward.metadata;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.concurrent.ConcurrentHashMap;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.metadata.Firewall.Family;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the rules in place that lead pods to the proxy and refuse them the real service. Without
 * those of IPv4 the agent does not start; from then on one loop reads them back each minute and
 * puts them there again when somebody has flushed them. It is started before the proxy and takes
 * nothing away when it is closed: a stopped agent must be a closed door.
 */
public final class InterceptionKeeper implements Component {
  private static final Logger log = LoggerFactory.getLogger(InterceptionKeeper.class);
  private static final Duration EVERY = Duration.ofMinutes(1);

  private final Config.Metadata config;
  private final Firewall firewall;
  private final Duration every;
  private final Gauge up;
  private final Counter repairs;
  private final Loop loop;
  // Why a family is not in place, empty when it is; written by start() and then by the loop alone.
  private final Map<Family, String> troubles = new ConcurrentHashMap<>();
  // Written by start() and then by the loop alone, read by status().
  private volatile Optional<Interception> rules = Optional.empty();

  public InterceptionKeeper(
      Config.Metadata config, Firewall firewall, CollectorRegistry registry, Time time) {
    this(config, firewall, registry, time, EVERY);
  }

  /** As the other, with the time between two looks at the rules. */
  public InterceptionKeeper(
      Config.Metadata config,
      Firewall firewall,
      CollectorRegistry registry,
      Time time,
      Duration every) {
    this.config = config;
    this.every = every;
    this.firewall = firewall;
    this.up =
        Gauge.build(
                "nodeward_interception_up",
                "Whether the rules for instance metadata were in place when they were read last.")
            .labelNames("family")
            .register(registry);
    this.repairs =
        Counter.build(
                "nodeward_interception_repairs_total",
                "Times that rules for instance metadata were missing and put in place again.")
            .register(registry);
    this.loop =
        new Loop(
            name(), this::pass, new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30)), time);
  }

  @Override
  public String name() {
    return "interception";
  }

  @Override
  public void start() throws IOException {
    if (config.interceptInterfaces().isEmpty()) {
      return;
    }
    Interception wanted = Interception.of(config.interceptInterfaces(), config.listen());
    firewall.install(wanted, Family.IPV4);
    installed(Family.IPV4);
    if (wanted.families().contains(Family.IPV6)) {
      try {
        firewall.install(wanted, Family.IPV6);
        installed(Family.IPV6);
      } catch (IOException e) {
        failed(Family.IPV6, e);
        log.warn("interception: IPv6 is not covered yet, trying again why=\"{}\"", e.getMessage());
      }
    }
    rules = Optional.of(wanted);
    forgetFlows(wanted);
    log.info("interception: in place {}", wanted);
    loop.start();
  }

  @Override
  public Health health() {
    for (Family family : Family.values()) {
      String trouble = troubles.getOrDefault(family, "");
      if (!trouble.isEmpty()) {
        return Health.degraded("rules for " + text(family) + " are not in place: " + trouble);
      }
    }
    return Health.healthy();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("rules", rules.map(Interception::toString).orElse("off"));
    if (rules.isPresent()) {
      status.put("repairs", Math.round(repairs.get()));
    }
    return status;
  }

  @Override
  public void close() {
    loop.close();
  }

  /** Both families are looked after, also when one fails. */
  Duration pass(Instant now) throws IOException {
    Interception wanted = Interception.of(config.interceptInterfaces(), config.listen());
    boolean changed = !rules.equals(Optional.of(wanted));
    var failures = new EnumMap<Family, IOException>(Family.class);
    boolean repaired = false;
    for (Family family : wanted.families()) {
      try {
        repaired |= keep(wanted, family, changed);
        installed(family);
      } catch (IOException e) {
        failed(family, e);
        failures.put(family, e);
      }
    }
    if (changed && failures.isEmpty()) {
      rules = Optional.of(wanted);
      log.info("interception: changed to {}", wanted);
    }
    if (repaired) {
      forgetFlows(wanted);
    }
    for (IOException failure : failures.values()) {
      throw failure;
    }
    return every;
  }

  private boolean keep(Interception wanted, Family family, boolean changed) throws IOException {
    Optional<String> missing = changed ? Optional.of("") : missing(family);
    if (missing.isEmpty()) {
      return false;
    }
    if (!changed) {
      up.labels(text(family)).set(0);
      repairs.inc();
      log.warn(
          "interception: rules were missing, putting them in place family={} missing=\"{}\"",
          text(family),
          missing.get());
    }
    firewall.install(wanted, family);
    return true;
  }

  /** What cannot be read is put in place anew: the chain itself may be gone. */
  private Optional<String> missing(Family family) {
    try {
      return firewall.missing(family);
    } catch (IOException e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  /** The refusal cuts those flows anyway; forgotten, they end at once instead of in silence. */
  private void forgetFlows(Interception wanted) {
    try {
      int forgotten = firewall.forgetFlows(wanted);
      if (forgotten > 0) {
        log.info("interception: flows past the rules forgotten={}", forgotten);
      }
    } catch (IOException e) {
      log.warn(
          "interception: flows past the rules are cut but not forgotten why=\"{}\"",
          e.getMessage());
    }
  }

  private void installed(Family family) {
    troubles.put(family, "");
    up.labels(text(family)).set(1);
  }

  private void failed(Family family, IOException e) {
    troubles.put(family, String.valueOf(e.getMessage()));
    up.labels(text(family)).set(0);
  }

  private static String text(Family family) {
    return family.name().toLowerCase(Locale.ROOT);
  }
}
