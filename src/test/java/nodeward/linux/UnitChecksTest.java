package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nodeward.component.Finding;
import nodeward.component.Finding.Level;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class UnitChecksTest {
  private static final String GUARD = "nodeward.service";
  private static final String DRAIN = "nodeward-drain.service";
  private static final String KUBELET = "kubelet.service";
  private static final String SCOPE = "cri-containerd-0a1b.scope";

  @TempDir private Path directory;
  private Path dropIns;
  private FakeBus bus;

  @BeforeEach
  void wellOrdered() throws IOException {
    bus = new FakeBus(directory.resolve("bus"));
    service(GUARD).put("Before", List.of("shutdown.target", KUBELET));
    service(DRAIN).put("After", List.of("basic.target", KUBELET, "containerd.service", GUARD));
    service(KUBELET);
    service("containerd.service");
    dropIns = Files.createDirectories(directory.resolve("units/cri-containerd-.scope.d"));
    dropIn("[Unit]\nBefore=nodeward-drain.service\n");
    bus.property(
        "UnitPath",
        FakeBus.Body.ofTexts(List.of(directory + "/none", directory.resolve("units").toString())));
  }

  @AfterEach
  void stop() throws InterruptedException {
    bus.close();
  }

  @Test
  void aNodeInOrderHasNothingToMend() {
    assertThat(findings())
        .extracting(Finding::level)
        .containsOnly(Level.OK)
        .hasSizeGreaterThanOrEqualTo(6);
    assertThat(findings())
        .extracting(Finding::what)
        .contains(
            "nodeward.service is enabled and active",
            "nodeward.service starts before kubelet.service",
            "nodeward-drain.service is enabled and active",
            "nodeward-drain.service stops before kubelet.service, containerd.service,"
                + " nodeward.service",
            "nodeward-drain.service may take the 110 s of a drain",
            "scopes of containers wait for the drain");
  }

  @ParameterizedTest
  @ValueSource(strings = {GUARD, DRAIN})
  void aUnitThatIsNotInstalledNotEnabledOrNotActiveIsNamed(String unit) {
    bus.describe(unit).put("UnitFileState", "disabled");
    assertThat(wrong())
        .singleElement()
        .asString()
        .startsWith(unit + " is disabled: after a reboot");

    bus.describe(unit).put("UnitFileState", "enabled");
    bus.describe(unit).put("ActiveState", "failed");
    assertThat(wrong()).singleElement().asString().startsWith(unit + " is failed: ");

    bus.describe(unit).put("LoadState", "not-found");
    assertThat(wrong())
        .singleElement()
        .asString()
        .startsWith(unit + " is not installed (not-found)");
  }

  /** As in a system extension. */
  @ParameterizedTest
  @ValueSource(strings = {GUARD, DRAIN})
  void aUnitThatItsTargetUpholdsNeedsNotBeEnabled(String unit) {
    bus.describe(unit).put("UnitFileState", "disabled");
    bus.describe(unit).put("UpheldBy", List.of("multi-user.target"));

    assertThat(wrong()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {GUARD, DRAIN})
  void aUnitWhoseFileSystemdHasNotReadIsNamed(String unit) {
    bus.describe(unit).put("NeedDaemonReload", true);

    assertThat(wrong()).containsExactly(unit + " was changed and systemd has not read it");
  }

  @Test
  void aGuardThatIsNotBeforeTheKubeletIsNamed() {
    bus.describe(GUARD).put("Before", List.of("shutdown.target"));

    assertThat(wrong())
        .containsExactly(
            "nodeward.service is not ordered before kubelet.service: pods may start unguarded");
  }

  @Test
  void aDrainThatWouldStopTooLateIsNamedWithWhatItIsNotAfter() {
    bus.describe(DRAIN).put("After", List.of(GUARD, "containerd.service"));

    assertThat(wrong())
        .containsExactly(
            "nodeward-drain.service is not ordered after kubelet.service: at shutdown they stop"
                + " while pods still run");
  }

  @Test
  void aKubeletOfAnotherNameIsOrderedToo() {
    service("k3s-agent.service");

    assertThat(wrong())
        .hasSize(2)
        .allSatisfy(what -> assertThat(what).contains("k3s-agent.service"));
  }

  @Test
  void aDrainThatSystemdCutsShortIsNamedAndOneWithoutLimitIsNot() {
    bus.describe(DRAIN).put("TimeoutStopUSec", 90_000_000L);
    assertThat(wrong())
        .containsExactly(
            "nodeward-drain.service is stopped after 90 s, before the deadline of a drain (110 s)");

    bus.describe(DRAIN).put("TimeoutStopUSec", -1L);
    assertThat(wrong()).isEmpty();
  }

  @Test
  void withoutTheDropInContainersWouldEndTooEarly() throws IOException {
    dropIn("[Unit]\n# Before=nodeward-drain.service\nBefore=not-nodeward-drain.service\n");

    assertThat(wrong())
        .containsExactly(
            "cri-containerd-.scope.d has no Before=nodeward-drain.service: at shutdown systemd"
                + " ends containers before they are evicted");
  }

  @Test
  void aContainerThatSystemdHasNotReadTheDropInForIsNamed() {
    bus.describe(SCOPE).putAll(Map.of("LoadState", "loaded", "Before", List.of("shutdown.target")));

    assertThat(wrong())
        .singleElement()
        .asString()
        .startsWith(SCOPE + " has no Before=nodeward-drain.service");

    bus.describe(SCOPE).put("Before", List.of("shutdown.target", DRAIN));
    assertThat(wrong()).isEmpty();
  }

  @Test
  void whereSystemdDoesNotOwnTheContainersNoDropInIsNeeded() throws IOException {
    dropIn("");

    assertThat(
            new UnitChecks(
                    directory.resolve("bus"),
                    Duration.ofSeconds(110),
                    Optional.of("cgroupfs"),
                    Map.of())
                .findings())
        .extracting(Finding::level)
        .containsOnly(Level.OK);
  }

  @Test
  void inAPodNoUnitIsMissed() {
    bus.describe(GUARD).put("LoadState", "not-found");
    bus.describe(DRAIN).put("LoadState", "not-found");

    assertThat(
            new UnitChecks(
                    directory.resolve("bus"),
                    Duration.ofSeconds(110),
                    Optional.empty(),
                    Map.of("KUBERNETES_SERVICE_HOST", "10.3.0.1"))
                .findings())
        .extracting(Finding::level)
        .containsExactly(Level.NOTE);
  }

  @Test
  void withoutABusNothingIsKnown() {
    assertThat(
            new UnitChecks(directory.resolve("none"), Duration.ZERO, Optional.empty(), Map.of())
                .findings())
        .extracting(Finding::level)
        .containsExactly(Level.NOTE);
    bus.refuse();
    assertThat(findings()).extracting(Finding::level).containsExactly(Level.UNKNOWN);
  }

  private Map<String, Object> service(String name) {
    Map<String, Object> unit = bus.describe(name);
    unit.putAll(
        Map.of(
            "LoadState",
            "loaded",
            "UnitFileState",
            "enabled",
            "ActiveState",
            "active",
            "Before",
            List.of(),
            "After",
            List.of(),
            "TimeoutStopUSec",
            150_000_000L));
    return unit;
  }

  private void dropIn(String text) throws IOException {
    Files.writeString(dropIns.resolve("50-nodeward.conf"), text);
  }

  private List<Finding> findings() {
    return new UnitChecks(
            directory.resolve("bus"), Duration.ofSeconds(110), Optional.of("systemd"), Map.of())
        .findings();
  }

  private List<String> wrong() {
    return findings().stream()
        .filter(f -> f.level() != Level.OK)
        .peek(f -> assertThat(f.remedy()).isNotEmpty())
        .map(Finding::what)
        .toList();
  }
}
