package nodeward.cli;

import picocli.CommandLine.Option;

/** In which of two ways a command prints what it has found. */
final class OutputOption {
  /** The words are those of the option. */
  private enum Format {
    table,
    json
  }

  @Option(
      names = {"-o", "--output"},
      defaultValue = "table",
      paramLabel = "FORMAT",
      description = "table or json; default: ${DEFAULT-VALUE}.")
  private Format format;

  boolean isJson() {
    return format == Format.json;
  }
}
