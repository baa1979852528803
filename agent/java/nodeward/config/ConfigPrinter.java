package nodeward.config;

import java.lang.reflect.RecordComponent;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Writes the configuration in force as YAML that {@link ConfigReader} reads back, and as one line
 * for the log.
 */
public final class ConfigPrinter {
  private ConfigPrinter() {}

  public static String yaml(Config config) {
    var out = new StringBuilder();
    keys(config, "", out);
    return out.toString();
  }

  /** Every key that differs from its default, as {@code path=value}. */
  public static String changes(Config config, Config defaults) {
    var out = new StringBuilder();
    changes(config, defaults, "", out);
    return out.isEmpty() ? "none" : out.toString();
  }

  private static void keys(Record record, String indent, StringBuilder out) {
    for (RecordComponent component : record.getClass().getRecordComponents()) {
      out.append(indent).append(component.getName()).append(':');
      Object value = value(component, record);
      switch (value) {
        case Record inner when composite(inner) -> {
          out.append('\n');
          keys(inner, indent + "  ", out);
        }
        case List<?> list when list.isEmpty() -> out.append(" []\n");
        case List<?> list -> {
          out.append('\n');
          list.forEach(element -> element(element, indent + "  ", out));
        }
        default -> out.append(' ').append(scalar(value)).append('\n');
      }
    }
  }

  private static void element(Object element, String indent, StringBuilder out) {
    if (element instanceof Record record && composite(record)) {
      var inner = new StringBuilder();
      keys(record, indent + "  ", inner);
      out.append(indent).append("- ").append(inner.substring(indent.length() + 2));
    } else {
      out.append(indent).append("- ").append(scalar(element)).append('\n');
    }
  }

  private static void changes(Record now, Record before, String path, StringBuilder out) {
    for (RecordComponent component : now.getClass().getRecordComponents()) {
      String here = path.isEmpty() ? component.getName() : path + "." + component.getName();
      Object value = value(component, now);
      Object standing = value(component, before);
      if (value instanceof Record inner && composite(inner)) {
        changes(inner, (Record) standing, here, out);
      } else if (!value.equals(standing)) {
        String text =
            value instanceof List<?> list
                ? list.stream().map(ConfigPrinter::brief).toList().toString()
                : scalar(value);
        out.append(out.isEmpty() ? "" : " ").append(here).append('=').append(text);
      }
    }
  }

  private static String brief(Object element) {
    return element instanceof Record record && composite(record)
        ? record.toString()
        : scalar(element);
  }

  /** Whether a record is a part of the tree, not a value with a notation of its own. */
  private static boolean composite(Record record) {
    return record.getClass().getNestHost() == Config.class;
  }

  private static Object value(RecordComponent component, Record record) {
    try {
      return component.getAccessor().invoke(record);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(component + " is not readable", e);
    }
  }

  private static String scalar(Object value) {
    return switch (value) {
      case Duration duration -> duration(duration);
      case Enum<?> word -> quoted(word.name().toLowerCase(Locale.ROOT));
      case Boolean word -> word.toString();
      case Number number -> number.toString();
      case Optional<?> optional -> optional.map(ConfigPrinter::scalar).orElse("\"\"");
      default -> quoted(value.toString());
    };
  }

  private static String quoted(String text) {
    boolean plain = text.matches("[A-Za-z0-9/][-A-Za-z0-9_./=+]*(:[-A-Za-z0-9_./=+]+)*");
    return plain && !text.matches("(?i)(true|false|yes|no|on|off|null|[-+.0-9:eE]+)")
        ? text
        : "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
  }

  private static String duration(Duration duration) {
    if (duration.isZero()) {
      return "0s";
    }
    var text = new StringBuilder();
    part(text, duration.toHours(), "h");
    part(text, duration.toMinutesPart(), "m");
    part(text, duration.toSecondsPart(), "s");
    part(text, duration.toMillisPart(), "ms");
    return text.toString();
  }

  private static void part(StringBuilder text, long number, String unit) {
    if (number > 0) {
      text.append(number).append(unit);
    }
  }
}
