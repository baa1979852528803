package nodeward.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import nodeward.bench.Peers.Peer;
import nodeward.bench.ProcessFigures.Memory;
import nodeward.kube.FakeApiServer.Request;

/**
 * What the agent costs the node: time to ready, memory, CPU, requests while nothing happens, and
 * the files it is made of.
 */
final class Footprint implements Area {
  private static final int STARTS = 9;
  private static final Duration SETTLE = Duration.ofSeconds(30);
  private static final Duration IDLE = Duration.ofSeconds(60);
  private static final int LOAD_PODS = 16;
  private static final int LOAD_REQUESTS_EACH = 2_000;
  private static final String AGENT = "agent";

  @Override
  public String name() {
    return "footprint";
  }

  @Override
  public List<Figure> measure(Setting setting) throws IOException, InterruptedException {
    var figures = new ArrayList<Figure>();
    starts(setting, figures);
    try (var world = new BenchNode(setting.directory().resolve("agent"), setting.agent());
        var theirs = new BenchNode(setting.directory().resolve("peers"), setting.agent());
        var peers = Peers.start(setting, theirs)) {
      for (String name : Peers.NAMES) {
        var ready =
            peers.running.stream()
                .filter(p -> p.name().equals(name))
                .mapToDouble(p -> p.ready().toMillis())
                .findFirst();
        figures.add(Figure.ofPeer("ready after exec, of the peer", "ms", name, ready));
      }
      long pid = world.start(Map.of()).pid();
      idle(setting, world, pid, theirs, peers, figures);
      load(setting, world, pid, figures);
    }
    files(setting, figures);
    return figures;
  }

  /** What has come in so far. */
  private record Requests(int imds, int api, int watches) {
    static Requests of(BenchNode world) {
      List<Request> api = world.requests();
      return new Requests(
          world.node.imds.requests(),
          api.size(),
          (int) api.stream().filter(Request::isWatch).count());
    }

    Requests minus(Requests before) {
      return new Requests(imds - before.imds, api - before.api, watches - before.watches);
    }
  }

  /** Each start has a new node, whose gate is still closed. */
  private static void starts(Setting setting, List<Figure> figures)
      throws IOException, InterruptedException {
    var ready = new double[STARTS];
    var open = new double[STARTS];
    var cpu = new double[STARTS];
    // The first one reads the files from disk and is not counted.
    for (int i = -1; i < STARTS; i++) {
      Path directory = setting.directory().resolve("start" + i);
      try (var world = new BenchNode(directory, setting.agent())) {
        var started = world.start(Map.of());
        if (i >= 0) {
          ready[i] = started.ready().toMillis();
          open[i] = started.gateOpen().toMillis();
          cpu[i] = new ProcessFigures(started.pid()).cpu().toMillis();
        }
        world.node.stopAgent();
      }
    }
    setting.say("ready after %s ms", Arrays.toString(ready));
    figures.add(Figure.of("ready after exec, median", "ms", median(ready)).atMost(800));
    figures.add(Figure.of("ready after exec, slowest", "ms", Arrays.stream(ready).max().orElse(0)));
    figures.add(Figure.of("gate open after exec, median", "ms", median(open)));
    figures.add(Figure.of("CPU time until the gate is open, median", "ms", median(cpu)));
  }

