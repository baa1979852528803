package nodeward.linux;

import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Builds the messages of a conntrack dump, as the kernel lays them out. */
final class FlowBytes {
  /** A flow that is to be told; ports and state only where the protocol has them. */
  record Told(
      InetAddress source,
      InetAddress destination,
      InetAddress answerer,
      int protocol,
      int port,
      int status,
      int tcpState) {}

  private final ByteBuffer bytes = ByteBuffer.allocate(64 * 1024).order(ByteOrder.nativeOrder());
  private final int sequence;

  FlowBytes(int sequence) {
    this.sequence = sequence;
  }

  FlowBytes flow(Told told) {
    int message = begin(ConntrackNetlink.NEW, 2);
    bytes.putInt(0); // nfgenmsg
    tuple(1, told.source(), told.destination(), told);
    tuple(2, told.answerer(), told.source(), told);
    number(3, told.status());
    if (told.protocol() == 6) {
      int info = open(4 | 0x8000);
      int tcp = open(1 | 0x8000);
      attribute(1, new byte[] {(byte) told.tcpState()});
      close(tcp);
      close(info);
    }
    attribute(99, new byte[5]); // of a newer kernel
    end(message);
    return this;
  }

  /** The end of the dump. */
  FlowBytes done(int flags, int error) {
    int message = begin(NetlinkMessages.DONE, flags);
    bytes.putInt(error);
    end(message);
    return this;
  }

  ByteBuffer build() {
    return ByteBuffer.wrap(bytes.array(), 0, bytes.position()).slice();
  }

  private void tuple(int type, InetAddress from, InetAddress to, Told told) {
    int tuple = open(type | 0x8000);
    int ip = open(1 | 0x8000);
    int first = from.getAddress().length == 4 ? 1 : 3;
    attribute(first, from.getAddress());
    attribute(first + 1, to.getAddress());
    close(ip);
    int protocol = open(2 | 0x8000);
    attribute(1, new byte[] {(byte) told.protocol()});
    attribute(2, new byte[] {0x12, 0x34});
    attribute(3, new byte[] {(byte) (told.port() >> 8), (byte) told.port()});
    close(protocol);
    close(tuple);
  }

  private int begin(int type, int flags) {
    int start = bytes.position();
    bytes.putInt(0).putShort((short) type).putShort((short) flags).putInt(sequence).putInt(77);
    return start;
  }

  private void end(int message) {
    bytes.putInt(message, bytes.position() - message);
  }

  private int open(int type) {
    int start = bytes.position();
    bytes.putShort((short) 0).putShort((short) type);
    return start;
  }

  private void close(int attribute) {
    bytes.putShort(attribute, (short) (bytes.position() - attribute));
    while (bytes.position() % 4 != 0) {
      bytes.put((byte) 0);
    }
  }

  private void number(int type, int value) {
    attribute(type, ByteBuffer.allocate(4).putInt(value).array());
  }

  private void attribute(int type, byte[] payload) {
    int start = open(type);
    bytes.put(payload);
    close(start);
  }
}
