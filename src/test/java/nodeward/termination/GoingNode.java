package nodeward.termination;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import nodeward.aws.FakeImds;
import nodeward.aws.Imds;
import nodeward.aws.ImdsNotices;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.drain.DrainOptions;
import nodeward.drain.Drainer;
import nodeward.node.Attachments;
import nodeward.node.Budgets;
import nodeward.node.FakeNode;
import nodeward.node.NodeView;
import nodeward.node.Pod;
import nodeward.node.Taint;

/**
 * A node in memory whose notices come over HTTP from the fake instance metadata, with the whole
 * termination on it, moved by hand: {@link #look} is one poll, {@link #work} carries out what is to
 * be done. A drain runs on its own thread, so what it does is waited for.
 */
final class GoingNode implements AutoCloseable {
  static final String REBOOT =
      """
      [{"NotBefore":"%s Nov 2026 %s GMT","Code":"%s","EventId":"instance-event-1","NotAfter":"",
        "Description":"%s","State":"active"}]
      """;

  final FakeTime time = new FakeTime();
  final FakeImds imds;
  final FakeNode node = new FakeNode("node-1").register(Taint.parse("theirs:NoExecute"));
  final FakeHook hook = new FakeHook();
  final FakePlaces places = new FakePlaces();
  final Pod web = FakeNode.pod("default", "web", "10.0.0.1");
  final List<Notifier.Message> messages = new CopyOnWriteArrayList<>();
  final Set<String> attached = new HashSet<>();
  String boot = "boot-1";
  String instanceId = FakeImds.INSTANCE_ID;
  List<String> forceFor = List.of("spot", "autoscaling");
  CollectorRegistry registry = new CollectorRegistry();
  TerminationWatch watch;
  private final Path directory;
  private final Imds client;
  private final String[] settings;

  GoingNode(String... settings) throws IOException {
    this.settings = settings;
    this.directory = Files.createTempDirectory("nodeward-going");
    this.imds = FakeImds.start(new InetSocketAddress("127.0.0.1", 0), time);
    this.client = new Imds(imds.endpoint(), time);
    node.put(web);
    restart();
  }

  /** A new agent in the place of the last. */
  GoingNode restart() {
    if (watch != null) {
      watch.close();
    }
    registry = new CollectorRegistry();
    watch =
        new TerminationWatch(
            Configured.termination(settings),
            new Config.State(directory),
            new TerminationWatch.Ports(
                node,
                node,
                new ImdsNotices(client, EnumSet.allOf(Notice.Kind.class)),
                hook,
                places,
                messages::add),
            new TerminationWatch.Facts(boot, () -> instanceId),
            new Drainer(
                new Drainer.Ports(node.asPods(), node, Budgets.UNKNOWN, attachments()),
                new Config.Drain(
                    Duration.ofSeconds(5),
                    Duration.ofSeconds(5),
                    forceFor,
                    false,
                    Duration.ofMinutes(1)),
                registry,
                time),
            DrainOptions.ofDaemon(""),
            registry,
            time);
    return this;
  }

  private Attachments attachments() {
    return new Attachments() {
      @Override
      public List<String> of(Set<String> claims) {
        synchronized (attached) {
          return new ArrayList<>(attached);
        }
      }

      @Override
      public boolean isThere(String attachment) {
        synchronized (attached) {
          return attached.contains(attachment);
        }
      }
    };
  }

  GoingNode spot() {
    imds.spotNotice("terminate", time.now().plusSeconds(120));
    return this;
  }

  GoingNode asg() {
    imds.targetState("Terminated");
    return this;
  }

  /** One look at instance metadata, and what follows from it. */
  GoingNode look() throws Exception {
    work();
    watch.poll(time.now());
    return work();
  }

  GoingNode work() throws Exception {
    watch.pass(time.now());
    return this;
  }

  /** Works, without the clock, until it is so. */
  GoingNode until(Condition condition) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.holds()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("not in time, in state " + watch.state());
      }
      Thread.sleep(10);
      work();
    }
    return this;
  }

  /** What is waited for. */
  interface Condition {
    boolean holds() throws Exception;
  }

  GoingNode untilEvicted(int count) throws Exception {
    return until(() -> evictions().size() == count);
  }

  GoingNode until(Class<? extends State> state) throws Exception {
    return until(() -> state.isInstance(watch.state()));
  }

  GoingNode askHook() throws Exception {
    watch.askHook(time.now());
    return work();
  }

  GoingNode pass(Duration by) {
    time.advance(by);
    // The drain's thread waits by the real clock: a change wakes it.
    node.watching(FakeNode.Watch.CONNECTED);
    return this;
  }

  State state() {
    return watch.state();
  }

  Instant deadline() {
    return watch.state().planned().orElseThrow().deadline();
  }

  List<String> evictions() {
    synchronized (node) {
      return List.copyOf(node.evictions);
    }
  }

  List<String> events() {
    synchronized (node) {
      return List.copyOf(node.events);
    }
  }

  int changes() {
    synchronized (node) {
      return node.changes.size();
    }
  }

  NodeView view() {
    return node.current().orElseThrow();
  }

  long series() {
    return java.util.Collections.list(registry.metricFamilySamples()).stream()
        .mapToLong(f -> f.samples.size())
        .sum();
  }

  @Override
  public void close() throws IOException {
    watch.close();
    client.close();
    imds.close();
    try (var files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(directory);
  }
}
