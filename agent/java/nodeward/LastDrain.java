package nodeward;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import nodeward.aws.AutoScalingHook;
import nodeward.aws.AwsClients;
import nodeward.aws.Imds;
import nodeward.aws.ImdsNotices;
import nodeward.component.Component;
import nodeward.component.Lifecycle;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.drain.Drainer;
import nodeward.kube.KubeAttachments;
import nodeward.kube.KubeBudgets;
import nodeward.kube.KubeClient;
import nodeward.kube.KubeEvents;
import nodeward.kube.KubeEvictions;
import nodeward.kube.KubeHeldNodes;
import nodeward.kube.OwnNode;
import nodeward.kube.OwnPods;
import nodeward.linux.ChildProcess;
import nodeward.linux.Procfs;
import nodeward.termination.Notice;
import nodeward.termination.Notifier;
import nodeward.termination.State;
import nodeward.termination.TerminationWatch;

/**
 * The drain of a machine that shuts down, where no daemon is left to ask: the daemon's own
 * termination and nothing else of it, with the same stored plan, so that the next boot knows whose
 * the cordon is. Ends when the node is drained, or shortly after the deadline.
 */
public final class LastDrain {
  private static final Duration CLOSE_LIMIT = Duration.ofSeconds(2);
  private static final Duration LOOK = Duration.ofMillis(100);
  private static final Duration GRACE = Duration.ofSeconds(2);

  private LastDrain() {}

  /** Tells each change of state; returns what the termination says of itself at its end. */
  public static String run(
      Config config,
      String version,
      Map<String, String> environment,
      Instant deadline,
      Consumer<String> told)
      throws IOException, InterruptedException {
    Time time = Time.SYSTEM;
    var registry = new CollectorRegistry();
    String name = config.node().name();
    var kube =
        new KubeClient(
            config.kubernetes(), name, new ChildProcess()::run, version, environment, registry);
    var node = new OwnNode(kube, name, time);
    var pods = new OwnPods(kube, name);
    var events = new KubeEvents(kube, name, time);
    var imds = new Imds(config.aws().metadataEndpoint(), time);
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
    var lifecycle = new Lifecycle(CLOSE_LIMIT);
    try (imds;
        var aws = new AwsClients(config.aws(), imds, time)) {
      var termination =
          new TerminationWatch(
              config.termination(),
              config.state(),
              new TerminationWatch.Ports(
                  node,
                  events,
                  new ImdsNotices(imds, Agent.kinds(config.termination())),
                  new AutoScalingHook(aws, imds, config.termination().autoScaling()),
                  new KubeHeldNodes(kube, name, time),
                  Notifier.NONE),
              new TerminationWatch.Facts(
                  new Procfs(config.node().procRoot()).bootId().orElse(""), () -> ""),
              drainer,
              Agent.drainOptions(config.drain(), Agent.ownPod(environment)),
              registry,
              time);
      var entered = new LinkedBlockingQueue<State>();
      termination.onState(entered::add);
      lifecycle.start(List.<Component>of(kube, node, pods, events, termination));
      termination.request(Notice.Kind.SHUTDOWN, deadline);
      while (!ended(termination.state()) && time.now().isBefore(deadline.plus(GRACE))) {
        State state = entered.poll(LOOK.toMillis(), TimeUnit.MILLISECONDS);
        if (state != null) {
          told.accept(state.word());
        }
      }
      entered.forEach(state -> told.accept(state.word()));
      return String.valueOf(termination.status());
    } finally {
      lifecycle.close();
    }
  }

  private static boolean ended(State state) {
    return state instanceof State.Detaching || state instanceof State.Completed;
  }
}
