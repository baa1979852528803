package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Map;
import java.util.TreeMap;
import nodeward.conntrack.ConntrackTable;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.conntrack.ConntrackTable.Unknown;
import nodeward.conntrack.Flow;
import nodeward.conntrack.FlowTable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KernelConntrackTest {
  private static final FlowTable NOT_WALKED =
      _ -> {
        throw new AssertionError("nobody asked for flows");
      };
  private static final ConntrackTable.Known FULL = new Known(3, 10, new TreeMap<>(), "netlink");

  @TempDir private Path root;
  private FakeProc fake;
  private Procfs proc;

  @BeforeEach
  void make() {
    fake = new FakeProc(root);
    proc = new Procfs(root);
  }

  @Test
  void withoutTheModuleNothingIsKnownAndTheKernelIsNotAsked() throws IOException {
    var table =
        new KernelConntrack(
            proc,
            _ -> {
              throw new AssertionError("to ask by netlink loads the module");
            },
            NOT_WALKED);

    assertThat(table.read())
        .isEqualTo(
            new Unknown("the kernel tracks no connections: module nf_conntrack is not loaded"));
  }

  @Test
  void whatNetlinkTellsCounts() throws IOException {
    fake.conntrack(1, 2);
    var told = new Known(5, 10, new TreeMap<>(Map.of(0, Map.of(Stat.DROP, 1L))), "netlink");

    assertThat(new KernelConntrack(proc, _ -> told, NOT_WALKED).read()).isEqualTo(told);
  }

  @Test
  void withoutTheCapabilityProcIsReadAndTheReasonShown() throws IOException {
    fake.conntrack(90, 100)
        .write("net/stat/nf_conntrack", Captured.text("proc_net_stat_nf_conntrack.txt"));
    var table =
        new KernelConntrack(
            proc,
            _ -> {
              throw new LibC.Failure("netlink", LibC.EPERM);
            },
            NOT_WALKED);

    var known = (Known) table.read();

    assertThat(known.entries()).isEqualTo(90);
    assertThat(known.limit()).isEqualTo(100);
    assertThat(known.cpus()).hasSize(2);
    assertThat(known.source()).isEqualTo(root + ", for netlink: not permitted (EPERM)");
  }

  @Test
  void anotherMachinesProcIsReadWithoutNetlink() throws IOException {
    fake.conntrack(90, 100);

    var known = (Known) new KernelConntrack(root).read();

    assertThat(known.entries()).isEqualTo(90);
    assertThat(known.cpus()).isEmpty();
    assertThat(known.source()).isEqualTo(root.toString());
  }

  @Test
  void aModuleThatIsUnloadedBetweenTwoReadsIsAFailure() throws IOException {
    fake.write("sys/net/netfilter/nf_conntrack_count", "1\n");

    assertThatThrownBy(() -> new KernelConntrack(root).read())
        .isInstanceOf(IOException.class)
        .hasMessageContaining("its module was unloaded");
  }

  @Test
  void whereNetlinkIsRefusedTheFlowsAreReadFromTheirFile() throws IOException {
    fake.conntrack(4, 100)
        .write(
            "net/nf_conntrack",
            Captured.text("proc_net_nf_conntrack.txt")
                + "ipv6     10 tcp      6 119 TIME_WAIT src=fd00::7 dst=fd00::1 sport=5 dport=80"
                + " packets=1 bytes=60 src=fd00::9 dst=fd00::7 sport=8080 dport=5 [ASSURED]"
                + " mark=0 zone=7 use=2\n");
    var flows = new ArrayList<String>();

    FlowTable.Walk walk = refused(LibC.EPERM).walk(flow -> flows.add(shown(flow)));

    assertThat(walk).isEqualTo(FlowTable.Walk.WHOLE);
    assertThat(flows)
        .containsExactly(
            "0:ffff0a020304 -> 0:ffff0a03000a:53/17 by 0:ffff0a03000a unreplied",
            "0:ffff0a020304 -> 0:ffff0a03000a:443/6 by 0:ffff0a020909",
            "0:ffff0a020304 -> 0:ffff08080808:0/1 by 0:ffff08080808 unreplied",
            "fd00000000000000:7 -> fd00000000000000:1:80/6 by fd00000000000000:9 timeWait");
  }

  @Test
  void whereThereIsNoSuchFileTheRefusalIsTold() throws IOException {
    fake.conntrack(4, 100);

    assertThatThrownBy(() -> refused(LibC.EPERM).walk(_ -> {}))
        .hasMessage("netlink: not permitted (EPERM)");
  }

  @Test
  void anyOtherFailureOfNetlinkIsNotHiddenByTheFile() throws IOException {
    fake.conntrack(4, 100).write("net/nf_conntrack", "");

    assertThatThrownBy(() -> refused(LibC.EAGAIN).walk(_ -> {})).hasMessageContaining("timed out");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "ipv4",
        "ipv4 2 udp 17 29 mark=0",
        "ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 mark=0",
        "ipv4 2 udp x 29 src=10.0.0.1 dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1",
        "ipv4 2 udp 17 29 src=example.com dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1",
        "ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 dport=z src=10.0.0.2 dst=10.0.0.1"
      })
  void aLineThatIsNotOneOfTheKernelsIsAnError(String line) throws IOException {
    fake.conntrack(4, 100).write("net/nf_conntrack", line + "\n");

    assertThatThrownBy(() -> refused(LibC.EPERM).walk(_ -> {}))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("net/nf_conntrack does not hold");
  }

  private KernelConntrack refused(int errno) {
    return new KernelConntrack(
        proc,
        _ -> FULL,
        _ -> {
          throw new LibC.Failure("netlink", errno);
        });
  }

  private static String shown(Flow flow) {
    return "%x:%x -> %x:%x:%d/%d by %x:%x%s%s"
        .formatted(
            flow.sourceHigh(),
            flow.sourceLow(),
            flow.destinationHigh(),
            flow.destinationLow(),
            flow.destinationPort(),
            flow.protocol(),
            flow.answererHigh(),
            flow.answererLow(),
            flow.unreplied() ? " unreplied" : "",
            flow.timeWait() ? " timeWait" : "");
  }
}
