package nodeward.cli;

import java.io.Console;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.Callable;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.config.ConfigReader;
import nodeward.drain.DrainOptions;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.DrainOptions.Flag;
import nodeward.kube.KubeClient;
import nodeward.kube.OwnNode;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/**
 * {@code agent drain}: cordons all nodes that are meant, then drains one after the other. What
 * fails on one node does not keep the others from being tried.
 */
@Command(
    name = "drain",
    description = "Cordon nodes and evict their pods, with kubectl's flags and lines.",
    footer = "%nExit codes: 0 drained, 1 failed, 2 wrong usage, 3 time is up and pods are left.",
    mixinStandardHelpOptions = true)
final class DrainCommand implements Callable<Integer> {
  static final int PODS_LEFT = 3;
  static final int USUAL_CHUNK = 500;

  @Mixin private Target target;
  @Mixin private DryRunOption dryRun;

  @Option(names = "--force", description = "Evict pods that no controller brings back, too.")
  private boolean force;

  @Option(names = "--ignore-daemonsets", description = "Leave the pods of DaemonSets alone.")
  private boolean ignoreDaemonSets;

  @Option(
      names = "--delete-emptydir-data",
      description = "Evict pods with an emptyDir, too; its data is lost.")
  private boolean deleteEmptyDirData;

  @Option(
      names = "--grace-period",
      paramLabel = "SECONDS",
      defaultValue = "-1",
      description = "Seconds that each pod gets to end; negative: its own.")
  private int gracePeriod;

  @Option(
      names = "--timeout",
      paramLabel = "DURATION",
      defaultValue = "0s",
      converter = InGosNotation.class,
      description =
          "Give a node up after this, for example 5m; 0s: never. Default: ${DEFAULT-VALUE}.")
  private Duration timeout;

  @Option(
      names = "--deadline",
      paramLabel = "DURATION",
      converter = InGosNotation.class,
      description =
          "Be done after this: pods still there shortly before are deleted, budgets or not.")
  private @Nullable Duration deadline;

  @Option(
      names = "--pod-selector",
      paramLabel = "SELECTOR",
      defaultValue = "",
      description = "Only pods with these labels.")
  private String podSelector;

  @Option(
      names = "--disable-eviction",
      description = "Delete pods instead, which no disruption budget holds up.")
  private boolean disableEviction;

  @Option(
      names = "--skip-wait-for-delete-timeout",
      paramLabel = "SECONDS",
      defaultValue = "0",
      description = "Do not wait for pods that were to be gone this long ago; 0: wait for all.")
  private int skipWait;

  @Option(
      names = "--chunk-size",
      paramLabel = "N",
      defaultValue = "" + USUAL_CHUNK,
      description = "List the pods so many at a time, 0: all at once; they are watched anyway.")
  private int chunkSize;

  @Option(
      names = "--evict-daemonsets",
      description = "Evict the pods of DaemonSets after all others, for a node that is going away.")
  private boolean evictDaemonSets;

  @Option(
      names = "--wait-for-volumes",
      description = "Wait until the volumes of the pods are off the node, up to drain.volumeWait.")
  private boolean waitForVolumes;