  private static void idle(
      Setting setting,
      BenchNode world,
      long pid,
      BenchNode theirs,
      Peers peers,
      List<Figure> figures)
      throws IOException, InterruptedException {
    setting.say("idle for %d s, then watched for %d s", SETTLE.toSeconds(), IDLE.toSeconds());
    TimeUnit.NANOSECONDS.sleep(SETTLE.toNanos());
    var processes = new LinkedHashMap<String, ProcessFigures>();
    processes.put(AGENT, new ProcessFigures(pid));
    peers.running.forEach(p -> processes.put(p.name(), p.figures()));
    var memory = new HashMap<String, Memory>();
    var cpuBefore = new HashMap<String, Duration>();
    for (var process : processes.entrySet()) {
      memory.put(process.getKey(), process.getValue().memory());
      cpuBefore.put(process.getKey(), process.getValue().cpu());
    }
    var requests = Requests.of(world);
    var theirRequests = Requests.of(theirs);

    TimeUnit.NANOSECONDS.sleep(IDLE.toNanos());

    var cpu = new HashMap<String, Double>();
    for (var process : processes.entrySet()) {
      Duration used = process.getValue().cpu().minus(cpuBefore.get(process.getKey()));
      cpu.put(process.getKey(), 100.0 * used.toMillis() / IDLE.toMillis());
    }
    requests = Requests.of(world).minus(requests);
    theirRequests = Requests.of(theirs).minus(theirRequests);

    List<String> names = peers.running.stream().map(Peer::name).toList();
    String all = String.join(" + ", names);
    figures.add(
        Figure.of("RSS, idle", "MiB", memory.get(AGENT).resident())
            .atMost(110)
            .beside(all, sum(names, name -> memory.get(name).resident())));
    for (String name : Peers.NAMES) {
      List<String> measured = names.contains(name) ? List.of(name) : List.of();
      figures.add(
          Figure.ofPeer(
              "RSS, idle, of the peer",
              "MiB",
              name,
              sum(measured, one -> memory.get(one).resident())));
    }
    figures.add(
        Figure.of("anonymous memory, idle", "MiB", memory.get(AGENT).anonymous())
            .atMost(60)
            .beside(all, sum(names, name -> memory.get(name).anonymous())));
    figures.add(
        Figure.of("CPU, idle, of one core", "%", cpu.get(AGENT))
            .atMost(0.2)
            .beside(all, sum(names, cpu::get)));
    int theirImds = theirRequests.imds;
    List<String> handler = names.stream().filter(Peers.TERMINATION_HANDLER::equals).toList();
    figures.add(
        Figure.of("IMDS requests a minute, idle", "", aMinute(requests.imds))
            .atMost(48)
            .beside(String.join("", handler), sum(handler, name -> aMinute(theirImds))));
    figures.add(
        Figure.of("IMDS connections since the start", "", world.node.imds.connections()).atMost(1));
    int theirApi = theirRequests.api;
    figures.add(
        Figure.of("API requests a minute, idle", "", aMinute(requests.api))
            .atMost(1)
            .beside(all, names.isEmpty() ? OptionalDouble.empty() : known(aMinute(theirApi))));
    figures.add(Figure.of("API watches since the start", "", Requests.of(world).watches).atMost(2));
  }

  private static void load(Setting setting, BenchNode world, long pid, List<Figure> figures)
      throws IOException, InterruptedException {
    int requests = LOAD_PODS * LOAD_REQUESTS_EACH;
    setting.say("%d pods ask for credentials, %d times in all", LOAD_PODS, requests);
    var agent = new ProcessFigures(pid);
    var load =
        CompletableFuture.runAsync(
            () -> CredentialLoad.run(world.node.proxy(), LOAD_PODS, LOAD_REQUESTS_EACH),
            command -> Thread.ofPlatform().daemon().name("load").start(command));
    double most = 0;
    while (!load.isDone()) {
      most = Math.max(most, agent.memory().resident());
      TimeUnit.MILLISECONDS.sleep(100);
    }
    try {
      load.get();
    } catch (ExecutionException e) {
      throw new IOException("the load ended early: " + e.getCause(), e);
    }
    figures.add(
        Figure.of(
                "RSS under load, most of %,d requests".formatted(requests),
                "MiB",
                Math.max(most, agent.memory().resident()))
            .atMost(150));
  }

  private static void files(Setting setting, List<Figure> figures) throws IOException {
    Path lib = setting.agent().resolveSibling("../lib").normalize();
    long jars = 0;
    long jarBytes = 0;
    try (Stream<Path> files = Files.list(lib)) {
      for (Path jar : files.filter(f -> f.toString().endsWith(".jar")).toList()) {
        jars++;
        jarBytes += Files.size(jar);
      }
    }
    figures.add(Figure.of("jars", "", jars));
    figures.add(Figure.of("size of the jars", "MiB", jarBytes / 1048576.0));
    Path cache = lib.resolve("nodeward.aot");
    if (Files.exists(cache)) {
      figures.add(Figure.of("size of the AOT cache", "MiB", Files.size(cache) / 1048576.0));
    }
  }

  private static double aMinute(int requests) {
    return requests * 60.0 / IDLE.toSeconds();
  }

  private static OptionalDouble known(double value) {
    return OptionalDouble.of(value);
  }

  /** Empty when nothing was measured: no peer is not a peer that needs nothing. */
  private static OptionalDouble sum(List<String> names, ToDoubleFunction<String> figure) {
    return names.isEmpty()
        ? OptionalDouble.empty()
        : known(names.stream().mapToDouble(figure).sum());
  }

  private static double median(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }
}
