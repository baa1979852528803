package nodeward.linux;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whatever bytes come from a netlink socket, the readers end, and throw nothing but IOException.
 * {@code make test} runs the recorded answers; {@code JAZZER_FUZZ=1 mvn test
 * -Dtest=NetlinkFuzzTest} with -Djazzer.hooks=true looks for more.
 */
class NetlinkFuzzTest {
  static Stream<Arguments> recorded() {
    return Stream.of("stats.rep", "stats_cpu.rep", "dump.rep", "dump_v6_zone_acct.rep", "eperm.rep")
        .map(name -> Arguments.of((Object) Captured.bytes(name).array()));
  }

  @MethodSource("recorded")
  @FuzzTest(maxDuration = "2m")
  void anyBytesAreReadOrRefused(byte[] bytes) {
    // The sequence number is the sender's business: take that of the bytes, so that they are read.
    int sequence =
        bytes.length < 12 ? 0 : ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getInt(8);
    read(() -> ConntrackNetlink.size(ByteBuffer.wrap(bytes), sequence));
    read(() -> ConntrackNetlink.counters(ByteBuffer.wrap(bytes), sequence, new TreeMap<>()));
    read(
        () ->
            ConntrackNetlink.flows(ByteBuffer.wrap(bytes), sequence, new FlowReader(), flow -> {}));
  }

  private interface Read {
    void run() throws IOException;
  }

  private static void read(Read read) {
    try {
      read.run();
    } catch (IOException e) {
      if (!String.valueOf(e.getMessage()).startsWith("netlink")) {
        throw new AssertionError("an error of another kind", e);
      }
    }
  }
}
