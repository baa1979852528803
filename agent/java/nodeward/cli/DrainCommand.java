package nodeward.cli;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.concurrent.Callable;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.config.ConfigReader;
import nodeward.drain.Cordon;
import nodeward.drain.Drain;
import nodeward.drain.DrainOptions;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.DrainOptions.Flag;
import nodeward.drain.DrainPlan;
import nodeward.drain.DrainReport;
import nodeward.drain.Drainer;
import nodeward.drain.Progress;
import nodeward.kube.KubeClient;
import nodeward.kube.KubeEvictions;
import nodeward.kube.OwnPods;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

@Command(
    name = "drain",
    description = "Cordon a node and evict its pods, with kubectl's flags and lines.",
    footer = "%nExit codes: 0 drained, 1 failed, 2 wrong usage, 3 time is up and pods are left.",
    mixinStandardHelpOptions = true)
final class DrainCommand implements Callable<Integer> {
  private static final int PODS_LEFT = 3;

  @Mixin private Target target;

  @Option(names = "--force", description = "Evict pods that no controller brings back, too.")
  private boolean force;

  @Option(names = "--ignore-daemonsets", description = "Leave the pods of DaemonSets alone.")
  private boolean ignoreDaemonSets;

  @Option(
      names = "--delete-emptydir-data",
      description = "Evict pods with an emptyDir, too; its data is lost.")
  private boolean deleteEmptyDirData;

  @Option(
      names = "--timeout",
      paramLabel = "DURATION",
      defaultValue = "0s",
      converter = InGosNotation.class,
      description = "Give up after this, for example 5m; 0s: never. Default: ${DEFAULT-VALUE}.")
  private Duration timeout;

  @Option(
      names = "--dry-run",
      paramLabel = "MODE",
      defaultValue = "none",
      fallbackValue = "client",
      arity = "0..1",
      description = "none, client (print only) or server (let the API server check).")
  private String dryRun;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException, InterruptedException {
    DryRun mode = mode();
    Config config = target.read();
    String name = target.name(config);
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    try (var kube = target.connect(config);
        var pods = new OwnPods(kube, name)) {
      if (mode == DryRun.NONE) {
        Cordon.Outcome outcome = new Cordon(Target.node(kube, name)).cordon();
        out.println(CordonCommand.line(name, outcome, "cordoned"));
      } else if (Target.node(kube, name).read().isEmpty()) {
        throw Target.noSuchNode(name);
      }
      DrainOptions options = DrainOptions.ofKubectl(flags()).with(mode);
      DrainPlan plan = DrainPlan.of(pods.read(), options);
      if (!plan.errors().isEmpty()) {
        throw new IOException(
            "unable to drain node \"%s\": %s".formatted(name, String.join("; ", plan.errors())));
      }
      if (!plan.warnings().isEmpty()) {
        err.println("Warning: " + String.join("; ", plan.warnings()));
      }
      return drain(kube, pods, config, options, name, out, err);
    }
  }

  private int drain(
      KubeClient kube,
      OwnPods pods,
      Config config,
      DrainOptions options,
      String name,
      PrintWriter out,
      PrintWriter err)
      throws InterruptedException {
    pods.start();
    var drainer =
        new Drainer(
            pods, new KubeEvictions(kube), config.drain(), new CollectorRegistry(), Time.SYSTEM);
    Instant deadline = timeout.isZero() ? Instant.MAX : Instant.now().plus(timeout);
    Drain drain = drainer.prepare(options, deadline, progress -> print(progress, out, err));
    DrainReport report = drain.run();
    String how = options.dryRun() == DryRun.NONE ? "drained" : "drained (dry run)";
    return switch (report.end()) {
      case DRAINED -> {
        out.printf("node/%s %s%n", name, how);
        yield 0;
      }
      case GIVEN_UP -> {
        err.printf("agent: node %s is not drained: %s%n", name, words(report));
        yield Cli.FAILED;
      }
      case DEADLINE -> {
        err.printf("agent: node %s is not drained, time is up: %s%n", name, words(report));
        yield PODS_LEFT;
      }
      case BLIND -> {
        err.printf("agent: node %s: time is up and its pods could not be seen%n", name);
        yield PODS_LEFT;
      }
    };
  }

  private void print(Progress progress, PrintWriter out, PrintWriter err) {
    switch (progress) {
      case Progress.Evicting(var pod) ->
          out.printf("evicting pod %s%s%n", pod.fullName(), suffix());
      case Progress.Gone(var pod) -> out.printf("pod/%s evicted%n", pod.name());
      case Progress.Evicted _ -> out.flush();
      case Progress.Blocked(var pod, var why, var retryIn) ->
          err.printf(
              "error when evicting pods/\"%s\" -n \"%s\" (will retry after %.1fs): %s%n",
              pod.name(), pod.namespace(), retryIn.toMillis() / 1000.0, why);
      case Progress.Failed(var pod, var why, var retryIn) ->
          err.printf(
              "error when evicting pods/\"%s\" -n \"%s\" (will retry after %.1fs): %s%n",
              pod.name(), pod.namespace(), retryIn.toMillis() / 1000.0, why);
      case Progress.Refused(var pod, var why) ->
          err.printf(
              "error when evicting pods/\"%s\" -n \"%s\": %s%n", pod.name(), pod.namespace(), why);
      case Progress.Left(var pod, var why) -> err.printf("pod/%s left: %s%n", pod.name(), why);
    }
    out.flush();
    err.flush();
  }

  private String suffix() {
    return switch (dryRun) {
      case "client" -> " (dry run)";
      case "server" -> " (server dry run)";
      default -> "";
    };
  }

  private static String words(DrainReport report) {
    return String.join("; ", report.left().stream().map(Object::toString).toList());
  }

  private Flag[] flags() {
    var flags = EnumSet.noneOf(Flag.class);
    if (force) {
      flags.add(Flag.FORCE);
    }
    if (ignoreDaemonSets) {
      flags.add(Flag.IGNORE_DAEMON_SETS);
    }
    if (deleteEmptyDirData) {
      flags.add(Flag.DELETE_EMPTY_DIR_DATA);
    }
    return flags.toArray(Flag[]::new);
  }

  private DryRun mode() {
    return switch (dryRun) {
      case "none" -> DryRun.NONE;
      case "client" -> DryRun.CLIENT;
      case "server" -> DryRun.SERVER;
      default ->
          throw new picocli.CommandLine.ParameterException(
              spec.commandLine(), "--dry-run: \"" + dryRun + "\" is none of none, client, server");
    };
  }

  /** Durations as in the configuration. */
  static final class InGosNotation implements ITypeConverter<Duration> {
    @Override
    public Duration convert(String value) {
      try {
        return ConfigReader.duration(value);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(String.valueOf(e.getMessage()));
      }
    }
  }
}
