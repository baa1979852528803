package nodeward.linux;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.config.Probe;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
final class NodeProberTest {
  private static final Duration LONG = Duration.ofSeconds(20);
  private static final Duration SHORT = Duration.ofMillis(300);

  private final NodeProber prober = new NodeProber(() -> Optional.of("no rule in the firewall"));
  private final List<AutoCloseable> open = new ArrayList<>();

  @TempDir private Path directory;

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open.reversed()) {
      each.close();
    }
  }

  // --- tcp

  @Test
  void aPortThatAcceptsPasses() throws IOException {
    ServerSocket server = listen(1);

    assertThat(fails("tcp:127.0.0.1:" + server.getLocalPort(), LONG)).isEmpty();
  }

  @Test
  void aPortThatNobodyListensOnRefuses() throws IOException {
    int port = freePort();

    assertThat(fails("tcp:127.0.0.1:" + port, LONG)).contains("connection refused");
    assertThat(fails("http://127.0.0.1:" + port + "/healthz", LONG)).contains("connection refused");
  }

  @ParameterizedTest
  @ValueSource(strings = {"tcp:127.0.0.1:%d", "http://127.0.0.1:%d/healthz"})
  void aPortWhoseBacklogIsFullHasNotAnswered(String probe) throws Exception {
    ServerSocket server = listen(1);
    // The kernel drops what comes when the queue is full; more than enough are begun.
    for (int i = 0; i < 8; i++) {
      SocketChannel filler = SocketChannel.open();
      filler.configureBlocking(false);
      filler.connect(server.getLocalSocketAddress());
      open.add(filler);
    }
    poll(() -> fails("tcp:127.0.0.1:" + server.getLocalPort(), SHORT).isPresent());

    assertInTime(probe.formatted(server.getLocalPort()), "no answer within 300 ms");
  }

  @ParameterizedTest
  @ValueSource(strings = {"tcp:192.0.2.1:80", "http://192.0.2.1/healthz", "tcp:[2001:db8::1]:80"})
  void anAddressOfSomebodyElseIsNotAsked(String probe) {
    assertThat(fails(probe, LONG).orElseThrow()).endsWith("is no address of this node");
  }

  // --- http

  @ParameterizedTest
  @CsvSource({
    "200 OK, ",
    "204 No Content, ",
    "299 Fine, ",
    "301 Moved, answered 301",
    "404 Not Found, answered 404",
    "500 Internal Server Error, answered 500",
    "503 Service Unavailable, answered 503",
  })
  void theStatusDecides(String status, String why) throws IOException {
    int port = serve("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n").getLocalPort();

    assertThat(fails("http://127.0.0.1:" + port + "/healthz", LONG))
        .isEqualTo(Optional.ofNullable(why));
  }

  @Test
  void noRedirectIsFollowed() throws IOException {
    var asked = new AtomicInteger();
    ServerSocket target = listen(5);
    Thread.startVirtualThread(
        () -> {
          try (Socket ignored = target.accept()) {
            asked.incrementAndGet();
          } catch (IOException e) {
            // The test is over.
          }
        });
    String location = "http://127.0.0.1:" + target.getLocalPort() + "/";
    int port =
        serve("HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n")
            .getLocalPort();

    assertThat(fails("http://127.0.0.1:" + port + "/", LONG)).contains("answered 302");
    assertThat(asked).hasValue(0);
  }

  @Test
  void theBodyIsNotWaitedFor() throws IOException {
    int port = serve("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nok").getLocalPort();
    long start = System.nanoTime();

    assertThat(fails("http://127.0.0.1:" + port + "/", LONG)).isEmpty();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(LONG);
  }

  @Test
  void aServerThatAcceptsAndIsSilentHasNotAnswered() throws IOException {
    int port = serve("").getLocalPort();

    assertInTime("http://127.0.0.1:" + port + "/healthz", "no answer within 300 ms");
  }

  @Test
  void aServerThatDripsHasNotAnswered() throws IOException {
    ServerSocket server = listen(5);
    var over = new CountDownLatch(1);
    open.add(over::countDown);
    accepting(
        server,
        socket -> {
          socket.getOutputStream().write("HTTP/1.1 200 OK\r\nX: ".getBytes(US_ASCII));
          while (!over.await(20, TimeUnit.MILLISECONDS)) {
            socket.getOutputStream().write('x');
          }
        });

    assertInTime(
        "http://127.0.0.1:" + server.getLocalPort() + "/healthz", "no answer within 300 ms");
  }

  @Test
  void aServerThatDoesNotSpeakHttpFails() throws IOException {
    int port = serve("SSH-2.0-OpenSSH_9.9\r\n").getLocalPort();

    assertThat(fails("http://127.0.0.1:" + port + "/", LONG).orElseThrow())
        .isEqualTo("unexpected status line: SSH-2.0-OpenSSH_9.9");
  }

  @Test
  void aServerThatHangsUpFails() throws IOException {
    ServerSocket server = listen(5);
    accepting(server, socket -> {});

    assertThat(fails("http://127.0.0.1:" + server.getLocalPort() + "/", LONG)).isPresent();
  }

  // --- unix

  @Test
  void aSocketThatAcceptsPasses() throws IOException {
    Path path = directory.resolve("x.sock");
    listen(path, 5);

    assertThat(fails("unix:" + path, LONG)).isEmpty();
  }

  @Test
  void aSocketThatIsNotThereOrThatNobodyListensOnFails() throws IOException {
    Path path = directory.resolve("x.sock");
    assertThat(fails("unix:" + path, LONG)).contains("no such file or directory");

    listen(path, 5).close();
    assertThat(fails("unix:" + path, LONG)).contains("connection refused");
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aSocketWhoseBacklogIsFullHasNotAnswered(boolean virtual) throws Exception {
    Path path = directory.resolve("x.sock");
    listen(path, 1);
    boolean full = false;
    while (!full) {
      SocketChannel filler = SocketChannel.open(StandardProtocolFamily.UNIX);
      filler.configureBlocking(false);
      open.add(filler);
      try {
        full = !filler.connect(UnixDomainSocketAddress.of(path));
      } catch (IOException e) {
        full = true; // EAGAIN: there is no room
      }
    }
    var probe =
        new FutureTask<>(
            () -> {
              assertInTime("unix:" + path, "no answer within 300 ms");
              return true;
            });

    (virtual ? Thread.ofVirtual() : Thread.ofPlatform()).start(probe);

    assertThat(probe.get()).isTrue();
  }

  // --- file

  @ParameterizedTest
  @CsvSource({
    "10-calico.conflist, *.conflist",
    "10-calico.conflist, 10-calico.conflist",
    "10-calico.conflist, 1?-*.conf*",
    "a.b, a.b",
    ".hidden, .h*",
    "sub/x.conf, s*/x.conf",
    "sub/x.conf, s*/*.conf",
    "sub/x.conf, sub/x.conf",
  })
  void aFileThatMatchesPasses(String file, String glob) throws IOException {
    Path path = directory.resolve(file);
    Files.createDirectories(path.getParent());
    Files.createFile(path);

    assertThat(fails("file:" + directory + "/" + glob, LONG)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "10-calico.conf, *.conflist",
    "aXb, a.b",
    ".10-calico.conflist, *.conflist",
    ".hidden, ?hidden",
    "sub/x.conf, *",
    "sub/x.conf, *.conf",
    "sub/x.conf, sub",
    "sub/x.conf, none/*.conf",
    "sub, sub/*.conf",
    "x.conf, x.conf/y",
  })
  void aGlobThatMatchesNoFileIsTold(String file, String glob) throws IOException {
    Path path = directory.resolve(file);
    Files.createDirectories(path.getParent());
    Files.createFile(path);

    assertThat(fails("file:" + directory + "/" + glob, LONG).orElseThrow())
        .endsWith(directory + "/" + glob);
  }

  @Test
  void aLinkToNothingDoesNotMatch() throws IOException {
    Files.createSymbolicLink(directory.resolve("a.conf"), directory.resolve("none"));

    assertThat(fails("file:" + directory + "/*.conf", LONG))
        .contains("no file matches " + directory + "/*.conf");
  }

  @Test
  void aDirectoryThatLoopsIsTold() throws IOException {
    Path loop = directory.resolve("loop");
    Files.createSymbolicLink(loop, loop);

    assertThat(fails("file:" + loop + "/*", LONG).orElseThrow())
        .startsWith("cannot read " + loop + ": ");
  }

  // --- metadata-proxy

  @Test
  void theMetadataProxyIsAskedThroughItsOwnVoice() {
    assertThat(fails("metadata-proxy", LONG)).contains("no rule in the firewall");
    assertThat(new NodeProber(Optional::empty).failure(new Probe.MetadataProxy(), LONG)).isEmpty();
  }

  // --- the stage

  private Optional<String> fails(String probe, Duration limit) {
    return prober.failure(Probe.parse(probe), limit);
  }

  private void assertInTime(String probe, String why) {
    long start = System.nanoTime();

    assertThat(fails(probe, SHORT)).contains(why);

    assertThat(Duration.ofNanos(System.nanoTime() - start))
        .isBetween(SHORT.minusMillis(1), LONG.dividedBy(2));
  }

  private ServerSocket listen(int backlog) throws IOException {
    var server = new ServerSocket(0, backlog, InetAddress.getByName("127.0.0.1"));
    open.add(server);
    return server;
  }

  private ServerSocketChannel listen(Path path, int backlog) throws IOException {
    var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    open.add(server);
    return server.bind(UnixDomainSocketAddress.of(path), backlog);
  }

  /** Nobody else gets the port while it is bound, and nobody listens on it. */
  private int freePort() throws IOException {
    var bound = new Socket();
    open.add(bound);
    bound.bind(new InetSocketAddress("127.0.0.1", 0));
    return bound.getLocalPort();
  }

  /** Answers each request with this text and leaves the connection open. */
  private ServerSocket serve(String answer) throws IOException {
    ServerSocket server = listen(5);
    var over = new CountDownLatch(1);
    open.add(over::countDown);
    accepting(
        server,
        socket -> {
          socket.getOutputStream().write(answer.getBytes(US_ASCII));
          over.await();
        });
    return server;
  }

  @FunctionalInterface
  private interface Conversation {
    void with(Socket socket) throws IOException, InterruptedException;
  }

  private static void accepting(ServerSocket server, Conversation conversation) {
    Thread.startVirtualThread(
        () -> {
          while (!server.isClosed()) {
            try {
              Socket socket = server.accept();
              Thread.startVirtualThread(() -> converse(socket, conversation));
            } catch (IOException e) {
              return;
            }
          }
        });
  }

  private static void converse(Socket socket, Conversation conversation) {
    try (socket) {
      byte[] request = new byte[1024];
      if (socket.getInputStream().read(request) > 0) {
        conversation.with(socket);
      }
    } catch (IOException e) {
      // The prober has hung up.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @FunctionalInterface
  private interface Question {
    boolean ask() throws Exception;
  }

  private static void poll(Question question) throws Exception {
    long deadline = System.nanoTime() + LONG.toNanos();
    while (!question.ask()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
      Thread.sleep(10);
    }
  }
}
