package nodeward.cli;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import nodeward.aws.AwsClients;
import nodeward.aws.HookPermissions;
import nodeward.aws.Imds;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.http.ControlClient;
import nodeward.kube.KubeClient;
import nodeward.kube.KubePermissions;
import nodeward.linux.ChildProcess;
import nodeward.linux.ShutdownLock;
import nodeward.termination.Permissions;
import nodeward.termination.Permissions.Check;
import nodeward.termination.Permissions.Verdict;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
    name = "doctor",
    description =
        "Look whether this node could be drained and its lifecycle hook completed, and say what to"
            + " grant; exit 1 when something is missing.",
    mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
  @Mixin private Settings settings;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException {
    Config config = settings.read();
    Time time = Time.SYSTEM;
    var checks = new ArrayList<Check>();
    Object identity;
    checks.add(agent(config));
    var imds = new Imds(config.aws().metadataEndpoint(), time);
    try (imds;
        var aws = new AwsClients(config.aws(), imds, time);
        var kube =
            new KubeClient(
                config.kubernetes(),
                config.node().name(),
                new ChildProcess()::run,
                Cli.version(),
                System.getenv(),
                new CollectorRegistry())) {
      checks.add(metadata(imds));
      for (Permissions each :
          List.of(
              new KubePermissions(kube),
              new HookPermissions(
                  aws, imds, config.termination().autoScaling(), HookPermissions.Extent.ALL))) {
        checks.addAll(each.check());
      }
      identity = kube.status().get("credentials");
    }
    PrintWriter out = spec.commandLine().getOut();
    checks.forEach(c -> out.println(line(c)));
    out.println("        on the API server: " + identity);
    out.println("        at shutdown: " + ShutdownLock.way());
    return checks.stream().allMatch(c -> c.verdict() == Verdict.GRANTED) ? 0 : Cli.FAILED;
  }

  private static Check agent(Config config) {
    try {
      new ControlClient(config.control().socket()).get("/status");
      return new Check("the agent runs", Verdict.GRANTED, "");
    } catch (IOException e) {
      return new Check("the agent runs", Verdict.MISSING, String.valueOf(e.getMessage()));
    }
  }

  private static Check metadata(Imds imds) {
    try {
      String instance = imds.instanceId();
      String ahead = imds.ahead().isZero() ? "" : ", its clock is ahead by " + imds.ahead();
      return new Check("instance metadata: " + instance + ahead, Verdict.GRANTED, "");
    } catch (IOException e) {
      return new Check("instance metadata", Verdict.MISSING, String.valueOf(e.getMessage()));
    }
  }

  private static String line(Check check) {
    String word =
        switch (check.verdict()) {
          case GRANTED -> "ok      ";
          case MISSING -> "MISSING ";
          case UNKNOWN -> "unknown ";
        };
    return word + check.what() + (check.hint().isEmpty() ? "" : ": " + check.hint());
  }
}
