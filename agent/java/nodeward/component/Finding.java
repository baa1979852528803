package nodeward.component;

/**
 * One thing that was looked at, for {@code agent doctor}: what was found and what to do about it.
 */
public record Finding(Level level, String what, String remedy) {
  /** How much a finding matters. */
  public enum Level {
    OK,
    /** Worth knowing; nothing fails for it. */
    NOTE,
    /** It could not be found out, so nobody can say that all is well. */
    UNKNOWN,
    /**
     * A drain at the next shutdown would fail, or a promise to pods or their owners does not hold.
     */
    WRONG
  }

  public static Finding ok(String what) {
    return new Finding(Level.OK, what, "");
  }

  public static Finding note(String what, String remedy) {
    return new Finding(Level.NOTE, what, remedy);
  }

  public static Finding unknown(String what, String remedy) {
    return new Finding(Level.UNKNOWN, what, remedy);
  }

  public static Finding wrong(String what, String remedy) {
    return new Finding(Level.WRONG, what, remedy);
  }
}
