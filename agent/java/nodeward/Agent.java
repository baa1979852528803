package nodeward;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.random.RandomGenerator;
import nodeward.aws.AutoScalingHook;
import nodeward.aws.AutoScalingLaunchHook;
import nodeward.aws.AutoScalingReplacement;
import nodeward.aws.AwsClients;
import nodeward.aws.HookPermissions;
import nodeward.aws.Imds;
import nodeward.aws.ImdsNotices;
import nodeward.aws.InstanceFacts;
import nodeward.aws.StsRoleCredentials;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Lifecycle;
import nodeward.component.Pulse;
import nodeward.component.Time;
import nodeward.condition.ConditionBoard;
import nodeward.config.Config;
import nodeward.conntrack.ConntrackWatch;
import nodeward.conntrack.FlowCount;
import nodeward.conntrack.TopPage;
import nodeward.drain.DrainOptions;
import nodeward.drain.Drainer;
import nodeward.http.AdminServer;
import nodeward.http.ControlPage;
import nodeward.http.ControlServer;
import nodeward.http.Metrics;
import nodeward.http.StatusSource;
import nodeward.http.Webhook;
import nodeward.kube.KubeAttachments;
import nodeward.kube.KubeBudgets;
import nodeward.kube.KubeClient;
import nodeward.kube.KubeClosedNodes;
import nodeward.kube.KubeDaemonSets;
import nodeward.kube.KubeEvents;
import nodeward.kube.KubeEvictions;
import nodeward.kube.KubeHeldNodes;
import nodeward.kube.KubeNamespaces;
import nodeward.kube.KubePermissions;
import nodeward.kube.KubeRepairTurn;
import nodeward.kube.KubeTokenReviews;
import nodeward.kube.OwnNode;
import nodeward.kube.OwnPods;
import nodeward.linux.ChildProcess;
import nodeward.linux.CriSandboxes;
import nodeward.linux.CriSocket;
import nodeward.linux.DockerSocket;
import nodeward.linux.Iptables;
import nodeward.linux.KernelConntrack;
import nodeward.linux.KubeletHealth;
import nodeward.linux.NodeProber;
import nodeward.linux.OwnProcess;
import nodeward.linux.Procfs;
import nodeward.linux.SdNotify;
import nodeward.linux.ShutdownLock;
import nodeward.linux.SystemBus;
import nodeward.metadata.InterceptionKeeper;
import nodeward.metadata.MetadataProxy;
import nodeward.metadata.SessionTags;
import nodeward.readiness.Boot;
import nodeward.readiness.GateKeeper;
import nodeward.readiness.LaunchWatch;
import nodeward.runtime.Evacuation;
import nodeward.runtime.Remediation;
import nodeward.runtime.RuntimeWatch;
import nodeward.termination.Notice;
import nodeward.termination.Notifier;
import nodeward.termination.SelfTest;
import nodeward.termination.TerminationWatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The composition root: builds every part of the daemon from the configuration, starts them in
 * order and stops them in reverse. The only place that knows all of them.
 */
