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
import nodeward.node.FakeNode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ConntrackWatchTest {
  private static final Config.Conntrack CONFIG = config(Duration.ofSeconds(10));

  private final FakeTime time = new FakeTime();
  private final FakeConditions conditions = new FakeConditions();
  private final CollectorRegistry registry = new CollectorRegistry();
  private Reading reading = table(10, 1000);
  private Optional<IOException> failure = Optional.empty();
  private final FakeFlows flows = new FakeFlows();
  private final FakeNode node = new FakeNode("node-1");
  private ConntrackWatch watch = watch(Duration.ofHours(1));

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
                new String[] {"cpu", "stat"},
                new String[] {"0", "insert_failed"}))
        .isEqualTo(0xfffffffeL + 3);
  }

  @Test
  void itSamplesByItselfAndIsHealthyThen() throws Exception {
    var samples = new CountDownLatch(3);
    var config = config(Duration.ofMillis(1));
    try (var running =
        new ConntrackWatch(
            config,
            () -> {
              samples.countDown();
              return table(1, 2);
            },
            new FlowCount(flows, node.asPods(), Time.SYSTEM),
            Duration.ofHours(1),
            conditions,
            new CollectorRegistry(),
            Time.SYSTEM)) {
      assertThat(running.health().isHealthy()).isFalse();

      running.start();

      assertThat(samples.await(10, TimeUnit.SECONDS)).isTrue();
      assertThat(running.health().isHealthy()).isTrue();
    }
  }

  @Test
  void underPressureItTellsWhoFillsTheTable() throws IOException {
    node.put(FakeNode.pod("shop", "cart", "10.2.0.7"));
    flows.add(80, "10.2.0.7", "10.3.0.10", FakeFlows.Kind.UNREPLIED);
    flows.add(20, "10.0.0.1", "10.0.0.2", FakeFlows.Kind.REPLIED);

    sample(table(910, 1000));

    assertThat(conditions.stated())
        .last()
        .asString()
        .endsWith(
            "910 of 1000 entries (91.0 %); held by shop/cart 80 % as client, mostly unreplied, host"
                + " 20 %");
    assertThat(holder("shop/cart")).isEqualTo(80);
    assertThat(watch.status().get("holders")).asString().startsWith("shop/cart 80 %");

    sample(table(10, 1000));

    assertThat(holder("shop/cart")).isNull();
    assertThat(watch.status()).doesNotContainKey("holders");
  }

  @Test
  void withoutPressureTheTableIsNotWalked() throws IOException {
    sample();
    sample(table(899, 1000));

    assertThat(flows.walks()).isZero();
  }

  @Test
  void underPressureTheTableIsWalkedOnceAMinute() throws IOException {
    for (int i = 0; i < 12; i++) {
      sample(table(910, 1000));
    }

    assertThat(flows.walks()).isEqualTo(2);
  }

  @Test
  void thatSomebodyElseFillsTheTableIsToldAfterAWhile() throws IOException {
    node.put(FakeNode.pod("shop", "cart", "10.2.0.7"));
    node.put(FakeNode.pod("shop", "web", "10.2.0.8"));
    flows.add(10, "10.2.0.7", "10.3.0.10", FakeFlows.Kind.REPLIED);
    sample(table(910, 1000));
    flows.add(30, "10.2.0.8", "10.3.0.10", FakeFlows.Kind.REPLIED);

    for (int i = 0; i < 24; i++) {
      sample();
    }
    assertThat(conditions.stated()).hasSize(1);
    for (int i = 0; i < 24; i++) {
      sample();
    }

    assertThat(conditions.stated()).hasSize(2);
    assertThat(conditions.stated()).last().asString().contains("held by shop/web 75 %");
  }

  @Test
  void aWalkThatIsNotPermittedLeavesTheRestOfTheMessage() throws IOException {
    flows.fail(new IOException("netlink: not permitted (EPERM)"));

    sample(table(910, 1000));

    assertThat(conditions.stated()).last().asString().endsWith("910 of 1000 entries (91.0 %)");
  }

  @Test
  void dropsAreToldHoweverFullTheTableIs() throws IOException {
    sample(counting(Stat.DROP, 1000));
    assertThat(conditions.stated()).last().asString().contains("ConntrackOk");

    sample(counting(Stat.DROP, 1200));

    assertThat(conditions.stated())
        .last()
        .asString()
        .startsWith(
            "ConntrackPressure=True ConntrackDropping: the kernel drops flows, 20.0 a second: ");
  }

  @Test
  void insertsThatFailAreTold() throws IOException {
    sample(counting(Stat.INSERT_FAILED, 0));
    sample(counting(Stat.INSERT_FAILED, 60));

    assertThat(conditions.stated())
        .last()
        .asString()
        .startsWith(
            "ConntrackPressure=True ConntrackInsertFailing: new flows get lost, 6.0 a second: ");
  }

  @Test
  void rightAfterBootAFullTableIsHeldBack() throws IOException {
    watch = watch(Duration.ofSeconds(5));
    for (int i = 0; i < 5; i++) {
      sample(table(990, 1000));
    }
    assertThat(conditions.stated()).isEmpty();

    sample(table(990, 1000));

    assertThat(conditions.stated()).hasSize(1).last().asString().contains("ConntrackCritical");
  }

  @Test
  void aLimitThatIsRaisedRightAfterBootWasNeverToldAsPressure() throws IOException {
    watch = watch(Duration.ofSeconds(5));
    sample(table(990, 1000));
    sample(table(990, 9000));

    assertThat(conditions.stated())
        .containsExactly(
            "ConntrackPressure=False ConntrackOk: the connection tracking table has room, limit"
                + " 9000");
  }

  @Test
  void aTableThatFillsIsForecast() throws IOException {
    for (int i = 0; i <= 6; i++) {
      sample(table(600 + 50 * i, 1000));
    }

    assertThat(conditions.stated()).last().asString().contains(", full in about 1 min");
    assertThat(metric("nodeward_conntrack_growth_per_second")).isEqualTo(5);
    assertThat(metric("nodeward_conntrack_full_in_seconds")).isEqualTo(20);
    assertThat(metric("nodeward_conntrack_sustainable_per_second")).isEqualTo(1000 / 120.0);
  }

  @Test
  void nodeExportersNamesAreThereOnlyWhenTheyAreAskedFor() throws IOException {
    sample(counting(7));
    assertThat(registry.getSampleValue("node_nf_conntrack_entries")).isNull();

    registry.clear();
    var asked =
        new Config.Conntrack(
            true, CONFIG.interval(), 0.9, 0.95, 1, 5, CONFIG.holdersInterval(), true);
    watch = watch(asked, Duration.ofHours(1));
    sample(counting(7));

    assertThat(registry.getSampleValue("node_nf_conntrack_entries")).isEqualTo(1);
    assertThat(registry.getSampleValue("node_nf_conntrack_entries_limit")).isEqualTo(2);
    assertThat(registry.getSampleValue("node_nf_conntrack_stat_insert_failed")).isEqualTo(7);
  }

  private static Config.Conntrack config(Duration interval) {
    return new Config.Conntrack(true, interval, 0.90, 0.95, 1, 5, Duration.ofMinutes(1), false);
  }

  private ConntrackWatch watch(Duration uptime) {
    return watch(CONFIG, uptime);
  }

  private ConntrackWatch watch(Config.Conntrack config, Duration uptime) {
    registry.clear();
    var count = new FlowCount(flows, node.asPods(), time);
    return new ConntrackWatch(config, this::read, count, uptime, conditions, registry, time);
  }

  private Double holder(String name) {
    return registry.getSampleValue(
        "nodeward_conntrack_holder_flows", new String[] {"holder"}, new String[] {name});
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
    return counting(Stat.INSERT_FAILED, failed);
  }

  private static Known counting(Stat stat, long count) {
    return new Known(1, 2, new TreeMap<>(Map.of(0, Map.of(stat, count))), "test");
  }
}
