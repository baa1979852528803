package nodeward.cli;

import java.util.ArrayList;

/**
 * {@code agent rehearse}: several commands, separated by commas, one after the other in one JVM, so
 * that the AOT cache that it records at its end knows the classes of all of them. For the build of
 * the package alone: no help names it.
 */
final class Rehearsal {
  static final String COMMAND = "rehearse";

  private Rehearsal() {}

  /** Returns the last exit code; a rehearsal of {@code run} never returns. */
  static int run(String... words) {
    var command = new ArrayList<String>();
    for (String word : words) {
      if (word.equals(",")) {
        Cli.run(command.toArray(String[]::new));
        command.clear();
      } else if (!word.equals(COMMAND)) {
        command.add(word);
      }
    }
    return Cli.run(command.toArray(String[]::new));
  }
}
