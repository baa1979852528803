package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetSocketAddress;
import nodeward.config.Address;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ListeningSocketTest {
  @ParameterizedTest
  @CsvSource({
    "0.0.0.0, 8181, 0.0.0.0:8181, true",
    "'::', 8181, 0.0.0.0:8181, true",
    "10.0.0.1, 8181, 10.0.0.1:8181, true",
    "10.0.0.1, 8181, 0.0.0.0:8181, false",
    "0.0.0.0, 8181, 10.0.0.1:8181, false",
    "0.0.0.0, 8182, 0.0.0.0:8181, false"
  })
  void aSocketThatIsHeldServesItsOwnAddressAlone(
      String host, int port, String wanted, boolean isFor) {
    assertThat(ListeningSocket.isFor(new InetSocketAddress(host, port), Address.parse(wanted)))
        .isEqualTo(isFor);
  }

  @Test
  void withoutOneANewSocketIsBoundAndClosed() throws IOException {
    var channel = ListeningSocket.open(Address.parse("127.0.0.1:0"), 16);
    var bound = (InetSocketAddress) channel.getLocalAddress();

    assertThatThrownBy(
            () -> ListeningSocket.open(Address.parse("127.0.0.1:" + bound.getPort()), 16))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("127.0.0.1:" + bound.getPort());

    ListeningSocket.close(channel);
    assertThat(channel.isOpen()).isFalse();
  }
}
