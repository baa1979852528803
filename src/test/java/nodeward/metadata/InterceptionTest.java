package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.util.List;
import java.util.Optional;
import nodeward.config.Address;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InterceptionTest {
  private final List<String> interfaces = List.of("cni0", "eni+");

  @Test
  void requestsAreLedToTheAddressThatTheProxyListensOn() throws IOException {
    assertThat(Interception.of(interfaces, Address.parse("10.0.0.1:8181")))
        .isEqualTo(
            new Interception(interfaces, Optional.of(InetAddress.ofLiteral("10.0.0.1")), 8181));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0:8181", "[::]:8181"})
  void aProxyOnAllAddressesIsReachedOnOneThatPodsCanReach(String listen) throws IOException {
    Interception interception = Interception.of(interfaces, Address.parse(listen));

    assertThat(interception.port()).isEqualTo(8181);
    assertThat(interception.to().map(InetAddress::isLoopbackAddress).orElse(false)).isFalse();
    assertThat(interception.to().map(InetAddress::isAnyLocalAddress).orElse(false)).isFalse();
  }

  @ParameterizedTest
  @ValueSource(strings = {"127.0.0.1:8181", "[::1]:8181", "0.0.0.0:0"})
  void anAddressThatPodsCannotReachIsRefused(String listen) {
    assertThatThrownBy(() -> Interception.of(interfaces, Address.parse(listen)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("metadata.listen");
  }

  @Test
  void itsTextSaysWhatIsLedWhere() {
    assertThat(new Interception(interfaces, Optional.empty(), 8181))
        .hasToString("cni0 eni+ -> the interface's own address:8181");
  }
}
