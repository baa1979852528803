package nodeward.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ControlServerTest {
  @TempDir private Path dir;
  private Path socket;
  private ControlServer server;

  @BeforeEach
  void start() throws IOException {
    socket = dir.resolve("run/control.sock");
    server =
        new ControlServer(
            socket,
            new AdminServerTest.Source(),
            Map.of("/order", ControlServerTest::order),
            Map.of(
                "/echo", parameters -> parameters,
                "/wrong",
                    _ -> {
                      throw new IllegalArgumentException("most is not a number");
                    },
                "/away",
                    _ -> {
                      throw new IOException("netlink: not permitted (EPERM)");
                    }));
    server.start();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void theStatusIsHadOverTheSocket() throws IOException {
    assertThat(new ControlClient(socket).get("/status"))
        .isEqualTo(AdminServerTest.Source.JSON + "\n");
  }

  private static String order(Map<String, String> parameters) {
    return switch (parameters.getOrDefault("for", "")) {
      case "green tea" -> "taken";
      case "coffee" -> throw new IllegalStateException("there is none");
      default -> throw new IllegalArgumentException("for what?");
    };
  }

  @Test
  void ordersAreTakenWithTheirParameters() throws IOException {
    var client = new ControlClient(socket);

    assertThat(client.post("/order", Map.of("for", "green tea"))).isEqualTo("taken\n");
    assertThatThrownBy(() -> client.post("/order", Map.of("for", "coffee")))
        .hasMessage("there is none");
  }

  @Test
  void aPageGetsTheParametersOfTheQuery() throws IOException {
    assertThat(new ControlClient(socket).get("/echo?by=pod&most=3&empty"))
        .isEqualTo("{\"by\":\"pod\",\"most\":\"3\",\"empty\":\"\"}\n");
    assertThat(new ControlClient(socket).get("/echo")).isEqualTo("{}\n");
  }

  @Test
  void whatAPageCannotShowIsSaid() {
    assertThatThrownBy(() -> new ControlClient(socket).get("/wrong"))
        .hasMessage("most is not a number");
    assertThatThrownBy(() -> new ControlClient(socket).get("/away"))
        .hasMessage("netlink: not permitted (EPERM)");
  }

  @Test
  void aPodIsExplainedOverTheSocket() throws IOException {
    assertThat(new ControlClient(socket).get("/explain/shop/cart-7d4f9.x"))
        .isEqualTo("{\"pod\":\"shop/cart-7d4f9.x\"}\n");
  }

  @Test
  void onlyTheOwnerMayOpenIt() throws IOException {
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
        .isEqualTo("rw-------");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket.getParent())))
        .isEqualTo("rwx------");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "GET /nothing HTTP/1.1|404",
        "GET /explain/ HTTP/1.1|404",
        "GET /explain/shop HTTP/1.1|404",
        "GET /explain/shop/a/b HTTP/1.1|404",
        "GET /explain/shop/%41 HTTP/1.1|404",
        "POST /explain/shop/cart HTTP/1.1|405",
        "POST /status HTTP/1.1|405",
        "GET /order?for=tea HTTP/1.1|405",
        "POST /order HTTP/1.1|400",
        "POST /order?for=coffee HTTP/1.1|409",
        "GET /status|400",
        "nonsense|400",
        "GET /status SMTP/1.1|400",
      })
  void wrongRequestsGetAClearAnswer(String line, int code) throws IOException {
    assertThat(ask(line + "\r\n\r\n")).startsWith("HTTP/1.1 " + code + " ");
  }

  @Test
  void anEndlessHeadIsCutOffAndSilentClientsDoNotKeepOthersOut() throws IOException {
    assertThat(ask("GET /" + "x".repeat(20_000))).isEmpty();

    var silent = new ArrayList<SocketChannel>();
    for (int i = 0; i < 10; i++) {
      silent.add(SocketChannel.open(UnixDomainSocketAddress.of(socket)));
    }
    assertThat(new ControlClient(socket).get("/status")).contains("node-1");
    for (SocketChannel client : silent) {
      client.close();
    }
  }

  @Test
  void aSecondAgentIsRefusedButALeftOverSocketIsNot() throws IOException {
    var second = new ControlServer(socket, new AdminServerTest.Source());
    assertThatThrownBy(second::start).hasMessageContaining("another agent answers");

    server.close();
    try (var left = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      left.bind(UnixDomainSocketAddress.of(socket));
    }
    second.start();
    assertThat(new ControlClient(socket).get("/status")).contains("node-1");
    second.close();
    assertThat(socket).doesNotExist();
  }

  @Test
  void withoutAnAgentTheClientSaysSo() {
    server.close();

    assertThatThrownBy(() -> new ControlClient(socket).get("/status"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("no agent runs here");
  }

  private String ask(String request) throws IOException {
    try (var client = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      client.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
      var answer = ByteBuffer.allocate(4096);
      try {
        while (client.read(answer) >= 0) {
          // until the server closes
        }
      } catch (IOException reset) {
        return "";
      }
      return new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8);
    }
  }
}
