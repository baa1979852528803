package nodeward.metadata;

/** The role that a pod's annotations give it. */
sealed interface PodRole {
  /** {@code name} is what the listing shows and what SDKs ask for: a name, or a foreign ARN. */
  record Assigned(String name, RoleSession session) implements PodRole {}

  record None() implements PodRole {}

  /** The annotations cannot be understood, and no role is guessed. */
  record Malformed(String why) implements PodRole {}

  /** The namespace does not allow it. */
  record Denied(String why) implements PodRole {}

  /** It depends on something that the agent does not know yet. */
  record Undetermined(String why) implements PodRole {}
}
