package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import nodeward.config.Address;
import nodeward.metadata.Firewall.Family;
import nodeward.metadata.Interception;
import nodeward.metadata.Interception.Destination;
import nodeward.metadata.Interception.Service;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class IptablesRulesTest {
  private static final String JUMP = " -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j NODEWARD";

  @Test
  void requestsAreRedirectedToTheInterfacesOwnAddress() {
    assertThat(install(new Destination.Own(8181), List.of("cni0", "docker0"), List.of(), "", ""))
        .isEqualTo(
            """
            *mangle
            :NODEWARD - [0:0]
            -A NODEWARD -j DROP
            -I FORWARD 1 -d 169.254.169.254/32 -j NODEWARD
            COMMIT
            *nat
            :NODEWARD - [0:0]
            -A NODEWARD -i cni0 -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8181
            -A NODEWARD -i docker0 -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8181
            -I PREROUTING 1 -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j NODEWARD
            COMMIT
            """);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "eni+",
        "cali+",
        "cni0",
        "docker0",
        "cbr0",
        "weave",
        "lxc+",
        "kube-bridge",
        "tun0",
        "vlan+"
      })
  void o5EveryPatternOfKube2iamIsAnInterfaceOfIptables(String pattern) {
    assertThat(install(at("10.0.0.1:8181"), List.of(pattern), List.of(), "", ""))
        .contains(
            "-A NODEWARD -i "
                + pattern
                + " -d 169.254.169.254/32 -p tcp -m tcp --dport 80"
                + " -j DNAT --to-destination 10.0.0.1:8181\n");
  }

  @Test
  void o5ExceptedInterfacesReturnFirstAndAllOthersAreLed() {
    assertThat(install(at("10.0.0.1:8181"), List.of(), List.of("eth0", "ens+"), "", ""))
        .contains(
            """
            -A NODEWARD -i eth0 -j RETURN
            -A NODEWARD -i ens+ -j RETURN
            -A NODEWARD -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8181
            """);
  }

  @Test
  void o2TheRefusalKnowsNoInterfaceProtocolOrPort() {
    assertThat(install(at("10.0.0.1:8181"), List.of("cni0"), List.of("eth0"), "", ""))
        .contains("-A NODEWARD -j DROP\n-I FORWARD 1 -d 169.254.169.254/32 -j NODEWARD\n");
  }

  @Test
  void o1TheJumpsOfAnEarlierRunAreReplacedAndOthersAreLeftAlone() {
    String refusing =
        """
        -P FORWARD ACCEPT
        -A FORWARD -d 169.254.169.254/32 -j NODEWARD
        -A FORWARD -d 10.0.0.0/8 -j KUBE-FORWARD
        """;
    String leading =
        """
        -P PREROUTING ACCEPT
        -A PREROUTING -m comment --comment "service portals" -j KUBE-SERVICES
        -A PREROUTING -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j NODEWARD
        -A PREROUTING -d 169.254.169.254/32 -i docker0 -p tcp --dport 80 -j DNAT --to 10.0.0.9:1
        """;

    String rules = install(at("10.0.0.1:8181"), List.of("cni0"), List.of(), refusing, leading);

    assertThat(rules.lines().filter(r -> r.startsWith("-D")))
        .containsExactly("-D FORWARD -d 169.254.169.254/32 -j NODEWARD", "-D PREROUTING" + JUMP);
    assertThat(rules).doesNotContain("KUBE", "docker0");
  }

  @Test
  void o4EachFamilyHasRulesOfItsOwn() {
    var both =
        new Interception(
            List.of("cni0"),
            List.of(),
            List.of(
                new Service(Interception.METADATA, at("10.0.0.1:8181")),
                new Service(Interception.METADATA_IPV6, at("[fd00::1]:8181"))));

    assertThat(IptablesRules.install(both, Family.IPV4, "", "")).doesNotContain("fd00");
    assertThat(IptablesRules.install(both, Family.IPV6, "", ""))
        .doesNotContain("169.254")
        .contains(
            "-I FORWARD 1 -d fd00:ec2:0:0:0:0:0:254/128 -j NODEWARD",
            "-j DNAT --to-destination [fd00:0:0:0:0:0:0:1]:8181");
  }

  @Test
  void o4AFamilyThatTheProxyDoesNotListenOnIsRefusedAlone() {
    assertThat(install(new Destination.Nowhere(), List.of("cni0"), List.of(), "", ""))
        .contains("-j DROP")
        .doesNotContain("DNAT", "REDIRECT");
  }

  @Test
  void aTableIsFoundInWhatWasSaved() {
    String saved =
        """
        # Generated
        *mangle
        :FORWARD ACCEPT [0:0]
        -A FORWARD -j X
        COMMIT
        *nat
        :NODEWARD - [0:0]
        COMMIT
        """;

    assertThat(IptablesRules.table(saved, "mangle")).contains("-A FORWARD").doesNotContain("nat");
    assertThat(IptablesRules.table(saved, "nat")).contains("\n:NODEWARD ");
    assertThat(IptablesRules.table(saved, "raw")).isEmpty();
    assertThat(IptablesRules.table("", "nat")).isEmpty();
  }

  private static String install(
      Destination to,
      List<String> interfaces,
      List<String> excepted,
      String refusing,
      String leading) {
    var services = new ArrayList<>(List.of(new Service(Interception.METADATA, to)));
    return IptablesRules.install(
        new Interception(interfaces, excepted, services), Family.IPV4, refusing, leading);
  }

  private static Destination at(String address) {
    return new Destination.At(Address.parse(address));
  }
}
