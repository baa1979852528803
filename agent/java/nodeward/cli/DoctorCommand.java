package nodeward.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import nodeward.aws.AwsClients;
import nodeward.aws.HookPermissions;
import nodeward.aws.Imds;
import nodeward.aws.ReplacementPermissions;
import nodeward.component.Finding;
import nodeward.component.Finding.Level;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.http.ControlClient;
import nodeward.kube.KubeClient;
import nodeward.kube.KubePermissions;
import nodeward.linux.ChildProcess;
import nodeward.linux.HealthChecks;
import nodeward.linux.InterceptionChecks;
import nodeward.linux.KubeletChecks;
import nodeward.linux.MetadataHops;
import nodeward.linux.UnitChecks;
import nodeward.termination.Permissions;
import nodeward.termination.Permissions.Check;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
    name = "doctor",
    description =
        "Look whether this node keeps its promises and could be drained at the next shutdown, and"
            + " say what to do about each thing that is amiss; exit 1 when it would not.",
    mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
  /** Parts of the agent whose trouble lets pods reach what they must not. */
  private static final Set<String> GUARDS = Set.of("interception", "metadata");

  private static final JsonMapper JSON = JsonMapper.builder().build();

  @Mixin private Settings settings;
  @Mixin private OutputOption output;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException {
    Config config = settings.read();
    List<Finding> findings = findings(config);
    PrintWriter out = spec.commandLine().getOut();
    if (output.isJson()) {
      out.println(JSON.writerWithDefaultPrettyPrinter().writeValueAsString(findings));
    } else {
      findings.forEach(finding -> out.println(line(finding)));
    }
    out.flush();
    boolean well =
        findings.stream().allMatch(f -> f.level() == Level.OK || f.level() == Level.NOTE);
    return well ? 0 : Cli.FAILED;
  }

  private static List<Finding> findings(Config config) throws IOException {
    Time time = Time.SYSTEM;
    var findings = new ArrayList<>(agent(config));
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
      Finding metadata = metadata(imds);
      findings.add(metadata);
      if (metadata.level() == Level.OK) {
        findings.addAll(new MetadataHops(config.aws().metadataEndpoint()).findings());
      }
      findings.addAll(rights(KubePermissions.of(kube, config)));
      findings.addAll(
          rights(
              new HookPermissions(
                  aws, imds, config.termination().autoScaling(), HookPermissions.Extent.ALL)));
      Config.Remediation remediation = config.runtime().remediation();
      if (config.runtime().enabled() && remediation.acts() && remediation.replace()) {
        findings.addAll(rights(new ReplacementPermissions(aws, imds)));
      }
      if (config.metadata().enabled()) {
        findings.add(identity(aws));
      }
      findings.add(
          Finding.note("on the API server the agent is: " + kube.status().get("credentials"), ""));
    }
    KubeletChecks.Told kubelet = new KubeletChecks(config).look();
    findings.addAll(kubelet.findings());
    findings.addAll(
        new UnitChecks(
                config.runtime().systemBus(),
                config.termination().shutdown().deadline(),
                kubelet.cgroupDriver(),
                System.getenv())
            .findings());
    findings.addAll(new HealthChecks(config).findings());
    return findings;
  }

  /** Which roles it may assume for pods only an attempt for a pod's role would tell. */
  private static Finding identity(AwsClients aws) {
    try {
      return Finding.note("on AWS the agent is: " + aws.identity(), "");
    } catch (IOException e) {
      return Finding.unknown("on AWS the agent is: " + e.getMessage(), "let the node reach STS");
    }
  }

  /** Whether it runs, and what it says of its parts; the rules are there without it, too. */
  private static List<Finding> agent(Config config) {
    var findings = new ArrayList<Finding>();
    JsonNode components = JSON.missingNode();
    try {
      String status = new ControlClient(config.control().socket()).get("/status");
      components = JSON.readTree(status).path("components");
      findings.add(Finding.ok("the agent runs"));
      components.properties().forEach(part -> part(part.getKey(), part.getValue(), findings));
    } catch (JsonProcessingException e) {
      findings.add(
          Finding.wrong("the agent tells no status: " + e.getOriginalMessage(), "restart it"));
    } catch (IOException e) {
      findings.add(
          Finding.wrong("the agent does not run: " + e.getMessage(), "start nodeward.service"));
    }
    if (config.metadata().enabled()) {
      findings.add(interception(config, components.path("interception")));
    }
    return findings;
  }

  private static void part(String name, JsonNode part, List<Finding> findings) {
    String health = part.path("health").asText();
    if (health.equals("ok")) {
      return;
    }
    String what = name + ": " + health;
    findings.add(
        GUARDS.contains(name)
            ? Finding.wrong(what, "agent status tells more, the agent tries again")
            : Finding.note(what, "agent status tells more"));
  }

  /** The rules as they are now; where only the agent may look, its word. */
  private static Finding interception(Config config, JsonNode part) {
    if (config.metadata().interceptInterfaces().isEmpty()) {
      return Finding.note(
          "nobody leads pods from 169.254.169.254 to the agent by its configuration",
          "set metadata.interceptInterfaces, or see that the CNI does it");
    }
    try {
      return new InterceptionChecks().look();
    } catch (IOException e) {
      return part.path("health").asText().equals("ok")
          ? Finding.ok("rules lead pods from 169.254.169.254 to the agent, by its word")
          : Finding.unknown(
              "rules for 169.254.169.254: " + e.getMessage(), "run it as root on the node itself");
    }
  }

  private static Finding metadata(Imds imds) {
    try {
      String instance = imds.instanceId();
      String ahead = imds.ahead().isZero() ? "" : ", its clock is ahead by " + imds.ahead();
      return Finding.ok("instance metadata: " + instance + ahead);
    } catch (IOException e) {
      return Finding.wrong("instance metadata: " + e.getMessage(), "allow it on the instance");
    }
  }

  /** What keeps all of them from being known is told once. */
  private static List<Finding> rights(Permissions permissions) {
    List<Check> checks = permissions.check();
    boolean nobodyTells =
        checks.stream().allMatch(c -> c.verdict() == Permissions.Verdict.UNKNOWN)
            && checks.stream().map(Check::hint).distinct().count() == 1;
    return nobodyTells
        ? List.of(
            Finding.unknown(
                checks.stream().map(Check::what).collect(Collectors.joining(", ")),
                checks.getFirst().hint()))
        : checks.stream().map(DoctorCommand::finding).toList();
  }

  private static Finding finding(Check check) {
    return switch (check.verdict()) {
      case GRANTED -> Finding.ok(check.what());
      case MISSING -> Finding.wrong(check.what(), check.hint());
      case UNKNOWN -> Finding.unknown(check.what(), check.hint());
    };
  }

  private static String line(Finding finding) {
    String level =
        finding.level() == Level.WRONG ? "WRONG" : finding.level().name().toLowerCase(Locale.ROOT);
    return "%-8s%s%s"
        .formatted(
            level, finding.what(), finding.remedy().isEmpty() ? "" : " -> " + finding.remedy());
  }
}
