package nodeward.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import nodeward.aws.FakeImds;
import nodeward.linux.FakeCri;
import nodeward.simulator.SimulatedNode;

/**
 * How pods come to their credentials: many cold callers at once, the first request of a pod that
 * was just bound, and what a full node costs after many pods have come and gone.
 */
final class Sessions implements Area {
  private static final int CALLERS = 50;
  private static final int BOUND = 30;
  private static final int FULL = 250;
  private static final int ROLES = 100;
  private static final int CHURNED = 1000;
  private static final Duration STS = Duration.ofMillis(100);
  // From a pod's binding to its container's first act: a sandbox and a container are made.
  private static final Duration CONTAINER_START = Duration.ofMillis(400);
  private static final Duration LIMIT = Duration.ofMinutes(3);

  @Override
  public String name() {
    return "credentials";
  }

  @Override
  public List<Figure> measure(Setting setting) throws IOException, InterruptedException {
    var figures = new ArrayList<Figure>();
    try (var world = new BenchNode(setting.directory().resolve("sessions"), setting.agent())) {
      long pid = world.start(Map.of()).pid();
      await("the pods' credentials are there", () -> sessions(world) >= 10);
      cold(setting, world, figures);
      bound(setting, world, figures, Duration.ZERO, "at its binding", 1000);
      bound(setting, world, figures, CONTAINER_START, "400 ms after", 2000);
      churn(setting, world, pid, figures);
    }
    return figures;
  }

