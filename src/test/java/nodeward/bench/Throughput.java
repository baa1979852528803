package nodeward.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * The path of cached credentials over 1, 16 and 64 kept connections of one pod, each of which asks
 * again when it has its answer. The load comes from one thread of this process, on the same cores.
 */
final class Throughput implements Area {
  private static final int[] CONNECTIONS = {1, 16, 64};
  private static final int ROUNDS = 3;
  private static final Duration ROUND = Duration.ofSeconds(4);
  private static final Duration WARM_UP = Duration.ofSeconds(6);

  @Override
  public String name() {
    return "proxy";
  }

  @Override
  public List<Figure> measure(Setting setting) throws IOException, InterruptedException {
    var figures = new ArrayList<Figure>();
    try (var world = new BenchNode(setting.directory().resolve("proxy"), setting.agent())) {
      var agent = new ProcessFigures(world.start(Map.of()).pid());
      double before = agent.memory().resident();
      setting.say("cached credentials, %d s to warm up", WARM_UP.toSeconds());
      run(world, 16, WARM_UP);
      for (int connections : CONNECTIONS) {
        var rounds = new ArrayList<Result>();
        Duration cpu = agent.cpu();
        for (int i = 0; i < ROUNDS; i++) {
          rounds.add(run(world, connections, ROUND));
        }
        long requests = rounds.stream().mapToLong(r -> r.nanos.length).sum();
        double micros = agent.cpu().minus(cpu).toNanos() / 1e3 / requests;
        setting.say("%d connections: %s", connections, rounds);
        figures.addAll(figures(connections, rounds, micros));
      }
      figures.add(Figure.of("RSS before the load", "MiB", before));
      figures.add(Figure.of("RSS after the load", "MiB", agent.memory().resident()).atMost(150));
    }
    return figures;
  }

  /** The median round of each kind of figure: other work on the machine comes and goes. */
  private static List<Figure> figures(int connections, List<Result> rounds, double micros) {
    String at = "cached credentials, %d connections, ".formatted(connections);
    return List.of(
        beside(Figure.of(at + "requests", "/s", median(rounds, Result::aSecond))),
        beside(Figure.of(at + "p50", "ms", median(rounds, r -> r.millis(0.5)))),
        beside(Figure.of(at + "p99", "ms", median(rounds, r -> r.millis(0.99)))),
        Figure.of(at + "CPU of the agent for a request", "µs", micros));
  }

  private static Figure beside(Figure figure) {
    return figure.beside(Peers.CREDENTIALS_PROXY, OptionalDouble.empty());
  }

  private static double median(
      List<Result> rounds, java.util.function.ToDoubleFunction<Result> figure) {
    double[] all = rounds.stream().mapToDouble(figure).sorted().toArray();
    return all[all.length / 2];
  }

  /** How long each request took, sorted. */
  private record Result(long[] nanos, Duration took) {
    double aSecond() {
      return nanos.length / (took.toNanos() / 1e9);
    }

    double millis(double share) {
      return nanos.length == 0 ? 0 : nanos[(int) ((nanos.length - 1) * share)] / 1e6;
    }

    @Override
    public String toString() {
      return "%.0f/s p50 %.2f ms p99 %.2f ms".formatted(aSecond(), millis(0.5), millis(0.99));
    }
  }

  /** One connection and its request that is under way. */
  private static final class Asker {
    final SocketChannel channel;
    long began;
    int got;
    int whole;

    Asker(SocketChannel channel) {
      this.channel = channel;
    }
  }

  private static Result run(BenchNode world, int connections, Duration time) throws IOException {
    byte[] request =
        ("GET /latest/meta-data/iam/security-credentials/%s HTTP/1.1\r\n"
                + "Host: 169.254.169.254\r\n\r\n")
            .formatted(BenchNode.role(1))
            .getBytes(StandardCharsets.US_ASCII);
    var in = ByteBuffer.allocate(16 * 1024);
    var nanos = new long[1 << 16];
    int count = 0;
    try (var selector = Selector.open()) {
      for (int i = 0; i < connections; i++) {
        var asker = new Asker(connect(world.node.proxy()));
        asker.channel.register(selector, SelectionKey.OP_READ, asker);
        ask(asker, request);
      }
      long began = System.nanoTime();
      long end = began + time.toNanos();
      while (System.nanoTime() < end) {
        selector.select(1000);
        for (SelectionKey key : selector.selectedKeys()) {
          var asker = (Asker) key.attachment();
          if (answered(asker, in)) {
            if (count == nanos.length) {
              nanos = Arrays.copyOf(nanos, 2 * count);
            }
            nanos[count++] = System.nanoTime() - asker.began;
            ask(asker, request);
          }
        }
        selector.selectedKeys().clear();
      }
      Duration took = Duration.ofNanos(System.nanoTime() - began);
      for (SelectionKey key : selector.keys()) {
        key.channel().close();
      }
      long[] sorted = Arrays.copyOf(nanos, count);
      Arrays.sort(sorted);
      return new Result(sorted, took);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static SocketChannel connect(InetSocketAddress proxy) throws IOException {
    SocketChannel channel = SocketChannel.open();
    channel.bind(new InetSocketAddress(InetAddress.ofLiteral(BenchNode.address(1)), 0));
    channel.connect(proxy);
    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    channel.configureBlocking(false);
    return channel;
  }

  private static void ask(Asker asker, byte[] request) throws IOException {
    asker.began = System.nanoTime();
    asker.got = 0;
    asker.whole = 0;
    if (asker.channel.write(ByteBuffer.wrap(request)) != request.length) {
      throw new IOException("a request did not fit into an empty socket");
    }
  }

  /** Whether the answer is whole; one that is not the credentials ends the run. */
  private static boolean answered(Asker asker, ByteBuffer in) throws IOException {
    int got = asker.channel.read(in.clear());
    if (got < 0) {
      throw new IOException("the connection was closed");
    }
    if (asker.whole == 0) {
      String text = new String(in.array(), 0, got, StandardCharsets.ISO_8859_1);
      int body = text.indexOf("\r\n\r\n") + 4;
      int length = text.indexOf("Content-Length: ") + 16;
      if (!text.startsWith("HTTP/1.1 200 ") || body < 4 || length < 16) {
        throw new IOException("answered " + text.lines().findFirst().orElse("nothing"));
      }
      asker.whole = body + Integer.parseInt(text.substring(length, text.indexOf('\r', length)));
    }
    asker.got += got;
    return asker.got >= asker.whole;
  }
}
