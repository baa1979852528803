package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import nodeward.conntrack.FlowTable.Walk;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The talking, with a kernel that answers as it is told. */
@Timeout(30)
class NetlinkTest {
  private static final Duration LIMIT = Duration.ofMillis(200);

  private final Deque<Object> answers = new ArrayDeque<>();
  private boolean endless;
  private boolean closed;
  private int asked;
  private final Netlink netlink = new Netlink(new Kernel(), LIMIT);

  @Test
  void theSizeNeedsNoEnd() throws IOException {
    answers.add(Captured.bytes("stats.rep"));

    assertThat(netlink.conntrackSize().entries()).isEqualTo(3);
  }

  @Test
  void answersToSomebodyElseAreWaitedPast() throws IOException {
    answers.add(foreign(Captured.bytes("stats.rep")));
    answers.add(foreign(Captured.bytes("eperm.rep")));
    answers.add(Captured.bytes("stats.rep"));

    assertThat(netlink.conntrackSize().entries()).isEqualTo(3);
  }

  @Test
  void aKernelThatTellsOnlyOfOthersDoesNotHoldTheReaderForEver() {
    answers.add(foreign(Captured.bytes("stats.rep")));
    endless = true;

    assertThatThrownBy(netlink::conntrackSize).hasMessage("netlink: no whole answer in time");
  }

  @Test
  void aWaitThatIsInterruptedGoesOn() throws IOException {
    answers.add(new LibC.Failure("recv", LibC.EINTR));
    answers.add(Captured.bytes("stats.rep"));

    assertThat(netlink.conntrackSize().entries()).isEqualTo(3);
  }

  @Test
  void silenceIsAnError() {
    answers.add(new LibC.Failure("recv", LibC.EAGAIN));

    assertThatThrownBy(netlink::conntrackCounters).hasMessage("recv: timed out (EAGAIN)");
  }

  @Test
  void anAnswerThatWasLostForWantOfRoomIsAnError() {
    answers.add(part());
    answers.add(new LibC.Failure("recv", 105));

    assertThatThrownBy(() -> netlink.conntrackFlows(flow -> {}, LIMIT))
        .hasMessage("recv: no buffer space (ENOBUFS)");
  }

  @Test
  void aDumpIsReadOverManyDatagramsToItsEnd() throws IOException {
    answers.add(part());
    answers.add(part());
    answers.add(Captured.bytes("dump.rep"));
    int[] flows = {0};

    assertThat(netlink.conntrackFlows(flow -> flows[0]++, LIMIT)).isEqualTo(Walk.WHOLE);

    assertThat(flows[0]).isEqualTo(5);
  }

  @Test
  void aDumpThatWasTornInTheMiddleIsTorn() throws IOException {
    ByteBuffer torn = part();
    torn.order(ByteOrder.nativeOrder()).putShort(6, (short) 0x12);
    answers.add(part());
    answers.add(torn);
    answers.add(Captured.bytes("dump_v6.rep"));

    assertThat(netlink.conntrackFlows(flow -> {}, LIMIT)).isEqualTo(Walk.TORN);
  }

  @Test
  void aDumpWithoutEndIsGivenUp() {
    answers.add(part());
    endless = true;

    assertThatThrownBy(() -> netlink.conntrackFlows(flow -> {}, LIMIT))
        .hasMessage("netlink: no whole answer in time");
  }

  @Test
  void withoutTheCapabilityNothingIsWalked() {
    answers.add(Captured.bytes("eperm.rep"));

    assertThatThrownBy(() -> netlink.conntrackFlows(flow -> {}, LIMIT))
        .hasMessage("netlink: not permitted (EPERM)");
  }

  @Test
  void aShortReadIsAnError() {
    answers.add(Captured.bytes("stats_cpu.rep").slice(0, 99));

    assertThatThrownBy(netlink::conntrackCounters).hasMessageContaining("a length of 100");
  }

  @Test
  void itClosesItsSocket() {
    netlink.close();

    assertThat(closed).isTrue();
  }

  /** One flow, and more to come. */
  private static ByteBuffer part() {
    ByteBuffer dump = Captured.bytes("dump.rep");
    byte[] one = new byte[192];
    dump.get(one);
    return ByteBuffer.wrap(one);
  }

  private static ByteBuffer foreign(ByteBuffer answer) {
    answer.order(ByteOrder.nativeOrder()).putInt(12, -1);
    return answer;
  }

  /** Answers with what the test has put down, under the number of the last request. */
  private final class Kernel implements Netlink.Wire {
    @Override
    public void send(byte[] request) {
      asked = ByteBuffer.wrap(request).order(ByteOrder.nativeOrder()).getInt(8);
    }

    @Override
    public void receive(ByteBuffer into) throws LibC.Failure {
      Object answer = endless ? answers.peek() : answers.poll();
      switch (answer) {
        case LibC.Failure failure -> throw failure;
        case ByteBuffer bytes -> {
          ByteBuffer copy = bytes.duplicate().order(ByteOrder.nativeOrder());
          copy.rewind();
          into.clear().put(copy).flip();
          ByteBuffer told = into.duplicate().order(ByteOrder.nativeOrder());
          boolean foreign = told.getInt(12) == -1;
          int at = 0;
          while (at + 16 <= told.limit()) {
            told.putInt(at + 8, foreign ? asked + 1 : asked);
            at += Math.max(16, told.getInt(at));
          }
        }
        case null, default -> throw new AssertionError("nothing is left to answer");
      }
    }

    @Override
    public void close() {
      closed = true;
    }
  }
}
