package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Reading;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.conntrack.ConntrackTable.Unknown;
import nodeward.node.FakeConditions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ConntrackWatchTest {
  private static final Config.Conntrack CONFIG =
      new Config.Conntrack(true, Duration.ofSeconds(10), 0.90, 0.95);

  private final FakeTime time = new FakeTime();
  private final FakeConditions conditions = new FakeConditions();
  private final CollectorRegistry registry = new CollectorRegistry();
  private Reading reading = table(10, 1000);
  private Optional<IOException> failure = Optional.empty();
  private final ConntrackWatch watch =
      new ConntrackWatch(CONFIG, this::read, conditions, registry, time);

  @AfterEach
  void close() {
    watch.close();
  }

  @Test
  void beforeTheFirstSampleNothingIsStatedAndNothingIsShownAsZero() {
    assertThat(conditions.stated()).isEmpty();
    assertThat(metric("nodeward_conntrack_entries")).isNaN();
    assertThat(watch.status()).containsEntry("pressure", "ConntrackUnknown");
  }

  @Test
  void aTableWithRoomIsOk() throws IOException {
    sample();

    assertThat(conditions.stated())
        .containsExactly(
            "ConntrackPressure=False ConntrackOk: the connection tracking table has room, limit"
                + " 1000");
    assertThat(metric("nodeward_conntrack_entries")).isEqualTo(10);
    assertThat(metric("nodeward_conntrack_entries_limit")).isEqualTo(1000);
    assertThat(watch.status()).containsEntry("entries", 10L).containsEntry("limit", 1000L);
  }

  @Test
  void theConditionIsStatedWhenTheLevelChangesAndNotWithEachNumber() throws IOException {
    sample();
    sample(table(20, 1000));
    sample(table(901, 1000));
    sample(table(920, 1000));
    sample(table(990, 1000));
    sample(table(1000, 1000));
    sample(table(0, 1000));

    assertThat(conditions.stated())
        .containsExactly(
            "ConntrackPressure=False ConntrackOk: the connection tracking table has room, limit"
                + " 1000",
            "ConntrackPressure=True ConntrackNearFull: the connection tracking table is nearly"
                + " full: 901 of 1000 entries (90.1 %)",
            "ConntrackPressure=True ConntrackCritical: the connection tracking table is all but"
                + " full and the kernel drops flows: 990 of 1000 entries (99.0 %)",
            "ConntrackPressure=False ConntrackOk: the connection tracking table has room, limit"
                + " 1000");
  }

  @Test
  void aLimitThatSomebodyRaisesIsTold() throws IOException {
    sample();
    sample(table(10, 2000));

    assertThat(conditions.stated()).hasSize(2).last().asString().endsWith("limit 2000");
  }

  @Test
  void withoutTheModuleItIsUnknownAndNotHealthy() throws IOException {
    sample(new Unknown("module nf_conntrack is not loaded"));

    assertThat(conditions.stated())
        .containsExactly(
            "ConntrackPressure=Unknown ConntrackUnknown: module nf_conntrack is not loaded");
    assertThat(metric("nodeward_conntrack_entries")).isNaN();
    assertThat(watch.status()).containsEntry("why", "module nf_conntrack is not loaded");
  }

  @Test
  void aReadThatFailsIsUnknownAndTriedAgain() throws IOException {
    sample();
    failure = Optional.of(new IOException("netlink: no buffer space"));
    assertThatThrownBy(this::sample).hasMessage("netlink: no buffer space");
    failure = Optional.empty();
    sample();

    assertThat(conditions.stated())
        .extracting(line -> line.split("[= ]")[1])
        .containsExactly("False", "Unknown", "False");
  }

  @Test
  void theLevelOutlivesAReadThatFails() throws IOException {
    sample(table(900, 1000));
    sample(new Unknown("for a moment"));
    sample(table(870, 1000));

    assertThat(conditions.stated()).last().asString().contains("True ConntrackNearFull");
  }

  @Test
  void theKernelsCountersAreCounters() throws IOException {
    sample(counting(0xfffffffeL));
    sample(counting(1));

    assertThat(
            registry.getSampleValue(
                "nodeward_conntrack_stat_total",
                new String[] {"stat"},
                new String[] {"insert_failed"}))
        .isEqualTo(0xfffffffeL + 3);
  }

  @Test
  void itSamplesByItselfAndIsHealthyThen() throws Exception {
    var samples = new CountDownLatch(3);
    var config = new Config.Conntrack(true, Duration.ofMillis(1), 0.9, 0.95);
    try (var running =
        new ConntrackWatch(
            config,
            () -> {
              samples.countDown();
              return table(1, 2);
            },
            conditions,
            new CollectorRegistry(),
            Time.SYSTEM)) {
      assertThat(running.health().isHealthy()).isFalse();

      running.start();

      assertThat(samples.await(10, TimeUnit.SECONDS)).isTrue();
      assertThat(running.health().isHealthy()).isTrue();
    }
  }

  private Reading read() throws IOException {
    if (failure.isPresent()) {
      throw failure.get();
    }
    return reading;
  }

  private void sample(Reading next) throws IOException {
    reading = next;
    sample();
  }

  private void sample() throws IOException {
    assertThat(watch.sample(time.advance(CONFIG.interval()))).isEqualTo(CONFIG.interval());
  }

  private double metric(String name) {
    return registry.getSampleValue(name);
  }

  private static Known table(long entries, long limit) {
    return new Known(entries, limit, new TreeMap<>(), "test");
  }

  private static Known counting(long failed) {
    return new Known(1, 2, new TreeMap<>(Map.of(0, Map.of(Stat.INSERT_FAILED, failed))), "test");
  }
}
