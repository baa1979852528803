package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import nodeward.config.Address;
import nodeward.metadata.Interception.Destination;
import nodeward.metadata.Interception.Service;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InterceptionTest {
  private final List<String> interfaces = List.of("cni0", "eni+");

  @Test
  void requestsAreLedToTheAddressThatTheProxyListensOn() throws IOException {
    Interception interception = Interception.of(interfaces, Address.parse("10.0.0.1:8181"));

    assertThat(interception.interfaces()).isEqualTo(interfaces);
    assertThat(interception.services().getFirst())
        .isEqualTo(
            new Service(Interception.METADATA, new Destination.At(Address.parse("10.0.0.1:8181"))));
  }

  @Test
  void o4OfAProxyOnIpv4AloneTheOtherFamilyIsRefused() throws IOException {
    assertThat(
            Interception.of(interfaces, Address.parse("10.0.0.1:8181"))
                .services(Firewall.Family.IPV6))
        .extracting(Service::to)
        .allMatch(Destination.Nowhere.class::isInstance);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0:8181", "[::]:8181"})
  void aProxyOnAllAddressesIsReachedOnOneThatPodsCanReach(String listen) throws IOException {
    Interception interception = Interception.of(interfaces, Address.parse(listen));

    assertThat(interception.services())
        .allSatisfy(
            service -> {
              switch (service.to()) {
                case Destination.At(Address at) -> {
                  assertThat(at.port()).isEqualTo(8181);
                  assertThat(at.host().isLoopbackAddress()).isFalse();
                  assertThat(at.host().isAnyLocalAddress()).isFalse();
                }
                case Destination.Own(int port) -> assertThat(port).isEqualTo(8181);
                case Destination.Nowhere() -> throw new AssertionError(service.toString());
              }
            });
  }

  @ParameterizedTest
  @ValueSource(strings = {"127.0.0.1:8181", "[::1]:8181", "0.0.0.0:0", "[fd00::1]:8181"})
  void anAddressThatPodsCannotReachIsRefused(String listen) {
    assertThatThrownBy(() -> Interception.of(interfaces, Address.parse(listen)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("metadata.listen");
  }

  @Test
  void o5ExclamationMarksExceptAndAutoIsEveryInterfaceButTheWayOut() throws IOException {
    Address listen = Address.parse("10.0.0.1:8181");

    assertThat(Interception.of(List.of("!eth0"), listen))
        .extracting(Interception::interfaces, Interception::excepted)
        .containsExactly(List.of(), List.of("eth0"));
    Interception auto = Interception.of(List.of("auto", "!eth7"), listen);
    assertThat(auto.interfaces()).isEmpty();
    assertThat(auto.excepted()).contains("eth7").doesNotHaveDuplicates().hasSizeBetween(1, 2);
  }

  @Test
  void itsTextSaysWhatIsLedWhere() {
    var services =
        List.of(
            new Service(Interception.METADATA, new Destination.Own(8181)),
            new Service(Interception.METADATA_IPV6, new Destination.Nowhere()));

    assertThat(new Interception(interfaces, List.of("eth0"), services))
        .hasToString(
            "cni0 eni+ !eth0: 169.254.169.254:80 -> the interface's own address:8181,"
                + " [fd00:ec2:0:0:0:0:0:254]:80 refused");
  }
}
