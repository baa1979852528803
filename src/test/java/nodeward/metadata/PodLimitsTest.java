package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import nodeward.metadata.PodClient.Response;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What one pod can do to the others: nothing. */
class PodLimitsTest {
  private static final String LISTING = "/latest/meta-data/iam/security-credentials";
  private static final String GOOD = "127.0.0.2";
  private static final String BAD = "127.0.0.3";
  private static final PodServer.Limits SHORT =
      new PodServer.Limits(
          new Callers.Most(8, 4, 64 * 1024, 64),
          Duration.ofMillis(200),
          Duration.ofMillis(500),
          Duration.ofMillis(500));

  private final TestProxy test = new TestProxy();
  private final List<AutoCloseable> open = new ArrayList<>();

  @BeforeEach
  void pods() {
    test.pod("good", GOOD, "reader");
    test.pod("bad", BAD, "writer");
  }

  @AfterEach
  void stop() throws Exception {
    for (AutoCloseable one : open) {
      one.close();
    }
    test.close();
  }

  @Test
  void o12AThousandConnectionsOfOnePodDoNotHurtAnother() throws Exception {
    test.start(new TestProxy.Settings());
    for (int i = 0; i < 1000; i++) {
      var socket = new Socket();
      open.add(socket);
      socket.bind(new InetSocketAddress(InetAddress.ofLiteral(BAD), 0));
      socket.connect(test.proxy().address());
    }
    TestProxy.await(() -> test.requests("connections") == 1000 - 64);

    for (int i = 0; i < 20; i++) {
      assertThat(test.ask(GOOD, "GET", LISTING + "/reader").status()).isEqualTo(200);
    }
    TestProxy.await(() -> Integer.valueOf(64).equals(test.proxy().status().get("connections")));
  }

  @Test
  void o12AFloodOfRequestsOfOnePodDoesNotHurtAnother() throws Exception {
    test.start(new TestProxy.Settings());
    var stop = new AtomicBoolean();
    String requests =
        ("GET " + LISTING + "/writer HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n").repeat(100);
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int i = 0; i < 32; i++) {
        PodClient flood = test.client(BAD);
        open.add(flood);
        threads.execute(
            () -> {
              try {
                while (!stop.get()) {
                  flood.write(requests); // and its answers are never read
                }
              } catch (IOException e) {
                stop.get(); // cut off
              }
            });
      }

      for (int i = 0; i < 50; i++) {
        assertThat(test.ask(GOOD, "GET", LISTING + "/reader").status()).isEqualTo(200);
      }
      stop.set(true);
      for (AutoCloseable one : open) {
        one.close();
      }
    }
  }

  @Test
  void o12RequestsThatWaitAreCountedForEachPod() throws Exception {
    CountDownLatch gate = test.sts.hang();
    test.start(new TestProxy.Settings().limits(SHORT));
    var answers = new ArrayList<Future<Response>>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int i = 0; i < 8; i++) {
        answers.add(threads.submit(() -> test.ask(BAD, "GET", LISTING + "/writer")));
      }
      TestProxy.await(() -> test.requests("busy") == 4);
      assertThat(test.ask(GOOD, "GET", LISTING).status()).isEqualTo(200);
      gate.countDown();
    }
    var statuses = new ArrayList<Integer>();
    for (Future<Response> answer : answers) {
      statuses.add(answer.get().status());
    }

    assertThat(statuses).filteredOn(s -> s == 200).hasSize(4);
    assertThat(statuses).filteredOn(s -> s == 503).hasSize(4);
    assertThat(test.ask(BAD, "GET", LISTING + "/writer").status()).isEqualTo(200);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "GET / HT",
        "GET " + LISTING + " HTTP/1.1\r\nHost: 169.254.169.254\r\nX: ",
        "PUT /latest/api/token HTTP/1.1\r\nHost: 169.254.169.254\r\n"
      })
  void o12ARequestThatDripsIsEndedInItsTimeAsAWhole(String begin) throws IOException {
    test.start(new TestProxy.Settings().limits(SHORT));
    try (var client = test.client(BAD)) {
      client.write(begin);
      long end = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (test.requests("slow") == 0 && System.nanoTime() < end) {
        client.write("x"); // each byte comes in time, the request does not
        LockSupport.parkNanos(10_000_000);
      }

      assertThat(client.read("GET").status()).isEqualTo(408);
      assertThat(client.closedByServer()).isTrue();
    }
    assertThat(test.requests("slow")).isEqualTo(1);
  }

  @Test
  void o12AnIdleConnectionIsClosedWithoutAWord() throws IOException {
    test.start(new TestProxy.Settings().limits(SHORT));
    try (var client = test.client(BAD);
        var silent = test.client(BAD)) {
      assertThat(client.send("GET", LISTING).status()).isEqualTo(200);

      assertThat(client.closedByServer()).isTrue();
      assertThat(silent.closedByServer()).isTrue();
    }
  }

  @Test
  void o12WhoDoesNotTakeHisAnswersIsCutOff() throws Exception {
    test.start(new TestProxy.Settings().limits(SHORT));
    try (var client = test.client(BAD)) {
      String request = "GET " + LISTING + " HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
      Thread flood =
          Thread.ofVirtual()
              .start(
                  () -> {
                    try {
                      while (true) {
                        client.write(request.repeat(100));
                      }
                    } catch (IOException e) {
                      Thread.currentThread().interrupt(); // cut off
                    }
                  });
      TestProxy.await(() -> Integer.valueOf(0).equals(test.proxy().status().get("connections")));
      flood.join(Duration.ofSeconds(20));

      assertThat(flood.isAlive()).isFalse();
    }
  }

  @Test
  void o12UnfinishedRequestsOfOnePodHaveABound() throws Exception {
    test.start(
        new TestProxy.Settings()
            .limits(
                new PodServer.Limits(
                    new Callers.Most(64, 4, 32 * 1024, 64),
                    Duration.ofSeconds(20),
                    Duration.ofSeconds(20),
                    Duration.ofSeconds(20))));
    for (int i = 0; i < 5; i++) {
      PodClient client = test.client(BAD);
      open.add(client);
      client.write("GET " + LISTING + " HTTP/1.1\r\nX: " + "a".repeat(10_000));
    }

    TestProxy.await(() -> test.requests("oversized") == 2);
    assertThat(test.ask(GOOD, "GET", LISTING).status()).isEqualTo(200);
  }

  @Test
  void aConnectionThatEndsMakesRoomForTheNext() throws Exception {
    test.start(new TestProxy.Settings().limits(SHORT));
    for (int i = 0; i < 100; i++) {
      try (var client = test.client(BAD)) {
        assertThat(client.send("GET", LISTING).status()).isEqualTo(200);
      }
      TestProxy.await(() -> Integer.valueOf(0).equals(test.proxy().status().get("connections")));
    }
    assertThat(test.requests("connections")).isZero();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/metrics",
        "/healthz",
        "/readyz",
        "/status",
        "/debug/store",
        "/debug/pprof/",
        "/drain",
        "/explain",
        "/"
      })
  void o10StatusMetricsAndDebugAreNotOnThisPort(String path) throws IOException {
    test.start(new TestProxy.Settings());

    for (String method : List.of("GET", "HEAD", "POST")) {
      Response response = test.ask(GOOD, method, path);

      assertThat(response.status()).isIn(404, 405);
      assertThat(response.body()).doesNotContain("nodeward_", "sessions", "shop");
    }
  }
}
