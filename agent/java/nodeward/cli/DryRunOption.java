package nodeward.cli;

import nodeward.drain.DrainOptions.DryRun;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** kubectl's {@code --dry-run}, and what it puts behind its lines. */
final class DryRunOption {
  @Option(
      names = "--dry-run",
      paramLabel = "MODE",
      defaultValue = "none",
      fallbackValue = "client",
      arity = "0..1",
      description = "none, client (print only) or server (let the API server check).")
  private String mode;

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec;

  DryRun mode() {
    return switch (mode) {
      case "none" -> DryRun.NONE;
      case "client" -> DryRun.CLIENT;
      case "server" -> DryRun.SERVER;
      default ->
          throw new ParameterException(
              spec.commandLine(), "--dry-run: \"" + mode + "\" is none of none, client, server");
    };
  }

  static String suffix(DryRun mode) {
    return switch (mode) {
      case NONE -> "";
      case CLIENT -> " (dry run)";
      case SERVER -> " (server dry run)";
    };
  }
}
