package nodeward.cli;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.concurrent.Callable;
import nodeward.config.ConfigException;
import nodeward.http.ControlClient;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(
    name = "simulate-notice",
    description =
        "Feed a notice to the agent on this test node, as if instance metadata said so; needs"
            + " termination.allowSimulation.",
    mixinStandardHelpOptions = true)
final class SimulateNoticeCommand implements Callable<Integer> {
  @Mixin private Settings settings;

  @Parameters(
      paramLabel = "KIND",
      description = "spot, asg, rebalance or maintenance; off ends what was simulated.")
  private String kind;

  @Option(
      names = "--detail",
      defaultValue = "",
      paramLabel = "WORD",
      description = "AWS's word: terminate, stop, hibernate; Terminated, Warmed:Stopped; a code.")
  private String detail;

  @Option(
      names = "--in",
      defaultValue = "2m",
      paramLabel = "DURATION",
      description = "When it happens; default: ${DEFAULT-VALUE}.")
  private String in;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException {
    var parameters = new LinkedHashMap<String, String>();
    parameters.put("kind", kind);
    parameters.put("detail", detail);
    parameters.put("in", in);
    String said =
        new ControlClient(settings.read().control().socket()).post("/simulate", parameters);
    spec.commandLine().getOut().println(said.strip());
    return 0;
  }
}
