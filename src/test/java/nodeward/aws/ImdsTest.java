package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.LockSupport;
import nodeward.component.FakeTime;
import nodeward.component.Time;
import nodeward.metadata.Credentials;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import software.amazon.awssdk.auth.credentials.InstanceProfileCredentialsProvider;
import software.amazon.awssdk.profiles.ProfileFile;

class ImdsTest {
  private static final String ID = "/latest/meta-data/instance-id";
  private static final Duration SHORT = Duration.ofMillis(300);

  private final FakeTime time = new FakeTime();
  private FakeImds server;
  private Imds imds;

  @BeforeEach
  void start() throws IOException {
    server = FakeImds.start(new InetSocketAddress("127.0.0.1", 0), time);
    imds = new Imds(server.endpoint(), time);
  }

  @AfterEach
  void close() {
    imds.close();
    server.close();
  }

  @Test
  void oneTokenAndOneConnectionServeAllRequests() throws IOException {
    for (int i = 0; i < 20; i++) {
      assertThat(imds.get(ID)).contains(FakeImds.INSTANCE_ID);
    }

    assertThat(server.requests(FakeImds.TOKEN)).isEqualTo(1);
    assertThat(server.connections()).isEqualTo(1);
  }

  @Test
  void manyThreadsShareTheOneConnection() throws Exception {
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<String>> answers = new ArrayList<>();
      for (int i = 0; i < 30; i++) {
        answers.add(threads.submit(() -> imds.instanceId()));
      }
      for (Future<String> answer : answers) {
        assertThat(answer.get()).isEqualTo(FakeImds.INSTANCE_ID);
      }
    }