  @Option(
      names = "--explain",
      description = "Print what would be done, in which order, and what blocks it; do nothing.")
  private boolean explain;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FORMAT",
      defaultValue = "text",
      description = "text, or json: one object for each line. Default: ${DEFAULT-VALUE}.")
  private String output;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException, InterruptedException {
    DryRun mode = dryRun.mode();
    DrainOptions options = options(mode);
    DrainPrinter printer = printer(mode);
    Config config = target.read();
    try (var kube = target.connect(config);
        printer) {
      List<OwnNode> nodes = target.nodes(config, kube);
      return explain
          ? explain(nodes, kube, config, options)
          : drain(nodes, kube, config, options, printer);
    }
  }

  private int explain(List<OwnNode> nodes, KubeClient kube, Config config, DrainOptions options)
      throws IOException {
    int code = 0;
    for (OwnNode node : nodes) {
      try (var drain = new NodeDrain(kube, node, config.drain(), options, podSelector, chunkSize)) {
        code = Math.max(code, drain.explain(limit(), spec.commandLine().getOut()));
      }
    }
    return code;
  }

  private int drain(
      List<OwnNode> nodes,
      KubeClient kube,
      Config config,
      DrainOptions options,
      DrainPrinter printer)
      throws IOException, InterruptedException {
    var drains = new ArrayDeque<NodeDrain>();
    try {
      for (OwnNode node : nodes) {
        drains.add(new NodeDrain(kube, node, config.drain(), options, podSelector, chunkSize));
      }
      if (nodes.size() == 1) {
        // Its pods are on their way while it is being cordoned.
        drains.getFirst().look();
      }
      cordon(nodes, options.dryRun(), printer);
      return drain(nodes, drains, printer);
    } finally {
      drains.forEach(NodeDrain::close);
    }
  }

  private static void cordon(List<OwnNode> nodes, DryRun mode, DrainPrinter printer)
      throws IOException, InterruptedException {
    for (OwnNode node : nodes) {
      try {
        printer.cordoned(node.nodeName(), CordonCommand.Mark.CORDONED.apply(node, mode));
      } catch (Target.NoSuchNode e) {
        throw e;
      } catch (IOException e) {
        // As kubectl: the pods that are there can be evicted all the same.
        printer.error(node.nodeName(), CordonCommand.Mark.CORDONED.failed(node, e));
      }
    }
  }

  private int drain(List<OwnNode> nodes, Queue<NodeDrain> drains, DrainPrinter printer)
      throws InterruptedException {
    int worst = 0;
    var pending = new ArrayList<String>();
    for (OwnNode node : nodes) {
      int code;
      try (NodeDrain drain = drains.remove()) {
        code = drain.run(limit(), printer);
      } catch (IOException e) {
        printer.error(
            node.nodeName(),
            "error: unable to drain node \"%s\" due to error: %s, continuing command..."
                .formatted(node.nodeName(), e.getMessage()));
        code = Cli.FAILED;
      }
      if (code != 0) {
        pending.add(node.nodeName());
        // One that failed outweighs one that ran out of time.
        worst = worst == Cli.FAILED ? worst : code;
      }
    }
    if (!pending.isEmpty()) {
      printer.pending(pending);
    }
    return worst;
  }

  private Instant limit() {
    Instant now = Instant.now();
    Instant end = timeout.isZero() ? Instant.MAX : now.plus(timeout);
    if (deadline == null) {
      return end;
    }
    Instant other = now.plus(deadline);
    return other.isBefore(end) ? other : end;
  }

  private DrainPrinter printer(DryRun mode) {
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    return switch (output) {
      case "json" -> new DrainJson(out);
      case "text" -> {
        var lines = new DrainLines(out, err, mode, disableEviction);
        boolean watched = mode == DryRun.NONE && !explain && isTerminal();
        yield watched ? new DrainBar(lines, err, System.err, limit()) : lines;
      }
      default -> throw wrong("--output: \"" + output + "\" is none of text, json");
    };
  }

  /** Somebody looks at it, and all of it: output that goes elsewhere is for programs. */
  private static boolean isTerminal() {
    return Optional.ofNullable(System.console()).filter(Console::isTerminal).isPresent();
  }

  private DrainOptions options(DryRun mode) {
    if (skipWait < 0) {
      throw wrong("--skip-wait-for-delete-timeout must not be negative");
    }
    if (chunkSize < 0) {
      throw wrong("--chunk-size must not be negative");
    }
    var flags = EnumSet.noneOf(Flag.class);
    set(flags, Flag.FORCE, force);
    set(flags, Flag.IGNORE_DAEMON_SETS, ignoreDaemonSets);
    set(flags, Flag.DELETE_EMPTY_DIR_DATA, deleteEmptyDirData);
    set(flags, Flag.DISABLE_EVICTION, disableEviction);
    set(flags, Flag.EVICT_DAEMON_SETS, evictDaemonSets);
    set(flags, Flag.WAIT_FOR_VOLUMES, waitForVolumes);
    set(flags, Flag.FORCE_AT_DEADLINE, deadline != null);
    DrainOptions options =
        DrainOptions.ofKubectl(flags.toArray(Flag[]::new))
            .with(mode)
            .skippingDeleted(Duration.ofSeconds(skipWait));
    return gracePeriod < 0 ? options : options.withGrace(Duration.ofSeconds(gracePeriod));
  }

  private static void set(EnumSet<Flag> flags, Flag flag, boolean given) {
    if (given) {
      flags.add(flag);
    }
  }

  private ParameterException wrong(String why) {
    return new ParameterException(spec.commandLine(), why);
  }

  /** Durations as in the configuration, and kubectl's bare 0. */
  static final class InGosNotation implements ITypeConverter<Duration> {
    @Override
    public Duration convert(String value) {
      try {
        return value.equals("0") ? Duration.ZERO : ConfigReader.duration(value);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(String.valueOf(e.getMessage()));
      }
    }
  }
}
