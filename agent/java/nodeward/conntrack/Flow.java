package nodeward.conntrack;

/**
 * One flow of the table as a walk through it shows it: a view that is moved to the next flow when
 * {@link FlowTaker#take} returns. An address is the two halves of an IPv6 one; that of IPv4 is
 * mapped into {@code ::ffff:0:0/96} (RFC 4291, 2.5.5.2). What a flow lacks is 0.
 */
public interface Flow {
  /** Who sent the first packet. */
  long sourceHigh();

  long sourceLow();

  /** Whom that packet was sent to, before any translation. */
  long destinationHigh();

  long destinationLow();

  int destinationPort();

  /** Who answers, after any translation. */
  long answererHigh();

  long answererLow();

  /** The IP protocol's number. */
  int protocol();

  /** Whether nobody has answered yet. */
  boolean unreplied();

  /** Whether it is a TCP flow that is over and waits for its slot to be freed. */
  boolean timeWait();
}
