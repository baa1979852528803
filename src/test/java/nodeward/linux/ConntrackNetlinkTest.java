package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.linux.ConntrackNetlink.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ConntrackNetlinkTest {
  private static final int SIZE_ASKED = 2;
  private static final int COUNTERS_ASKED = 1;

  @Test
  void theRequestsAreThoseThatTheKernelUnderstood() {
    assertThat(ConntrackNetlink.sizeRequest(SIZE_ASKED))
        .isEqualTo(Captured.bytes("stats.req").array());
    assertThat(ConntrackNetlink.countersRequest(COUNTERS_ASKED))
        .isEqualTo(Captured.bytes("stats_cpu.req").array());
  }

  @Test
  void theSizeIsReadAlthoughNoEndFollowsIt() throws IOException {
    assertThat(ConntrackNetlink.size(Captured.bytes("stats.rep"), SIZE_ASKED))
        .contains(new Size(3, OptionalLong.of(262144)));
  }

  @Test
  void theSizeIsReadBeforeAnAcknowledgement() throws IOException {
    assertThat(ConntrackNetlink.size(Captured.bytes("stats_ack.rep"), 3))
        .contains(new Size(3, OptionalLong.of(262144)));
  }

  @Test
  void anOldKernelDoesNotTellTheLimit() throws IOException {
    ByteBuffer answer = Captured.bytes("stats.rep").order(ByteOrder.nativeOrder());
    answer.putInt(0, 28).limit(28);

    assertThat(ConntrackNetlink.size(answer, SIZE_ASKED))
        .contains(new Size(3, OptionalLong.empty()));
  }

  @Test
  void aSizeWithoutTheEntriesIsRefused() {
    ByteBuffer answer = Captured.bytes("stats.rep").order(ByteOrder.nativeOrder());
    answer.putInt(0, 20).limit(20);

    assertThatThrownBy(() -> ConntrackNetlink.size(answer, SIZE_ASKED))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("without the number of entries");
  }

  @Test
  void anAnswerToSomebodyElsesRequestIsPassedOver() throws IOException {
    assertThat(ConntrackNetlink.size(Captured.bytes("stats.rep"), SIZE_ASKED + 1)).isEmpty();

    var cpus = new TreeMap<Integer, Map<Stat, Long>>();
    assertThat(ConntrackNetlink.counters(Captured.bytes("stats_cpu.rep"), 7, cpus)).isFalse();
    assertThat(cpus).isEmpty();
  }

  @Test
  void theCountersOfEachCpuAreReadUpToTheEnd() throws IOException {
    var cpus = new TreeMap<Integer, Map<Stat, Long>>();

    boolean done = ConntrackNetlink.counters(Captured.bytes("stats_cpu.rep"), COUNTERS_ASKED, cpus);

    assertThat(done).isTrue();
    assertThat(cpus).containsOnlyKeys(0, 1);
    assertThat(cpus.get(0)).containsOnlyKeys(Stat.values()).containsEntry(Stat.INSERT, 2L);
    assertThat(cpus.get(1)).containsEntry(Stat.INSERT, 1L).containsEntry(Stat.DROP, 0L);
  }

  @Test
  void countersThatComeInSeveralDatagramsAreNotAtTheirEndBeforeTheLast() throws IOException {
    ByteBuffer answer = Captured.bytes("stats_cpu.rep");
    var cpus = new TreeMap<Integer, Map<Stat, Long>>();

    assertThat(ConntrackNetlink.counters(answer.slice(0, 100), COUNTERS_ASKED, cpus)).isFalse();
    assertThat(ConntrackNetlink.counters(answer.slice(100, 120), COUNTERS_ASKED, cpus)).isTrue();

    assertThat(cpus).containsOnlyKeys(0, 1);
  }

  @Test
  void aCounterIsReadAsUnsigned() throws IOException {
    ByteBuffer answer = Captured.bytes("stats_cpu.rep");
    answer.putInt(16 + 4 + 4 * 8 + 4, 0xfffffffe); // the fifth attribute: drop

    var cpus = new TreeMap<Integer, Map<Stat, Long>>();
    ConntrackNetlink.counters(answer, COUNTERS_ASKED, cpus);

    assertThat(cpus.get(0)).containsEntry(Stat.DROP, 4294967294L);
  }

  @Test
  void aCounterOfANewerKernelIsPassedOver() throws IOException {
    ByteBuffer answer = Captured.bytes("stats_cpu.rep").order(ByteOrder.nativeOrder());
    answer.putShort(16 + 4 + 2, (short) 99);

    var cpus = new TreeMap<Integer, Map<Stat, Long>>();
    ConntrackNetlink.counters(answer, COUNTERS_ASKED, cpus);

    assertThat(cpus.get(0)).hasSize(9).doesNotContainKey(Stat.FOUND);
  }

  @Test
  void withoutTheCapabilityItIsNotPermitted() {
    assertThatThrownBy(
            () -> ConntrackNetlink.counters(Captured.bytes("eperm.rep"), 9, new TreeMap<>()))
        .isInstanceOfSatisfying(
            LibC.Failure.class, e -> assertThat(e.errno()).isEqualTo(LibC.EPERM))
        .hasMessage("netlink: not permitted (EPERM)");
  }

  @Test
  void aRequestThatTheKernelDoesNotKnowIsInvalid() {
    assertThatThrownBy(() -> ConntrackNetlink.size(Captured.bytes("bad_type.rep"), 6))
        .hasMessage("netlink: invalid argument (EINVAL)");
  }

  @ParameterizedTest
  @ValueSource(strings = {"stats.rep", "stats_ack.rep", "stats_cpu.rep", "eperm.rep", "dump.rep"})
  void anAnswerThatIsCutOffAnywhereEndsInAnErrorOrInAPart(String name) {
    ByteBuffer answer = Captured.bytes(name);
    int sequence = answer.order(ByteOrder.nativeOrder()).getInt(8);
    for (int length = 0; length < answer.capacity(); length++) {
      readOrFail(answer.slice(0, length), sequence);
    }
  }

  @Test
  void noBytesWhateverMakeTheReaderLoopOrThrowAnythingButItsOwn() {
    var random = new Random(42);
    ByteBuffer good = Captured.bytes("stats_cpu.rep");
    for (int round = 0; round < 20_000; round++) {
      byte[] bytes = good.array().clone();
      for (int change = random.nextInt(1, 8); change > 0; change--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      readOrFail(ByteBuffer.wrap(bytes), COUNTERS_ASKED);
    }
  }

  private static void readOrFail(ByteBuffer answer, int sequence) {
    try {
      ConntrackNetlink.size(answer, sequence);
      ConntrackNetlink.counters(answer, sequence, new TreeMap<>());
    } catch (IOException e) {
      assertThat(e).hasMessageStartingWith("netlink");
    }
  }
}
