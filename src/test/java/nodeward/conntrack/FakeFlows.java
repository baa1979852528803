package nodeward.conntrack;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A table with the flows that a test puts into it. */
final class FakeFlows implements FlowTable {
  /** How far a flow has come. */
  enum Kind {
    UNREPLIED,
    REPLIED,
    TIME_WAIT
  }

  private final List<Flow> flows = new ArrayList<>();
  private Optional<IOException> failure = Optional.empty();
  private int torn;
  private int walks;

  /** So many flows alike; the address that is asked is the one that answers. */
  FakeFlows add(int count, String source, String destination, Kind kind) {
    return add(count, source, destination, destination, 443, kind);
  }

  FakeFlows add(
      int count, String source, String destination, String answerer, int port, Kind kind) {
    Flow flow = flow(source, destination, answerer, port, kind);
    for (int i = 0; i < count; i++) {
      flows.add(flow);
    }
    return this;
  }

  void fail(IOException with) {
    failure = Optional.of(with);
  }

  /** The next walks are torn. */
  void tear(int walks) {
    torn = walks;
  }

  int walks() {
    return walks;
  }

  @Override
  public Walk walk(FlowTaker taker) throws IOException {
    walks++;
    if (failure.isPresent()) {
      throw failure.get();
    }
    flows.forEach(taker::take);
    return torn-- > 0 ? Walk.TORN : Walk.WHOLE;
  }

  static Flow flow(String source, String destination, String answerer, int port, Kind kind) {
    long[] from = halves(source);
    long[] to = halves(destination);
    long[] by = halves(answerer);
    return new Flow() {
      @Override
      public long sourceHigh() {
        return from[0];
      }

      @Override
      public long sourceLow() {
        return from[1];
      }

      @Override
      public long destinationHigh() {
        return to[0];
      }

      @Override
      public long destinationLow() {
        return to[1];
      }

      @Override
      public int destinationPort() {
        return port;
      }

      @Override
      public long answererHigh() {
        return by[0];
      }

      @Override
      public long answererLow() {
        return by[1];
      }

      @Override
      public int protocol() {
        return 6;
      }

      @Override
      public boolean unreplied() {
        return kind == Kind.UNREPLIED;
      }

      @Override
      public boolean timeWait() {
        return kind == Kind.TIME_WAIT;
      }
    };
  }

  private static long[] halves(String text) {
    InetAddress address = InetAddress.ofLiteral(text);
    ByteBuffer bytes = ByteBuffer.wrap(address.getAddress());
    return address instanceof Inet4Address
        ? new long[] {0, 0xffff_0000_0000L | Integer.toUnsignedLong(bytes.getInt())}
        : new long[] {bytes.getLong(), bytes.getLong()};
  }
}
