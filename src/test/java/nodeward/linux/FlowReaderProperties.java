package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import nodeward.linux.ConntrackNetlink.Part;

class FlowReaderProperties {
  @Provide
  Arbitrary<FlowBytes.Told> flows() {
    return Arbitraries.of(4, 16)
        .flatMap(
            size ->
                Combinators.combine(
                        address(size),
                        address(size),
                        address(size),
                        Arbitraries.of(1, 6, 17, 58, 132),
                        Arbitraries.integers().between(0, 65535),
                        Arbitraries.integers().between(0, 0xffff),
                        Arbitraries.integers().between(0, 9))
                    .as(FlowBytes.Told::new));
  }

  private static Arbitrary<InetAddress> address(int size) {
    return Arbitraries.bytes()
        .array(byte[].class)
        .ofSize(size)
        .map(
            bytes -> {
              try {
                return InetAddress.getByAddress(bytes);
              } catch (UnknownHostException e) {
                throw new AssertionError(e);
              }
            });
  }

  @Property(tries = 300)
  void whatIsBuiltIsRead(
      @ForAll("flows") FlowBytes.Told one,
      @ForAll("flows") FlowBytes.Told other,
      @ForAll int sequence)
      throws IOException {
    ByteBuffer dump = new FlowBytes(sequence).flow(one).flow(other).done(2, 0).build();
    var seen = new ArrayList<String>();

    Part part =
        ConntrackNetlink.flows(
            dump, sequence, new FlowReader(), flow -> seen.add(FlowReaderTest.shown(flow)));

    assertThat(part).isEqualTo(Part.LAST);
    assertThat(seen).isEqualTo(List.of(shown(one), shown(other)));
  }

  private static String shown(FlowBytes.Told told) {
    return "%d %s > %s:%d by %s%s%s"
        .formatted(
            told.protocol(),
            told.source().getHostAddress(),
            told.destination().getHostAddress(),
            told.port(),
            told.answerer().getHostAddress(),
            (told.status() & 2) == 0 ? " unreplied" : "",
            told.protocol() == 6 && told.tcpState() == 7 ? " over" : "");
  }
}