    assertThat(server.connections()).isEqualTo(1);
    assertThat(server.requests(FakeImds.TOKEN)).isEqualTo(1);
  }

  @Test
  void aPathThatIsNotThereIsEmptyAndKeepsTheConnection() throws IOException {
    assertThat(imds.get(FakeImds.SPOT)).isEmpty();
    assertThat(imds.get(FakeImds.TARGET_STATE)).isEmpty();

    assertThat(server.connections()).isEqualTo(1);
  }

  @Test
  void theTokenIsRenewedBeforeItExpires() throws IOException {
    imds.get(ID);

    time.advance(Duration.ofSeconds(21_600 - 301));
    imds.get(ID);
    assertThat(server.requests(FakeImds.TOKEN)).isEqualTo(1);
    time.advance(Duration.ofSeconds(2));
    imds.get(ID);

    assertThat(server.requests(FakeImds.TOKEN)).isEqualTo(2);
    assertThat(server.requests(ID)).isEqualTo(3);
  }

  @Test
  void aRefusedTokenIsReplacedOnceAndTheRequestRepeatedOnce() throws IOException {
    imds.get(ID);
    server.fail(ID, FakeImds.Fault.UNAUTHORIZED, 1);

    assertThat(imds.get(ID)).contains(FakeImds.INSTANCE_ID);

    assertThat(server.requests(FakeImds.TOKEN)).isEqualTo(2);
    assertThat(server.requests(ID)).isEqualTo(3);
  }

  @Test
  void aFreshTokenThatIsRefusedTooIsAnError() throws IOException {
    imds.get(ID);
    server.fail(ID, FakeImds.Fault.UNAUTHORIZED);

    assertThatThrownBy(() -> imds.get(ID))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(ID)
        .hasMessageContaining("a fresh token is refused (401)");

    assertThat(server.requests(FakeImds.TOKEN)).isEqualTo(2);
    assertThat(server.requests(ID)).isEqualTo(3);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          FORBIDDEN | instance metadata is switched off or not allowed
          BUSY      | busy (503)
          """)
  void faultsAreErrorsThatNameThePath(FakeImds.Fault fault, String text) {
    server.fail(ID, fault);

    assertThatThrownBy(() -> imds.get(ID))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(ID)
        .hasMessageContaining(text);
  }

  @Test
  void garbageIsNeverTakenForAName() {
    server.fail(ID, FakeImds.Fault.GARBAGE);

    assertThatThrownBy(() -> imds.instanceId())
        .isInstanceOf(IOException.class)
        .hasMessageContaining("not a name");
  }

  @Test
  void withoutATokenNothingIsAskedInTheOldWay() {
    server.httpTokens(FakeImds.HttpTokens.OPTIONAL).fail(FakeImds.TOKEN, FakeImds.Fault.FORBIDDEN);

    assertThatThrownBy(() -> imds.get(ID)).hasMessageContaining("no token (403)");

    assertThat(server.requests(ID)).isZero();
  }

  @Test
  void aTokenRequestThatTimesOutSpeaksOfTheHopLimit() throws IOException {
    server.fail(FakeImds.TOKEN, FakeImds.Fault.HANG);
    try (Imds hasty = new Imds(server.endpoint(), time, SHORT, SHORT)) {
      assertThatThrownBy(() -> hasty.get(ID))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("hop limit");
    }
  }

  @Test
  void aRequestThatHangsIsGivenUpAndTheNextOneUsesAFreshConnection() throws IOException {
    try (Imds hasty = new Imds(server.endpoint(), time, SHORT, SHORT)) {
      hasty.get(ID);
      server.fail(ID, FakeImds.Fault.HANG);

      assertThatThrownBy(() -> hasty.get(ID)).hasMessageContaining("no whole answer within 300 ms");
      server.recover();

      assertThat(hasty.get(ID)).contains(FakeImds.INSTANCE_ID);
      assertThat(server.connections()).isEqualTo(2);
    }
  }

  @Test
  void aRefusedConnectionIsNotBlamedOnTheHopLimit() throws IOException {
    URI nobody = server.endpoint();
    server.close();
    try (Imds alone = new Imds(nobody, time)) {
      assertThatThrownBy(() -> alone.get(ID))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("no connection")
          .hasMessageNotContaining("hop limit");
    }
  }

  @Test
  void aServerThatRestartedIsReachedAgain() throws IOException {
    imds.get(ID);
    InetSocketAddress address = new InetSocketAddress("127.0.0.1", server.port());
    server.close();
    server = startedAgain(address);

    assertThat(imds.get(ID)).contains(FakeImds.INSTANCE_ID);
  }

  /** Another process may have the port meanwhile, for a connection that it makes. */
  private FakeImds startedAgain(InetSocketAddress address) throws IOException {
    long end = System.nanoTime() + Duration.ofSeconds(20).toNanos();
    while (true) {
      try {
        return FakeImds.start(address, time);
      } catch (BindException taken) {
        if (System.nanoTime() > end) {
          throw taken;
        }
        LockSupport.parkNanos(Duration.ofMillis(10).toNanos());
      }
    }
  }

  @Test
  void afterCloseNothingIsAsked() throws IOException {
    imds.get(ID);
    imds.close();

    assertThatThrownBy(() -> imds.get(ID)).hasMessageContaining("closed");
  }

  @Test
  void pathsCannotCarryHeaders() {
    assertThatThrownBy(() -> imds.get("/latest\r\nX-Evil: 1"))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void tellsWhoTheInstanceIs() throws IOException {
    assertThat(imds.instanceId()).isEqualTo(FakeImds.INSTANCE_ID);
    assertThat(imds.region()).isEqualTo(FakeImds.REGION);
    assertThat(imds.identity())
        .isEqualTo(
            new Imds.InstanceIdentity(
                FakeImds.ACCOUNT,
                FakeImds.INSTANCE_ID,
                FakeImds.REGION,
                FakeImds.REGION + "a",
                "m7i.large"));
  }

  @Test
  void theRegionComesFromTheIdentityWhereThePathIsMissing() throws IOException {
    server.remove("/latest/meta-data/placement/region");

    assertThat(imds.region()).isEqualTo(FakeImds.REGION);
  }

  @ParameterizedTest
  @CsvSource({
    "arn:aws:iam::123456789012:instance-profile/node, arn:aws:iam::123456789012:role/",
    "arn:aws-cn:iam::123456789012:instance-profile/a/b/node, arn:aws-cn:iam::123456789012:role/",
    "arn:aws-us-gov:iam::123456789012:instance-profile/n, arn:aws-us-gov:iam::123456789012:role/"
  })
  void theBaseRoleArnKeepsPartitionAndAccount(String profile, String base) throws IOException {
    server.instanceProfile(profile);

    assertThat(imds.baseRoleArn()).contains(base);
  }

  @Test
  void withoutAnInstanceProfileThereIsNoBaseRole() throws IOException {
    server.noInstanceProfile();

    assertThat(imds.baseRoleArn()).isEmpty();
    assertThatThrownBy(() -> imds.nodeCredentials())
        .hasMessageContaining("the instance has no instance profile");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "[]",
        "nonsense {",
        "",
        "{\"InstanceProfileArn\":\"arn:aws:iam::1:role/x\"}"
      })
  void aMalformedProfileIsAnError(String body) {
    server.put(FakeImds.INFO, body);

    assertThatThrownBy(() -> imds.baseRoleArn())
        .isInstanceOf(IOException.class)
        .hasMessageContaining(FakeImds.INFO);
  }

  @Test
  void readsTheNodesOwnCredentials() throws IOException {
    Instant expiration = Instant.parse("2026-11-21T14:00:00Z");
    server.nodeCredentials("ASIANEW", expiration);

    assertThat(imds.nodeCredentials())
        .isEqualTo(
            new Credentials("ASIANEW", FakeImds.NODE_SECRET, FakeImds.NODE_TOKEN, expiration));
  }

  @Test
  void aRoleThatCannotBeAssumedIsToldInAwssWords() {
    server.put(
        FakeImds.ROLES + FakeImds.NODE_ROLE,
        """
        {"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role"}\
        """);

    assertThatThrownBy(() -> imds.nodeCredentials())
        .isInstanceOf(IOException.class)
        .hasMessageContaining("AssumeRoleUnauthorizedAccess: EC2 cannot assume the role");
  }

  @Test
  void brokenCredentialsAreNotQuoted() {
    server.put(FakeImds.ROLES + FakeImds.NODE_ROLE, "{\"SecretAccessKey\":\"hush\", broken");

    assertThatThrownBy(() -> imds.nodeCredentials())
        .isInstanceOf(IOException.class)
        .hasMessageNotContaining("hush")
        .hasNoCause();
  }

  // --- answers that the fake does not give

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          ssh-2.0 hello\\r\\n                                         | not HTTP
          HTTP/1.1 302 Found\\r\\nLocation: /x\\r\\nContent-Length: 0\\r\\n\\r\\n | unexpected status 302
          HTTP/1.1 200 OK\\r\\nContent-Length: 99999999\\r\\n\\r\\nx         | larger than 65536
          HTTP/1.1 200 OK\\r\\nContent-Length: -1\\r\\n\\r\\n                | broken length
          HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nshort           | closed in the middle
          HTTP/1.1 200 OK\\r\\nno colon\\r\\n\\r\\n                          | broken header
          HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n | broken length
          """)
  void brokenAnswersAreErrors(String answer, String text) throws Exception {
    try (Scripted scripted = new Scripted(answer);
        Imds client = new Imds(scripted.endpoint(), Time.SYSTEM, SHORT, SHORT)) {
      assertThatThrownBy(() -> client.get(ID))
          .isInstanceOf(IOException.class)
          .hasMessageContaining(text);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ni-01",
        "HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\ni-01",
        "HTTP/1.0 200 OK\\r\\n\\r\\ni-01",
        "HTTP/1.1 100 Continue\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ni-01",
        "HTTP/1.1 200 OK\\r"
            + "\\n"
            + "Transfer-Encoding: chunked\\r"
            + "\\n"
            + "\\r"
            + "\\n"
            + "2;x=y\\r"
            + "\\n"
            + "i-\\r"
            + "\\n"
            + "2\\r"
            + "\\n"
            + "01\\r"
            + "\\n"
            + "0\\r"
            + "\\n"
            + "\\r"
            + "\\n"
      })
  void everyFormOfAnAnswersEndIsUnderstood(String answer) throws Exception {
    try (Scripted scripted = new Scripted(answer);
        Imds client = new Imds(scripted.endpoint(), Time.SYSTEM, SHORT, SHORT)) {
      assertThat(client.instanceId()).isEqualTo("i-01");
      assertThat(client.instanceId()).isEqualTo("i-01");
    }
  }

  @Test
  void aBodyWithoutEndIsGivenUp() throws Exception {
    String endless = "HTTP/1.1 200 OK\\r\\n\\r\\n" + "x".repeat(70_000);
    try (Scripted scripted = new Scripted(endless);
        Imds client = new Imds(scripted.endpoint(), Time.SYSTEM, SHORT, SHORT)) {
      assertThatThrownBy(() -> client.get(ID)).hasMessageContaining("larger than 65536");
    }
  }

  // --- the fake itself

  @ParameterizedTest
  @CsvSource({"0, 400", "21601, 400", "x, 400", "'', 400", "1, 200", "21600, 200"})
  void theFakeGivesTokensByTheRulesOfVersionTwo(String ttl, int status) throws Exception {
    HttpRequest.Builder put =
        HttpRequest.newBuilder(server.endpoint().resolve(FakeImds.TOKEN))
            .PUT(HttpRequest.BodyPublishers.noBody());
    if (!ttl.isEmpty()) {
      put.header("X-aws-ec2-metadata-token-ttl-seconds", ttl);
    }

    HttpResponse<String> reply = send(put.build());

    assertThat(reply.statusCode()).isEqualTo(status);
    if (status == 200) {
      assertThat(reply.headers().firstValue("X-aws-ec2-metadata-token-ttl-seconds")).contains(ttl);
    }
  }

  @Test
  void theFakeRefusesForwardedTokenRequestsAndRequestsWithoutAToken() throws Exception {
    HttpResponse<String> forwarded =
        send(
            HttpRequest.newBuilder(server.endpoint().resolve(FakeImds.TOKEN))
                .PUT(HttpRequest.BodyPublishers.noBody())
                .header("X-aws-ec2-metadata-token-ttl-seconds", "60")
                .header("X-Forwarded-For", "10.0.0.1")
                .build());
    HttpResponse<String> bare =
        send(HttpRequest.newBuilder(server.endpoint().resolve(ID)).GET().build());

    assertThat(forwarded.statusCode()).isEqualTo(403);
    assertThat(bare.statusCode()).isEqualTo(401);
  }

  @Test
  void theSdksOwnClientReadsTheFake() throws IOException {
    try (FakeImds real = FakeImds.start();
        InstanceProfileCredentialsProvider provider =
            InstanceProfileCredentialsProvider.builder()
                .endpoint(real.endpoint().toString())
                .profileFile(
                    () ->
                        ProfileFile.builder()
                            .content(InputStream.nullInputStream())
                            .type(ProfileFile.Type.CONFIGURATION)
                            .build())
                .build()) {
      assertThat(provider.resolveCredentials().accessKeyId()).isEqualTo(FakeImds.NODE_ACCESS_KEY);
    }
  }

  private static HttpResponse<String> send(HttpRequest request) throws Exception {
    try (HttpClient client = HttpClient.newHttpClient()) {
      return client.send(request, HttpResponse.BodyHandlers.ofString());
    }
  }

  /** Gives a token, then always the same bytes, in which \r and \n are written out. */
  private static final class Scripted implements AutoCloseable {
    private static final String TOKEN =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nt0";

    private final ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
    private final String answer;

    Scripted(String answer) throws IOException {
      this.answer = answer.replace("\\r", "\r").replace("\\n", "\n");
      Thread.ofVirtual().start(this::accept);
    }

    URI endpoint() {
      return URI.create("http://127.0.0.1:" + server.getLocalPort());
    }

    private void accept() {
      while (!server.isClosed()) {
        try {
          Socket socket = server.accept();
          Thread.ofVirtual().start(() -> serve(socket));
        } catch (IOException e) {
          return;
        }
      }
    }

    private void serve(Socket socket) {
      try (socket) {
        while (true) {
          String request = head(socket.getInputStream());
          if (request.isEmpty()) {
            return;
          }
          boolean token = request.startsWith("PUT");
          socket
              .getOutputStream()
              .write((token ? TOKEN : answer).getBytes(StandardCharsets.ISO_8859_1));
          boolean whole = answer.contains("Content-Length: 4") || answer.contains("chunked");
          if (!token && !whole) {
            return;
          }
        }
      } catch (IOException e) {
        // The client has gone.
      }
    }

    private static String head(InputStream in) throws IOException {
      StringBuilder head = new StringBuilder();
      while (head.indexOf("\r\n\r\n") < 0) {
        int octet = in.read();
        if (octet < 0) {
          return "";
        }
        head.append((char) octet);
      }
      return head.toString();
    }

    @Override
    public void close() throws IOException {
      server.close();
    }
  }
}
