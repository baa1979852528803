package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import nodeward.conntrack.ConntrackTable.Known;
import nodeward.conntrack.ConntrackTable.Stat;
import nodeward.conntrack.ConntrackTable.Unknown;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelConntrackTest {
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
            });

    assertThat(table.read())
        .isEqualTo(
            new Unknown("the kernel tracks no connections: module nf_conntrack is not loaded"));
  }

  @Test
  void whatNetlinkTellsCounts() throws IOException {
    fake.conntrack(1, 2);
    var told = new Known(5, 10, new TreeMap<>(Map.of(0, Map.of(Stat.DROP, 1L))), "netlink");

    assertThat(new KernelConntrack(proc, _ -> told).read()).isEqualTo(told);
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
            });

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
}
