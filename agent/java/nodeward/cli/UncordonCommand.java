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
    name = "uncordon",
    description = "Mark a node schedulable.",
    mixinStandardHelpOptions = true)
final class UncordonCommand implements Callable<Integer> {
  @Mixin private Target target;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException, InterruptedException {
    Config config = target.read();
    String name = target.name(config);
    try (var kube = target.connect(config)) {
      Cordon.Outcome outcome = new Cordon(Target.node(kube, name)).uncordon();
      spec.commandLine().getOut().println(CordonCommand.line(name, outcome, "uncordoned"));
    }
    return 0;
  }
}
