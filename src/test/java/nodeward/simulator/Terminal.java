package nodeward.simulator;

import java.io.PrintStream;
import java.time.Duration;

/** Prints the story: a line for each thing that was seen, with the seconds since power-on. */
final class Terminal {
  private static final String RESET = "\u001b[0m";

  private final PrintStream out;
  private final Tint tint;
  private final long start = System.nanoTime();

  /** Whether colours are written. */
  enum Tint {
    COLOURS,
    NONE
  }

  Terminal(PrintStream out, Tint tint) {
    this.out = out;
    this.tint = tint;
  }

  void title(String text) {
    out.println(coloured("\u001b[1m", text));
    out.flush();
  }

  void note(String text) {
    out.println(text.isEmpty() ? "" : "  " + text);
    out.flush();
  }

  /** What the simulated world does. */
  void world(String moment, String text) {
    line(moment, text, "\u001b[36m");
  }

  /** What the agent was seen to do. */
  void agent(String moment, String text) {
    line(moment, text, "\u001b[32m");
  }

  void failed(String moment, String text) {
    line(moment, text, "\u001b[31m");
  }

  private void line(String moment, String text, String colour) {
    Duration since = Duration.ofNanos(System.nanoTime() - start);
    String padded = "%-12s".formatted(moment);
    out.printf("%6.2f s  %s %s%n", since.toMillis() / 1000.0, coloured(colour, padded), text);
    out.flush();
  }

  private String coloured(String colour, String text) {
    return tint == Tint.COLOURS ? colour + text + RESET : text;
  }
}
