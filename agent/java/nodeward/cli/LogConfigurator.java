package nodeward.cli;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.encoder.EncoderBase;
import ch.qos.logback.core.spi.ContextAwareBase;
import nodeward.config.Config;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sets logback up without XML: one appender to stderr. Until {@link #apply} has the configuration,
 * warnings are written as plain text, so that a short command stays quiet.
 */
public final class LogConfigurator extends ContextAwareBase implements Configurator {
  @Override
  public ExecutionStatus configure(LoggerContext context) {
    setUp(context, Level.WARN, new LogEncoder(LogEncoder.Style.PLAIN));
    return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
  }

  /** Puts the configured level and format in force. */
  static void apply(Config.Log config) {
    var context = (LoggerContext) LoggerFactory.getILoggerFactory();
    context.reset();
    setUp(
        context,
        Level.toLevel(config.level().name()),
        new LogEncoder(LogEncoder.Style.of(config.format(), System.getenv())));
  }

  private static void setUp(
      LoggerContext context, Level level, EncoderBase<ILoggingEvent> encoder) {
    encoder.setContext(context);
    encoder.start();
    var appender = new ConsoleAppender<ILoggingEvent>();
    appender.setContext(context);
    appender.setTarget("System.err");
    appender.setEncoder(encoder);
    appender.start();
    var root = context.getLogger(Logger.ROOT_LOGGER_NAME);
    root.setLevel(Level.WARN);
    root.addAppender(appender);
    // The libraries log their own retries as errors: what matters of them our adapters say.
    context.getLogger("io.fabric8").setLevel(Level.ERROR);
    context.getLogger("okhttp3").setLevel(Level.ERROR);
    context.getLogger("nodeward").setLevel(level);
  }
}
