package nodeward.cli;

import java.io.IOException;
import java.util.HashMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import nodeward.Agent;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.config.ConfigPrinter;
import nodeward.config.ConfigReader;
import org.jspecify.annotations.Nullable;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "run",
    description = "Run the daemon until it is told to stop.",
    mixinStandardHelpOptions = true)
final class RunCommand implements Callable<Integer> {
  @Mixin private Settings settings;

  @Option(
      names = "--log-level",
      paramLabel = "LEVEL",
      description = "error, warn, info or debug; default: log.level.")
  private @Nullable String level;

  @Option(
      names = "--log-format",
      paramLabel = "FORMAT",
      description = "auto, text or json; default: log.format.")
  private @Nullable String format;

  @Override
  public Integer call() throws ConfigException, IOException, InterruptedException {
    var flags = new HashMap<String, String>();
    if (level != null) {
      flags.put("log.level", level);
    }
    if (format != null) {
      flags.put("log.format", format);
    }
    Config config = settings.read(flags);
    LogConfigurator.apply(config.log());
    var log = LoggerFactory.getLogger(Agent.class);
    log.info(
        "agent: starting version={} config={} changed={}",
        Cli.version(),
        settings.file().map(Object::toString).orElse("defaults"),
        ConfigPrinter.changes(config, ConfigReader.defaults()));
    var agent = new Agent(config, Cli.version(), System.getenv());
    agent.start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(agent), "stop"));
    new CountDownLatch(1).await();
    return 0;
  }

  /** An orderly stop ends with 0: the JVM's own answer to a signal would be 143. */
  private static void stop(Agent agent) {
    agent.close();
    Runtime.getRuntime().halt(0);
  }
}
