package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nodeward.component.FakeTime;
import nodeward.component.Health;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.metadata.Firewall.Family;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class InterceptionKeeperTest {
  private final FakeTime time = new FakeTime();
  private final FakeFirewall firewall = new FakeFirewall();
  private final CollectorRegistry registry = new CollectorRegistry();
  private InterceptionKeeper keeper = keeper("10.0.0.1:8181", List.of("cni0"));

  /** Rules in memory that a test may flush. */
  private static final class FakeFirewall implements Firewall {
    private final Map<Family, Interception> rules = new EnumMap<>(Family.class);
    private final Set<Family> broken = EnumSet.noneOf(Family.class);
    private final List<String> done = new ArrayList<>();
    private Optional<IOException> flows = Optional.empty();

    @Override
    public synchronized void install(Interception interception, Family family) throws IOException {
      if (broken.contains(family)) {
        throw new IOException("no table of " + family);
      }
      done.add("install " + family);
      rules.put(family, interception);
    }

    @Override
    public synchronized Optional<String> missing(Family family) {
      return rules.containsKey(family) ? Optional.empty() : Optional.of("-A PREROUTING");
    }

    @Override
    public synchronized int forgetFlows(Interception interception) throws IOException {
      if (flows.isPresent()) {
        throw flows.get();
      }
      done.add("forget flows");
      return 1;
    }

    @Override
    public List<String> remove() {
      throw new AssertionError("only the command may remove rules");
    }
  }

  @AfterEach
  void close() {
    keeper.close();
  }

  @Test
  void o2TheRulesAreInPlaceWhenItHasStartedAndStayWhenItIsClosed() throws IOException {
    keeper.start();
    keeper.close();

    assertThat(firewall.rules.get(Family.IPV4).interfaces()).containsExactly("cni0");
    assertThat(keeper.health().isHealthy()).isTrue();
    assertThat(up("ipv4")).isEqualTo(1);
    assertThat(keeper.status().get("rules").toString()).startsWith("cni0: 169.254.169.254:80 -> ");
  }

  @Test
  void o2WithoutTheRulesOfIpv4TheAgentDoesNotStart() {
    firewall.broken.add(Family.IPV4);

    assertThatThrownBy(keeper::start).hasMessage("no table of IPV4");
  }

  @Test
  void o3FlowsPastTheRulesAreForgottenOnceTheRulesStand() throws IOException {
    keeper.start();

    assertThat(firewall.done).startsWith("install IPV4").endsWith("forget flows");
  }

  @Test
  void o3AKernelThatDoesNotForgetIsNoReasonNotToStart() throws IOException {
    firewall.flows = Optional.of(new IOException("not permitted"));

    keeper.start();

    assertThat(keeper.health().isHealthy()).isTrue();
  }

  @Test
  void o4RulesOfIpv6ThatCannotBeMadeAreToldAndTriedAgain() throws IOException {
    firewall.broken.add(Family.IPV6);
    keeper.start();

    assertThat(keeper.health())
        .isEqualTo(Health.degraded("rules for ipv6 are not in place: no table of IPV6"));
    assertThat(up("ipv6")).isZero();
    assertThatThrownBy(() -> keeper.pass(time.now())).hasMessage("no table of IPV6");
    assertThat(up("ipv4")).isEqualTo(1);

    firewall.broken.clear();
    keeper.pass(time.now());
    assertThat(keeper.health().isHealthy()).isTrue();
    assertThat(up("ipv6")).isEqualTo(1);
  }

  @Test
  void o2RulesThatSomebodyFlushedAreRepaired() throws IOException {
    keeper.start();
    keeper.close();
    firewall.done.clear();

    assertThat(keeper.pass(time.now())).isEqualTo(Duration.ofMinutes(1));
    assertThat(firewall.done).isEmpty();

    firewall.rules.remove(Family.IPV4);
    keeper.pass(time.now());
    assertThat(firewall.done).containsExactly("install IPV4", "forget flows");
    assertThat(keeper.status()).containsEntry("repairs", 1L);
    assertThat(keeper.health().isHealthy()).isTrue();
  }

  @Test
  void rulesThatCannotBeRepairedAreTrouble() throws IOException {
    keeper.start();
    keeper.close();
    firewall.rules.clear();
    firewall.broken.addAll(EnumSet.allOf(Family.class));

    assertThatThrownBy(() -> keeper.pass(time.now())).isInstanceOf(IOException.class);

    assertThat(keeper.health().isHealthy()).isFalse();
    assertThat(up("ipv4")).isZero();
  }

  @Test
  void withoutInterfacesNothingIsTouched() throws IOException {
    registry.clear();
    keeper = keeper("127.0.0.1:0", List.of());

    keeper.start();

    assertThat(firewall.done).isEmpty();
    assertThat(keeper.health().isHealthy()).isTrue();
    assertThat(keeper.status()).containsEntry("rules", "off");
    assertThat(registry.getSampleValue("nodeward_interception_up")).isNull();
  }

  private double up(String family) {
    return registry.getSampleValue(
        "nodeward_interception_up", new String[] {"family"}, new String[] {family});
  }

  private InterceptionKeeper keeper(String listen, List<String> interfaces) {
    var config =
        new Config.Metadata(
            true,
            Address.parse(listen),
            "",
            "",
            Duration.ofHours(1),
            Duration.ofMinutes(30),
            interfaces,
            List.of(),
            false,
            Config.Metadata.RestrictionFormat.GLOB,
            false,
            List.of(),
            false,
            new Config.Metadata.PodLimits(64, 32),
            new Config.Metadata.Container(List.of(), "nodeward.dev"));
    return new InterceptionKeeper(config, firewall, registry, time);
  }
}
