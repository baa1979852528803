package nodeward.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.util.Objects;

/** What a probe of a container runtime found. */
sealed interface Probed {
  /** It works; {@code what} names it, with its version where it tells one. */
  record Healthy(String what) implements Probed {}

  /** It does not run here, which is no failure. */
  record Absent(String why) implements Probed {}

  /** It is here and does not work as it should. */
  sealed interface Bad extends Probed {
    String why();
  }

  /** By the exception of a port: a time-out is a runtime that hangs. */
  static Bad bad(IOException e) {
    String why = Objects.requireNonNullElseGet(e.getMessage(), e::toString);
    return e instanceof SocketTimeoutException ? new Hung(why) : new Failed(why);
  }

  /** It refused, or answered that it is not well. */
  record Failed(String why) implements Bad {}

  /** It has not answered within the limit. */
  record Hung(String why) implements Bad {}

  /** It answers for itself, but not for single containers. */
  record ContainersHung(String why) implements Bad {}

  /** It answers, but late. */
  record Slow(String why) implements Bad {}
}
