package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import org.junit.jupiter.api.RepeatedTest;

final class PlainHttpTest {
  @RepeatedTest(20)
  void nobodyIsConnectedAfterItIsClosed() throws IOException {
    var server =
        new PlainHttp(
            new InetSocketAddress("127.0.0.1", 0), request -> PlainHttp.Answer.of(200, ""));
    server.start();
    InetSocketAddress address = server.address();
    // Who was answered knows that the accepting thread waits for the next one.
    URI.create("http://127.0.0.1:" + address.getPort()).toURL().openStream().close();
    server.close();

    try (var client = new Socket()) {
      assertThatThrownBy(() -> client.connect(address)).isInstanceOf(ConnectException.class);
    }
  }
}
