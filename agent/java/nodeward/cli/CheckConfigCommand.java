package nodeward.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Stack;
import java.util.concurrent.Callable;
import nodeward.config.ConfigException;
import nodeward.config.ConfigPrinter;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.IParameterConsumer;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

@Command(
    name = "check-config",
    description = "Check the configuration and print what is in force; exit 2 when it is wrong.",
    mixinStandardHelpOptions = true)
final class CheckConfigCommand implements Callable<Integer> {
  @Mixin private Settings settings;

  @Option(
      names = "--from-kube2iam",
      arity = "0..*",
      paramLabel = "ARGS",
      parameterConsumer = TheRest.class,
      description = "Print the configuration that these arguments of kube2iam come to instead.")
  private @Nullable List<String> kube2iam;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException {
    String text = kube2iam == null ? ConfigPrinter.yaml(settings.read()) : Kube2iam.yaml(kube2iam);
    spec.commandLine().getOut().print(text);
    spec.commandLine().getOut().flush();
    return 0;
  }

  /** All that follows, also what looks like an option of ours. */
  static final class TheRest implements IParameterConsumer {
    @Override
    public void consumeParameters(
        @SuppressWarnings("JdkObsolete") Stack<String> left, ArgSpec option, CommandSpec command) {
      var rest = new ArrayList<String>();
      while (!left.isEmpty()) {
        rest.add(left.pop());
      }
      option.setValue(rest);
    }
  }
}
