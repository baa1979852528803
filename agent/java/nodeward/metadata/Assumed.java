package nodeward.metadata;

/** What STS said to an AssumeRole. A failure to ask it at all is an {@link java.io.IOException}. */
public sealed interface Assumed {
  record Issued(Credentials credentials) implements Assumed {}

  /** The role does not exist or does not trust the node: asking again soon changes nothing. */
  record Denied(String why) implements Assumed {}

  /** There are too many requests, from whichever node of the account: all of them must wait. */
  record Throttled(String why) implements Assumed {}
}
