package nodeward.cli;

import java.io.IOException;
import java.util.concurrent.Callable;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.drain.Cordon;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
    name = "cordon",
    description = "Mark a node unschedulable.",
    mixinStandardHelpOptions = true)
final class CordonCommand implements Callable<Integer> {
  @Mixin private Target target;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException, InterruptedException {
    Config config = target.read();
    String name = target.name(config);
    try (var kube = target.connect(config)) {
      Cordon.Outcome outcome = new Cordon(Target.node(kube, name)).cordon();
      spec.commandLine().getOut().println(line(name, outcome, "cordoned"));
    }
    return 0;
  }

  /** kubectl's line for what was done. */
  static String line(String name, Cordon.Outcome outcome, String done) throws IOException {
    return switch (outcome) {
      case CHANGED -> "node/%s %s".formatted(name, done);
      case ALREADY -> "node/%s already %s".formatted(name, done);
      case ABSENT -> throw Target.noSuchNode(name);
    };
  }
}
