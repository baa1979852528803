package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import nodeward.conntrack.Flow;
import nodeward.linux.ConntrackNetlink.Part;
import org.junit.jupiter.api.Test;

class FlowReaderTest {
  private static final int ASKED = 4;

  private final List<String> seen = new ArrayList<>();

  @Test
  void theRequestIsTheOneThatTheKernelUnderstood() {
    assertThat(ConntrackNetlink.flowsRequest(ASKED)).isEqualTo(Captured.bytes("dump.req").array());
  }

  @Test
  void udpTcpAndIcmpAreRead() throws IOException {
    assertThat(read(Captured.bytes("dump.rep"), ASKED)).isEqualTo(Part.LAST);

    assertThat(seen)
        .containsExactly(
            "17 10.2.3.4 > 10.3.0.10:53 by 10.3.0.10 unreplied",
            "6 10.2.3.4 > 10.3.0.10:443 by 10.2.9.9",
            "1 10.2.3.4 > 8.8.8.8:0 by 8.8.8.8 unreplied");
  }

  @Test
  void ipv6ZonesCountersAndTimestampsAreRead() throws IOException {
    assertThat(read(Captured.bytes("dump_v6_zone_acct.rep"), 12)).isEqualTo(Part.LAST);

    assertThat(seen)
        .containsExactly(
            "17 127.0.0.1 > 127.0.0.1:30000 by 127.0.0.1",
            "6 fd00:0:0:0:0:0:0:1 > fd00:0:0:0:0:0:0:2:2222 by fd00:0:0:0:0:0:0:2 unreplied");
  }

  @Test
  void anEmptyTableIsItsEnd() throws IOException {
    assertThat(read(Captured.bytes("dump_v6.rep"), 5)).isEqualTo(Part.LAST);

    assertThat(seen).isEmpty();
  }

  @Test
  void flowsOfSomebodyElsesRequestArePassedOver() throws IOException {
    assertThat(read(Captured.bytes("dump.rep"), ASKED + 1)).isEqualTo(Part.MORE);

    assertThat(seen).isEmpty();
  }

  @Test
  void aFlowThatWaitsForItsEndIsTold() throws IOException {
    ByteBuffer dump =
        new FlowBytes(ASKED)
            .flow(told(6, 0xe, 7))
            .flow(told(6, 0xe, 3))
            .flow(told(17, 8, 7))
            .done(2, 0)
            .build();

    read(dump, ASKED);

    assertThat(seen)
        .containsExactly(
            "6 10.0.0.1 > 10.0.0.2:443 by 10.0.0.3 over",
            "6 10.0.0.1 > 10.0.0.2:443 by 10.0.0.3",
            "17 10.0.0.1 > 10.0.0.2:443 by 10.0.0.3 unreplied");
  }

  @Test
  void aTableThatWasRebuiltUnderTheDumpIsTorn() throws IOException {
    ByteBuffer first = new FlowBytes(ASKED).flow(told(17, 8, 0)).build();
    first.order(ByteOrder.nativeOrder()).putShort(6, (short) 0x12);

    assertThat(read(first, ASKED)).isEqualTo(Part.TORN);
    assertThat(read(new FlowBytes(ASKED).done(0x12, 0).build(), ASKED)).isEqualTo(Part.LAST_TORN);
    assertThat(read(new FlowBytes(ASKED).done(2, 0).build(), ASKED)).isEqualTo(Part.LAST);
  }

  @Test
  void anEndThatIsAnErrorIsOne() {
    ByteBuffer end = new FlowBytes(ASKED).done(2, -105).build();

    assertThatThrownBy(() -> read(end, ASKED))
        .isInstanceOf(LibC.Failure.class)
        .hasMessage("netlink: no buffer space (ENOBUFS)");
  }

  @Test
  void anAttributeThatIsLongerThanWhatHoldsItIsRefused() {
    ByteBuffer dump = Captured.bytes("dump.rep").order(ByteOrder.nativeOrder());
    dump.putShort(20 + 4 + 4, (short) 60); // the first address, beyond its tuple

    assertThatThrownBy(() -> read(dump, ASKED))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("an attribute of 60 bytes");
  }

  @Test
  void aDumpThatIsCutOffAnywhereEndsInAnErrorOrInAPart() {
    ByteBuffer whole = Captured.bytes("dump.rep");
    for (int length = 0; length < whole.capacity(); length++) {
      try {
        read(whole.slice(0, length), ASKED);
      } catch (IOException e) {
        assertThat(e).hasMessageStartingWith("netlink");
      }
    }
  }

  private Part read(ByteBuffer datagram, int sequence) throws IOException {
    return ConntrackNetlink.flows(
        datagram, sequence, new FlowReader(), flow -> seen.add(shown(flow)));
  }

  static String shown(Flow flow) {
    return "%d %s > %s:%d by %s%s%s"
        .formatted(
            flow.protocol(),
            text(flow.sourceHigh(), flow.sourceLow()),
            text(flow.destinationHigh(), flow.destinationLow()),
            flow.destinationPort(),
            text(flow.answererHigh(), flow.answererLow()),
            flow.unreplied() ? " unreplied" : "",
            flow.timeWait() ? " over" : "");
  }

  private static String text(long high, long low) {
    try {
      byte[] bytes = ByteBuffer.allocate(16).putLong(high).putLong(low).array();
      return InetAddress.getByAddress(bytes).getHostAddress();
    } catch (UnknownHostException e) {
      throw new AssertionError(e);
    }
  }

  private static FlowBytes.Told told(int protocol, int status, int tcpState) {
    return new FlowBytes.Told(
        InetAddress.ofLiteral("10.0.0.1"),
        InetAddress.ofLiteral("10.0.0.2"),
        InetAddress.ofLiteral("10.0.0.3"),
        protocol,
        443,
        status,
        tcpState);
  }
}
