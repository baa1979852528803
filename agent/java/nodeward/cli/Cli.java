package nodeward.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;
import nodeward.config.ConfigException;
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
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      RunCommand.class,
      StatusCommand.class,
      DrainCommand.class,
      CordonCommand.class,
      UncordonCommand.class,
      CheckConfigCommand.class,
      CompletionCommand.class,
      VersionCommand.class
    })
public final class Cli {
  static final int FAILED = 1;
  static final int WRONG = 2;

  private Cli() {}

  /** Runs one command and returns its exit code. */
  public static int run(String... args) {
    return commandLine().execute(args);
  }

  static CommandLine commandLine() {
    var line = new CommandLine(new Cli());
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
