package nodeward.termination;

import java.util.List;

/** Looks whether the agent may do what a termination will ask of it; blocks, throws nothing. */
public interface Permissions {
  /** One right: what it is for people, whether it is there, and what to grant where it is not. */
  record Check(String what, Verdict verdict, String hint) {}

  /** Whether a right is there. */
  enum Verdict {
    GRANTED,
    MISSING,
    /** It could not be found out; the hint says why. */
    UNKNOWN
  }

  /** The word for metrics: {@code api} or {@code aws}. */
  String name();

  List<Check> check();
}