public final class Agent implements StatusSource, AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Agent.class);
  private static final Duration CLOSE_LIMIT = Duration.ofSeconds(5);

  /** What people look for first; the other parts follow in the order of their start. */
  private static final List<String> SHOWN_FIRST =
      List.of(
          "gate", "termination", "metadata", "interception", "conditions", "conntrack", "runtime");

  private static final Duration SELF_TEST_SPREAD = Duration.ofMinutes(5);
  private static final Duration PULSE = Duration.ofSeconds(5);

  private final Config config;
  private final String version;
  private final Time time = Time.SYSTEM;
  private final long started = time.nanos();
  private final SdNotify systemd;
  private final Imds imds;
  private final Imds imdsOfPods;
  private final AwsClients aws;
  private final List<Component> parts = new ArrayList<>();
  private final Optional<MetadataProxy> metadata;
  private final Pulse pulse;
  private final Lifecycle lifecycle = new Lifecycle(CLOSE_LIMIT);

  public Agent(Config config, String version, Map<String, String> environment) throws IOException {
    this.config = config;
    this.version = version;
    this.systemd = SdNotify.from(environment, ProcessHandle.current().pid());
    var metrics = new Metrics(version, Instant.now());
    var registry = metrics.registry();
    new OwnProcess().register(registry);
    String name = config.node().name();

    var kube =
        new KubeClient(
            config.kubernetes(), name, new ChildProcess()::run, version, environment, registry);
    var node = new OwnNode(kube, name, time);
    var pods = new OwnPods(kube, name);
    var events = new KubeEvents(kube, name, time);
    this.imds = new Imds(config.aws().metadataEndpoint(), time);
    // Pods that ask must not keep the agent's own questions waiting.
    this.imdsOfPods = new Imds(config.aws().metadataEndpoint(), time);
    this.aws = new AwsClients(config.aws(), imds, time);
    var board =
        new ConditionBoard(
            node,
            events,
            config.conditions(),
            registry,
            config.state().directory(),
            time,
            RandomGenerator.getDefault());

    var instance =
        new InstanceFacts(
            imds,
            config.metadata().enabled() ? InstanceFacts.Base.NEEDED : InstanceFacts.Base.NOT_NEEDED,
            config.metadata().baseRoleArn());

    var pages = new HashMap<String, ControlPage>();
    if (config.metadata().enabled()) {
      // Before all others: pods that are on the node already must not reach the node's own role.
      parts.add(new InterceptionKeeper(config.metadata(), new Iptables(), registry, time));
    }
    var namespaces = new KubeNamespaces(kube);
    var podEvents = KubeEvents.ofPods(kube, name, time);
    parts.addAll(List.of(kube, node, pods, namespaces, events, podEvents, board, instance));
    if (config.metadata().enabled()) {
      var proxy =
          new MetadataProxy(
              config.metadata(),
              new MetadataProxy.Ports(
                  pods,
                  new CriSandboxes(config.node().criSocket()),
                  new StsRoleCredentials(
                      aws,
                      SessionTags.ofNode(
                          config.metadata().sessionTags(), config.node().cluster(), name)),
                  instance,
                  namespaces,
                  podEvents,
                  imdsOfPods::get,
                  new KubeTokenReviews(kube)),
              registry,
              time);
      parts.add(proxy);
      this.metadata = Optional.of(proxy);
    } else {
      this.metadata = Optional.empty();
    }
    if (config.conntrack().enabled()) {
      var table = new KernelConntrack(config.node().procRoot());
      var uptime = new Procfs(config.node().procRoot()).uptime().orElse(Duration.ofDays(1));
      var flows = new FlowCount(table, pods, time);
      pages.put("/conntrack/top", new TopPage(flows)::shown);
      parts.add(
          new ConntrackWatch(config.conntrack(), table, flows, uptime, board, registry, time));
    }
    var runtimes = config.runtime();
    var runtimePorts =
        new RuntimeWatch.Ports(
            new DockerSocket(runtimes.dockerSocket()),
            new CriSocket(runtimes.containerdSocket()),
            new KubeletHealth(runtimes.kubeletHealth().orElse(URI.create("http://localhost"))),
            new SystemBus(runtimes.systemBus()),
            new Procfs(config.node().procRoot())::ioStalled);
    Optional<RuntimeWatch> runtimeWatch =
        runtimes.enabled()
            ? Optional.of(new RuntimeWatch(runtimes, runtimePorts, board, registry, time))
            : Optional.empty();
    runtimeWatch.ifPresent(parts::add);
    if (config.gate().enabled()) {
      Optional<LaunchWatch> launch = Optional.empty();
      if (config.gate().launchHook().enabled()) {
        var hook = new AutoScalingLaunchHook(aws, imds, config.gate().launchHook().name());
        launch = Optional.of(new LaunchWatch(hook, time, registry));
        parts.add(launch.get());
      }
      parts.add(
          new GateKeeper(
              config.gate(),
              boot(config),
              new GateKeeper.Ports(
                  node,
                  pods,
                  new KubeDaemonSets(kube),
                  events,
                  board,
                  new KubeClosedNodes(kube, name, time),
                  new NodeProber(() -> troubleOf("metadata").or(() -> troubleOf("interception"))),
                  instance::instanceId),
              launch,
              registry,
              time));
    }
    var orders = new LinkedHashMap<String, ControlServer.Order>();
    var evacuation = Evacuation.NONE;
    if (config.termination().enabled()) {
      var drainer =
          new Drainer(
              new Drainer.Ports(
                  pods,
                  new KubeEvictions(kube),
                  new KubeBudgets(kube),
                  new KubeAttachments(kube, name)),
              config.drain(),
              registry,
              time);
      var hook = new AutoScalingHook(aws, imds, config.termination().autoScaling());
      var notices = new ImdsNotices(imds, kinds(config.termination()));
      Notifier notifier = Notifier.NONE;
      var webhookConfig = config.termination().webhook();
      if (webhookConfig.url().isPresent()) {
        var webhook =
            new Webhook(webhookConfig, webhookConfig.url().get(), Duration.ofSeconds(1), time);
        parts.add(webhook);
        notifier = webhook;
      }
      var termination =
          new TerminationWatch(
              config.termination(),
              config.state(),
              new TerminationWatch.Ports(
                  node, events, notices, hook, new KubeHeldNodes(kube, name, time), notifier),
              new TerminationWatch.Facts(
                  new Procfs(config.node().procRoot()).bootId().orElse(""), instance::instanceId),
              drainer,
              drainOptions(config.drain(), ownPod(environment)),
              registry,
              time);
      parts.add(termination);
      evacuation = new RepairDrain(termination);
      orders.putAll(new Orders(config.termination(), termination, time).all());
      if (config.termination().shutdown().enabled() && config.termination().shutdown().inhibit()) {
        parts.add(
            new ShutdownLock(
                config.termination().shutdown().deadline(),
                Orders.shutdowns(termination, time),
                registry));
      }
      parts.add(
          new SelfTest(
              List.of(
                  new KubePermissions(kube),
                  new HookPermissions(
                      aws, imds, config.termination().autoScaling(), HookPermissions.Extent.READS)),
              SELF_TEST_SPREAD,
              RandomGenerator.getDefault(),
              registry));
    }
    if (runtimeWatch.isPresent() && runtimes.remediation().enabled()) {
      var mending =
          new Remediation.Ports(
              runtimePorts.units(),
              runtimePorts.disk(),
              new KubeRepairTurn(kube, name, time),
              events,
              evacuation,
              new AutoScalingReplacement(aws, imds));
      parts.add(
          new Remediation(
              runtimes, config.state().directory(), runtimeWatch.get(), mending, registry, time));
    } else {
      evacuation.end(); // of an agent before, with another configuration
    }
    parts.add(new AdminServer(config.admin(), metrics, this));
    parts.add(new ControlServer(config.control().socket(), this, orders, pages));
    this.pulse =
        new Pulse(
            parts, systemd.watchdog().map(w -> w.dividedBy(2)).orElse(PULSE), this::beat, time);
    parts.add(pulse);
    metrics.watch(parts);
  }

  /** Returns when every part serves; otherwise none of them runs any more. */
  public void start() throws IOException {
    lifecycle.start(parts);
    systemd.ready(standing());
    log.info(
        "agent: ready version={} node={} pid={}",
        version,
        config.node().name(),
        ProcessHandle.current().pid());
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("node", config.node().name());
    status.put("version", version);
    status.put("uptime", words(Duration.ofNanos(time.nanos() - started)));
    status.put("ready", troubles().isEmpty());
    var components = new LinkedHashMap<String, Object>();
    SHOWN_FIRST.forEach(
        name ->
            parts.stream()
                .filter(part -> part.name().equals(name))
                .forEach(part -> components.put(name, shown(part))));
    parts.forEach(part -> components.computeIfAbsent(part.name(), name -> shown(part)));
    status.put("components", components);
    return status;
  }

  private static SequencedMap<String, Object> shown(Component part) {
    var shown = new LinkedHashMap<String, Object>();
    shown.put(
        "health",
        switch (part.health()) {
          case Health.Healthy() -> "ok";
          case Health.Degraded(String why) -> why;
        });
    shown.putAll(part.status());
    return shown;
  }

  @Override
  public SequencedMap<String, Object> explain(String namespace, String pod) {
    return metadata
        .map(proxy -> proxy.explain(namespace, pod))
        .orElseGet(
            () -> {
              var off = new LinkedHashMap<String, Object>();
              off.put("verdict", "gets nothing here: metadata.enabled is false");
              return off;
            });
  }

  @Override
  public List<String> troubles() {
    var troubles = new ArrayList<String>();
    for (Component part : parts) {
      if (part.health() instanceof Health.Degraded(String why)) {
        troubles.add(part.name() + ": " + why);
      }
    }
    return troubles;
  }

  @Override
  public boolean alive() {
    return pulse.alive();
  }

  private void beat() {
    systemd.alive(standing());
  }

  private String standing() {
    List<String> troubles = troubles();
    return troubles.isEmpty() ? "all is well" : String.join("; ", troubles);
  }

  /**
   * Stops everything, last started first. Never drains: a stop of the agent is not a stop of the
   * node.
   */
  @Override
  public void close() {
    systemd.stopping();
    lifecycle.close();
    aws.close();
    imds.close();
    imdsOfPods.close();
    log.info("agent: stopped");
  }

  /** Why a part of the agent is not well; empty when it is, and said so when it is switched off. */
  private Optional<String> troubleOf(String name) {
    return parts.stream()
        .filter(part -> part.name().equals(name))
        .findFirst()
        .map(
            part ->
                switch (part.health()) {
                  case Health.Healthy() -> Optional.<String>empty();
                  case Health.Degraded(String why) -> Optional.of(why);
                })
        .orElseGet(() -> Optional.of("it is switched off"));
  }

  static Set<Notice.Kind> kinds(Config.Termination config) {
    var kinds = EnumSet.noneOf(Notice.Kind.class);
    if (config.spot().enabled()) {
      kinds.add(Notice.Kind.SPOT);
    }
    if (config.autoScaling().enabled()) {
      kinds.add(Notice.Kind.AUTO_SCALING);
    }
    if (config.maintenance().enabled()) {
      kinds.add(Notice.Kind.MAINTENANCE);
    }
    if (config.rebalance().action() != Config.Termination.Rebalance.Action.OFF) {
      kinds.add(Notice.Kind.REBALANCE);
    }
    return kinds;
  }

  static DrainOptions drainOptions(Config.Drain config, String ownPod) {
    DrainOptions options = DrainOptions.ofDaemon(ownPod);
    return config.evictDaemonSets() ? options.with(DrainOptions.Flag.EVICT_DAEMON_SETS) : options;
  }

  /** The agent's own pod where it runs in one; its DaemonSet hands the names in. */
  static String ownPod(Map<String, String> environment) {
    String name = environment.getOrDefault("POD_NAME", "");
    return name.isEmpty() ? "" : environment.getOrDefault("POD_NAMESPACE", "") + "/" + name;
  }

  private static Boot boot(Config config) throws IOException {
    Path root = config.node().procRoot();
    var procfs = new Procfs(root);
    return new Boot(
        procfs.bootId().orElseThrow(() -> new IOException("no boot id below " + root)),
        procfs.bootTime().orElseThrow(() -> new IOException("no boot time below " + root)),
        procfs.uptime().orElseThrow(() -> new IOException("no uptime below " + root)));
  }

  private static String words(Duration d) {
    if (d.toDays() > 0) {
      return "%dd%dh".formatted(d.toDays(), d.toHoursPart());
    }
    if (d.toHours() > 0) {
      return "%dh%dm".formatted(d.toHours(), d.toMinutesPart());
    }
    return d.toMinutes() > 0
        ? "%dm%ds".formatted(d.toMinutes(), d.toSecondsPart())
        : d.toSeconds() + "s";
  }
}
