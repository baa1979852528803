package nodeward.cli;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.IThrowableProxy;
import ch.qos.logback.classic.spi.ThrowableProxyUtil;
import ch.qos.logback.core.encoder.EncoderBase;
import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Map;
import nodeward.config.Config;

/** One line an event; a stack trace follows it, or stands inside it as JSON. */
final class LogEncoder extends EncoderBase<ILoggingEvent> {
  /** How a line looks. */
  enum Style {
    /** The message alone. */
    PLAIN,
    /** Time, level, message. */
    TEXT,
    /** journald's priority prefix and no time, which the journal has itself. */
    JOURNAL,
    JSON;

    static Style of(Config.Log.Format format, Map<String, String> environment) {
      return switch (format) {
        case TEXT -> TEXT;
        case JSON -> JSON;
        case AUTO -> environment.containsKey("JOURNAL_STREAM") ? JOURNAL : TEXT;
      };
    }
  }

  private static final byte[] NONE = {};
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("HH:mm:ss.SSS").withZone(ZoneOffset.UTC);

  private final Style style;

  LogEncoder(Style style) {
    this.style = style;
  }

  @Override
  public byte[] headerBytes() {
    return NONE;
  }

  @Override
  public byte[] footerBytes() {
    return NONE;
  }

  @Override
  public byte[] encode(ILoggingEvent event) {
    return line(event).getBytes(StandardCharsets.UTF_8);
  }

  private String line(ILoggingEvent event) {
    // A message is one line whatever a pod or a server put into it.
    String message = event.getFormattedMessage().replace("\n", "\\n").replace("\r", "\\r");
    Instant at = Instant.ofEpochMilli(event.getTimeStamp());
    String trace = trace(event.getThrowableProxy());
    return switch (style) {
      case PLAIN -> message + "\n" + trace;
      case TEXT -> "%s %-5s %s\n%s".formatted(TIME.format(at), event.getLevel(), message, trace);
      case JOURNAL -> prefixed(priority(event.getLevel()), message + "\n" + trace);
      case JSON -> json(event, at, message, trace);
    };
  }

  private static String json(ILoggingEvent event, Instant at, String message, String trace) {
    var line = new StringBuilder(160);
    line.append("{\"time\":\"").append(at).append("\",\"level\":\"");
    line.append(event.getLevel().toString().toLowerCase(Locale.ROOT));
    line.append("\",\"logger\":");
    quote(line, event.getLoggerName());
    line.append(",\"message\":");
    quote(line, message);
    if (!trace.isEmpty()) {
      line.append(",\"stack\":");
      quote(line, trace);
    }
    return line.append("}\n").toString();
  }

  private static void quote(StringBuilder line, String text) {
    line.append('"').append(JsonStringEncoder.getInstance().quoteAsString(text)).append('"');
  }

  private static String prefixed(int priority, String lines) {
    String prefix = "<" + priority + ">";
    return prefix + lines.stripTrailing().replace("\n", "\n" + prefix) + "\n";
  }

  private static int priority(Level level) {
    return switch (level.toInt()) {
      case Level.ERROR_INT -> 3;
      case Level.WARN_INT -> 4;
      case Level.INFO_INT -> 6;
      default -> 7;
    };
  }

  private static String trace(IThrowableProxy thrown) {
    return thrown == null ? "" : ThrowableProxyUtil.asString(thrown);
  }
}
