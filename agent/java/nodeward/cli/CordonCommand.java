package nodeward.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.drain.Cordon;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.kube.OwnNode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/**
 * {@code agent cordon} and {@code agent uncordon}. Every node is tried; one that could not be
 * written makes the exit code 1.
 */
abstract class CordonCommand implements Callable<Integer> {
  @Mixin private Target target;
  @Mixin private DryRunOption dryRun;
  @Spec private CommandSpec spec;

  @Command(
      name = "cordon",
      description = "Mark nodes unschedulable.",
      mixinStandardHelpOptions = true)
  static final class On extends CordonCommand {
    @Override
    Mark mark() {
      return Mark.CORDONED;
    }
  }

  @Command(
      name = "uncordon",
      description = "Mark nodes schedulable.",
      mixinStandardHelpOptions = true)
  static final class Off extends CordonCommand {
    @Override
    Mark mark() {
      return Mark.UNCORDONED;
    }
  }

  /** What the node is to be. */
  enum Mark {
    CORDONED("cordon"),
    UNCORDONED("uncordon");

    private final String verb;

    Mark(String verb) {
      this.verb = verb;
    }

    /** Does it, and returns kubectl's line. */
    String apply(OwnNode node, DryRun dryRun) throws IOException, InterruptedException {
      Cordon.Outcome outcome =
          switch (dryRun) {
            case NONE -> this == CORDONED ? new Cordon(node).cordon() : new Cordon(node).uncordon();
            // kubectl looks as well, and writes nothing.
            case CLIENT, SERVER ->
                node.read()
                    .map(
                        n ->
                            n.unschedulable() == (this == CORDONED)
                                ? Cordon.Outcome.ALREADY
                                : Cordon.Outcome.CHANGED)
                    .orElse(Cordon.Outcome.ABSENT);
          };
      String done = verb + "ed" + DryRunOption.suffix(dryRun);
      return switch (outcome) {
        case CHANGED -> "node/%s %s".formatted(node.nodeName(), done);
        case ALREADY -> "node/%s already %s".formatted(node.nodeName(), done);
        case ABSENT -> throw new Target.NoSuchNode(node.nodeName());
      };
    }

    String failed(OwnNode node, IOException why) {
      return "error: unable to %s node \"%s\": %s"
          .formatted(verb, node.nodeName(), why.getMessage());
    }
  }

  abstract Mark mark();

  @Override
  public Integer call() throws ConfigException, IOException, InterruptedException {
    DryRun mode = dryRun.mode();
    Config config = target.read();
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    int code = 0;
    try (var kube = target.connect(config)) {
      for (OwnNode node : target.nodes(config, kube)) {
        try {
          out.println(mark().apply(node, mode));
        } catch (Target.NoSuchNode e) {
          throw e;
        } catch (IOException e) {
          err.println(mark().failed(node, e));
          code = Cli.FAILED;
        }
      }
    }
    return code;
  }
}
