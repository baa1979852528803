package nodeward.linux;

import nodeward.conntrack.Flow;

/** The flow that a reader of the table has come to; the reader fills it anew for each. */
abstract class FlowView implements Flow {
  /** Before the 32 bits of an IPv4 address: the lower half of its mapped IPv6 address. */
  static final long MAPPED = 0xffff_0000_0000L;

  long sourceHigh;
  long sourceLow;
  long destinationHigh;
  long destinationLow;
  int destinationPort;
  long answererHigh;
  long answererLow;
  int protocol;

  @Override
  public final long sourceHigh() {
    return sourceHigh;
  }

  @Override
  public final long sourceLow() {
    return sourceLow;
  }

  @Override
  public final long destinationHigh() {
    return destinationHigh;
  }

  @Override
  public final long destinationLow() {
    return destinationLow;
  }

  @Override
  public final int destinationPort() {
    return destinationPort;
  }

  @Override
  public final long answererHigh() {
    return answererHigh;
  }

  @Override
  public final long answererLow() {
    return answererLow;
  }

  @Override
  public final int protocol() {
    return protocol;
  }
}
