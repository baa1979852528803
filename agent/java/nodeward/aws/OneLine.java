package nodeward.aws;

/** Foreign text made fit for a log line or an error message. */
final class OneLine {
  private static final int MOST = 400;

  private OneLine() {}

  /** The text without line breaks and control characters, cut when it is long. */
  static String of(String text) {
    String line = text.replaceAll("[\\p{Cntrl}\\s]+", " ").strip();
    return line.length() <= MOST ? line : line.substring(0, MOST) + "...";
  }
}
