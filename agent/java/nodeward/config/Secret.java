package nodeward.config;

/** A value that nobody may see: its text is in no log and in no printed configuration. */
public record Secret(String value) {
  @Override
  public String toString() {
    return "***";
  }
}
