package nodeward.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Properties;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Supplier;
import nodeward.config.ConfigException;
import nodeward.kube.KubeClient;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;

/**
 * The command {@code agent}. Exit codes: 0 done; 1 failed, with the reason on stderr; 2 wrong usage
 * or configuration; 3 deadline reached with pods left.
 */
@Command(
    name = "agent",
    description = "Guards a Kubernetes node on AWS through its whole life.",
    versionProvider = Cli.Version.class,
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND")
public final class Cli {
  static final int FAILED = 1;
  static final int WRONG = 2;

  private static final SequencedMap<String, Supplier<Object>> COMMANDS = new LinkedHashMap<>();

  /** Those whose time is mostly that of their first request to the API server. */
  private static final Set<String> OF_THE_API_SERVER = Set.of("drain", "cordon", "uncordon");

  static {
    COMMANDS.put("run", RunCommand::new);
    COMMANDS.put("status", StatusCommand::new);
    COMMANDS.put("explain", ExplainCommand::new);
    COMMANDS.put("drain", DrainCommand::new);
    COMMANDS.put("cordon", CordonCommand.On::new);
    COMMANDS.put("uncordon", CordonCommand.Off::new);
    COMMANDS.put("conntrack", ConntrackCommand::new);
    COMMANDS.put("interception", InterceptionCommand::new);
    COMMANDS.put("forget", ForgetCommand::new);
    COMMANDS.put("doctor", DoctorCommand::new);
    COMMANDS.put("simulate-notice", SimulateNoticeCommand::new);
    COMMANDS.put("check-config", CheckConfigCommand::new);
    COMMANDS.put("completion", CompletionCommand::new);
    COMMANDS.put("version", VersionCommand::new);
  }

  private Cli() {}

  /** Runs one command and returns its exit code. */
  public static int run(String... args) {
    if (args.length > 0 && args[0].equals(Rehearsal.COMMAND)) {
      return Rehearsal.run(args);
    }
    if (args.length > 0 && OF_THE_API_SERVER.contains(args[0])) {
      KubeClient.prepare();
    }
    return commandLine(args).execute(args);
  }

  /** With the command that is named, else with all: each that is read makes the start longer. */
  static CommandLine commandLine(String... args) {
    var line = new CommandLine(new Cli());
    String named = args.length == 0 ? "" : args[0];
    boolean alone = COMMANDS.containsKey(named) && !named.equals("completion");
    COMMANDS.forEach(
        (name, command) -> {
          if (!alone || name.equals(named)) {
            line.addSubcommand(name, command.get());
          }
        });
    line.setExecutionExceptionHandler(
        (e, command, parsed) -> {
          switch (e) {
            case ConfigException wrong -> {
              command.getErr().println("agent: " + wrong.getMessage());
              return WRONG;
            }
            case IOException failed -> {
              command.getErr().println("agent: " + failed.getMessage());
              return FAILED;
            }
            default -> throw e;
          }
        });
    return line;
  }

  static String version() {
    return Version.text();
  }

  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {"agent " + text()};
    }

    static String text() {
      var properties = new Properties();
      try (InputStream in = Cli.class.getResourceAsStream("/nodeward/build.properties")) {
        if (in == null) {
          throw new IOException("it is missing");
        }
        properties.load(in);
      } catch (IOException e) {
        throw new IllegalStateException("build.properties: " + e.getMessage(), e);
      }
      return properties.getProperty("version", "");
    }
  }
}