  private static void cold(Setting setting, BenchNode world, List<Figure> figures)
      throws InterruptedException {
    String role = "arn:aws:iam::" + FakeImds.ACCOUNT + ":role/cold";
    Runnable answer = world.node.sts.hold(role);
    String pod = pod(world, 900, "cold");
    setting.say("%d callers ask for one role that nobody has asked for before", CALLERS);
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      var asks =
          IntStream.range(0, CALLERS)
              .mapToObj(i -> CompletableFuture.runAsync(() -> ask(world, pod, "cold"), threads))
              .toList();
      TimeUnit.MILLISECONDS.sleep(1500);
      answer.run();
      asks.forEach(CompletableFuture::join);
    }
    figures.add(
        Figure.of(
                "AssumeRole calls for %d cold callers".formatted(CALLERS),
                "",
                world.node.sts.assumptions(role))
            .atMost(1));
  }

  /** Token, role and credentials, as an SDK asks; STS takes its time. */
  private static void bound(
      Setting setting,
      BenchNode world,
      List<Figure> figures,
      Duration later,
      String when,
      int first)
      throws InterruptedException {
    setting.say("%d pods are bound, and ask %s", BOUND, when);
    var millis = new double[BOUND];
    for (int i = 0; i < BOUND; i++) {
      String role = "new-" + (first + i);
      world.node.sts.delay("arn:aws:iam::" + FakeImds.ACCOUNT + ":role/" + role, STS);
      String pod = pod(world, first + i, role);
      TimeUnit.NANOSECONDS.sleep(later.toNanos());
      long began = System.nanoTime();
      ask(world, pod, role);
      millis[i] = (System.nanoTime() - began) / 1e6;
    }
    Arrays.sort(millis);
    String what = "first credentials of a pod that asks " + when + ", STS taking 100 ms, ";
    figures.add(Figure.of(what + "median", "ms", millis[BOUND / 2]));
    figures.add(Figure.of(what + "slowest", "ms", millis[BOUND - 1]).atMost(1000));
  }

  private static void churn(Setting setting, BenchNode world, long pid, List<Figure> figures)
      throws IOException, InterruptedException {
    var process = new ProcessFigures(pid);
    setting.say("%d pods of %d roles, then %d pods come and go", FULL, ROLES, CHURNED);
    for (int i = 0; i < FULL; i++) {
      pod(world, 3000 + i, "full-" + i % ROLES);
    }
    await("the full node's credentials are there", () -> sessions(world) >= FULL);
    TimeUnit.SECONDS.sleep(10);
    var full = process.memory();
    for (int i = 0; i < CHURNED; i++) {
      int old = 3000 + i;
      int young = 3000 + FULL + i;
      world.node.api.delete("pods", "shop", "bench-" + old);
      world.node.sandboxes().remove("bench-" + old);
      pod(world, young, "full-" + young % ROLES);
      TimeUnit.MILLISECONDS.sleep(20);
    }
    await(
        "the last pods' credentials are there",
        () ->
            world.node.sts.assumptions().stream()
                .anyMatch(a -> a.sessionName().equals("shop.bench-" + (2999 + FULL + CHURNED))));
    TimeUnit.SECONDS.sleep(20);
    var churned = process.memory();
    figures.add(
        Figure.of("RSS with %d pods of %d roles".formatted(FULL, ROLES), "MiB", full.resident()));
    figures.add(
        Figure.of("RSS after %,d pods came and went".formatted(CHURNED), "MiB", churned.resident())
            .atMost(150));
    figures.add(Figure.of("anonymous memory after that", "MiB", churned.anonymous()));
    figures.add(
        Figure.of("sessions held after that", "", sessions(world))
            .atMost(FULL + BenchNode.PODS + 2.0 * BOUND + 1));
  }

  /** A pod that the API server has bound and containerd runs, but whose address only it knows. */
  private static String pod(BenchNode world, int number, String role) {
    String address = "127.78.%d.%d".formatted(number / 250, 1 + number % 250);
    world.node.api.put(
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: bench-%1$d
          namespace: shop
          uid: uid-bench-%1$d
          annotations: {iam.amazonaws.com/role: %2$s}
        spec:
          nodeName: %3$s
          serviceAccountName: shop
          containers: [{name: main, image: "shop/app:1.4.2"}]
        status: {phase: Pending}
        """
            .formatted(number, role, SimulatedNode.NAME));
    world
        .node
        .sandboxes()
        .put(
            FakeCri.Box.ready("bench-" + number, "shop", "bench-" + number, address)
                .with(Map.of("iam.amazonaws.com/role", role)));
    return address;
  }

  private static int sessions(BenchNode world) throws IOException {
    for (String line : world.node.get("/metrics").body().split("\n")) {
      if (line.startsWith("nodeward_metadata_sessions ")) {
        return (int) Double.parseDouble(line.substring(line.indexOf(' ') + 1));
      }
    }
    throw new IOException("the agent has no metric of its sessions");
  }

  private static void ask(BenchNode world, String pod, String role) {
    String token =
        send(world, pod, "PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600");
    String with = "X-aws-ec2-metadata-token: " + token;
    String name = send(world, pod, "GET /latest/meta-data/iam/security-credentials/", with);
    if (!name.equals(role)) {
      throw new IllegalStateException(pod + " has role " + name + " instead of " + role);
    }
    String keys = send(world, pod, "GET /latest/meta-data/iam/security-credentials/" + role, with);
    if (!keys.contains("AccessKeyId")) {
      throw new IllegalStateException(pod + " got " + keys);
    }
  }

  private static String send(BenchNode world, String pod, String request, String header) {
    try (var socket = new Socket()) {
      socket.setSoTimeout(20_000);
      socket.bind(new InetSocketAddress(InetAddress.ofLiteral(pod), 0));
      socket.connect(world.node.proxy());
      socket
          .getOutputStream()
          .write(
              "%s HTTP/1.1\r\nHost: 169.254.169.254\r\n%s\r\nConnection: close\r\n\r\n"
                  .formatted(request, header)
                  .getBytes(StandardCharsets.US_ASCII));
      String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
      if (!answer.startsWith("HTTP/1.1 200 ")) {
        throw new IOException(request + " of " + pod + " was answered " + answer);
      }
      return answer.substring(answer.indexOf("\r\n\r\n") + 4);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void await(String what, BenchNode.Condition condition)
      throws IOException, InterruptedException {
    long end = System.nanoTime() + LIMIT.toNanos();
    while (!condition.holds()) {
      if (System.nanoTime() > end) {
        throw new IOException("not within " + LIMIT.toSeconds() + " s: " + what);
      }
      TimeUnit.MILLISECONDS.sleep(100);
    }
  }
}
