package nodeward.ignition;

/** YAML as people write it: one line after the other, texts in blocks. */
final class Yaml {
  private final StringBuilder out = new StringBuilder();

  void line(int indent, String format, Object... arguments) {
    out.repeat(' ', indent).append(format.formatted(arguments)).append('\n');
  }

  /** The text must end with one line feed. */
  void block(int indent, String key, String text) {
    line(indent, "%s: |", key);
    text.lines()
        .forEach(
            line -> out.repeat(' ', line.isEmpty() ? 0 : indent + 2).append(line).append('\n'));
  }

  @Override
  public String toString() {
    return out.toString();
  }
}
