package nodeward.cli;

import java.util.concurrent.Callable;
import nodeward.config.ConfigException;
import nodeward.config.ConfigPrinter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
    name = "check-config",
    description = "Check the configuration and print what is in force; exit 2 when it is wrong.",
    mixinStandardHelpOptions = true)
final class CheckConfigCommand implements Callable<Integer> {
  @Mixin private Settings settings;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException {
    spec.commandLine().getOut().print(ConfigPrinter.yaml(settings.read()));
    spec.commandLine().getOut().flush();
    return 0;
  }
}
