package nodeward.cli;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.drain.Drain;
import nodeward.drain.DrainOptions;
import nodeward.drain.DrainPlan;
import nodeward.drain.DrainReport;
import nodeward.drain.Drainer;
import nodeward.drain.Explanation;
import nodeward.kube.KubeAttachments;
import nodeward.kube.KubeBudgets;
import nodeward.kube.KubeClient;
import nodeward.kube.KubeDaemonSets;
import nodeward.kube.KubeEvictions;
import nodeward.kube.OwnNode;
import nodeward.kube.OwnPods;
import nodeward.node.Budget;
import nodeward.node.Owner;
import nodeward.node.Pod;

/** The drain of one node by a command, with connections of its own that end with it. */
final class NodeDrain implements AutoCloseable {
  /** The list takes as long as one request; a watch that cannot begin with it tells no reason. */
  private static final Duration LOOK_LIMIT = Duration.ofSeconds(5);

  private final KubeClient kube;
  private final String name;
  private final Config.Drain config;
  private final DrainOptions options;
  private final OwnPods pods;
  private final KubeBudgets budgets;
  private final boolean paged;
  private final Semaphore looked = new Semaphore(0);
  private boolean looking;

  NodeDrain(
      KubeClient kube,
      OwnNode node,
      Config.Drain config,
      DrainOptions options,
      String podSelector,
      int chunkSize) {
    this.kube = kube;
    this.name = node.nodeName();
    this.config = config;
    this.options = options;
    this.pods = new OwnPods(kube, name, podSelector, chunkSize);
    this.paged = chunkSize != DrainCommand.USUAL_CHUNK;
    this.budgets = new KubeBudgets(kube);
  }

  /** Begins to look at the pods in the background; not needed, but saves time. */
  void look() {
    pods.onChange(looked::release);
    pods.start();
    looking = true;
  }

  /** Returns the exit code; fails when nothing was evicted. */
  int run(Instant deadline, DrainPrinter printer) throws IOException, InterruptedException {
    if (!looking) {
      look();
    }
    List<Pod> there = there();
    DrainPlan.Facts facts = facts(there);
    DrainPlan plan = DrainPlan.of(there, options, facts);
    if (!plan.errors().isEmpty()) {
      throw new IOException(String.join("; ", plan.errors()));
    }
    if (!plan.warnings().isEmpty()) {
      printer.warning(name, plan.warnings());
    }
    printer.begun(name, plan.toEvict().size());
    var drainer =
        new Drainer(
            new Drainer.Ports(
                pods, new KubeEvictions(kube), budgets, new KubeAttachments(kube, name)),
            config,
            new CollectorRegistry(),
            Time.SYSTEM);
    Drain drain = drainer.prepare(options, facts, deadline, printer);
    var atCtrlC = new Thread(() -> printer.stopped(name, drain.left()), "stopped");
    Runtime.getRuntime().addShutdownHook(atCtrlC);
    DrainReport report;
    try {
      report = drain.run();
    } finally {
      unless(atCtrlC);
    }
    printer.ended(name, report);
    return switch (report.end()) {
      case DRAINED -> 0;
      case GIVEN_UP -> Cli.FAILED;
      case DEADLINE, BLIND -> DrainCommand.PODS_LEFT;
    };
  }

  /** Returns the exit code that a drain would begin with. */
  int explain(Instant deadline, PrintWriter out) throws IOException {
    List<Pod> there = pods.read();
    DrainPlan plan = DrainPlan.of(there, options, facts(there));
    var held = new ArrayList<Budget>();
    for (String namespace : new HashSet<>(plan.toEvict().stream().map(Pod::namespace).toList())) {
      held.addAll(budgets.read(namespace));
    }
    Explanation.of(name, plan, held, options, config, Instant.now(), deadline)
        .forEach(out::println);
    out.flush();
    return plan.errors().isEmpty() ? 0 : Cli.FAILED;
  }

  /** What the watch lists first, or what the API server says of why it has not. */
  private List<Pod> there() throws IOException, InterruptedException {
    long end = System.nanoTime() + LOOK_LIMIT.toNanos();
    while (paged || !pods.listed()) {
      long left = end - System.nanoTime();
      if (paged || left <= 0 || !looked.tryAcquire(left, TimeUnit.NANOSECONDS)) {
        return pods.read();
      }
    }
    return pods.current();
  }

  /**
   * What kubectl asks for each pod is asked once for each DaemonSet; nothing is asked as the
   * kubelet, to whom DaemonSets are closed.
   */
  private DrainPlan.Facts facts(List<Pod> there) throws IOException {
    if (kube.isKubelet()) {
      return DrainPlan.Facts.at(Instant.now());
    }
    var missing = new HashSet<String>();
    var unreadable = new HashMap<String, String>();
    var asked = new HashSet<String>();
    for (Pod pod : there) {
      String set = DrainPlan.daemonSet(pod);
      if (pod.ofDaemonSet() && !pod.finished() && asked.add(set)) {
        String daemonSet = pod.controller().map(Owner::name).orElse("");
        try {
          if (new KubeDaemonSets(kube).read(pod.namespace(), daemonSet).isEmpty()) {
            missing.add(set);
          }
        } catch (IOException e) {
          unreadable.put(set, e.getMessage());
        }
      }
    }
    return new DrainPlan.Facts(Instant.now(), missing, unreadable);
  }

  private static void unless(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The JVM is ending already, and the hook tells what is left.
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    budgets.close();
    pods.close();
  }
}
