package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.Socket;
import org.junit.jupiter.api.RepeatedTest;

final class PlainHttpTest {
  @RepeatedTest(20)
  void nobodyIsConnectedAfterItIsClosed() throws IOException, InterruptedException {
    var server =
        new PlainHttp(
            new InetSocketAddress("127.0.0.1", 0), request -> PlainHttp.Answer.of(200, ""));
    server.start();
    InetSocketAddress address = server.address();
    // The accepting thread is in its wait by then, which is what made the difference.
    Thread.sleep(2);
    server.close();

    try (var client = new Socket()) {
      assertThatThrownBy(() -> client.connect(address)).isInstanceOf(ConnectException.class);
    }
  }
}
