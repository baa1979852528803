package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import nodeward.conntrack.ConntrackTable.Stat;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class ProcfsTest {
  private static final String STAT = "net/stat/nf_conntrack";

  @TempDir private Path root;
  private FakeProc fake;
  private Procfs proc;

  @BeforeEach
  void make() {
    fake = new FakeProc(root);
    proc = new Procfs(root);
  }

  @Test
  void whatIsNotThereIsEmpty() throws IOException {
    assertThat(proc.conntrackCount()).isEmpty();
    assertThat(proc.conntrackLimit()).isEmpty();
    assertThat(proc.conntrackCounters()).isEmpty();
    assertThat(proc.bootId()).isEmpty();
    assertThat(proc.uptime()).isEmpty();
    assertThat(proc.bootTime()).isEmpty();
    assertThat(proc.ownMemory()).isEmpty();
  }

  @Test
  void theTableIsCounted() throws IOException {
    fake.conntrack(12, 262144);

    assertThat(proc.conntrackCount()).hasValue(12);
    assertThat(proc.conntrackLimit()).hasValue(262144);
  }

  @Test
  void anythingButANumberIsToldWithItsFile() throws IOException {
    fake.write("sys/net/netfilter/nf_conntrack_count", "many\n");

    assertThatThrownBy(proc::conntrackCount)
        .hasMessageContaining("nf_conntrack_count does not hold what the kernel writes: \"many\"");
  }

  @Test
  void theCountersOfTodaysKernelsAreFoundByTheirName() throws IOException {
    fake.write(STAT, Captured.text("proc_net_stat_nf_conntrack.txt"));

    var cpus = proc.conntrackCounters();

    assertThat(cpus).containsOnlyKeys(0, 1);
    assertThat(cpus.get(0))
        .containsOnlyKeys(
            Stat.CLASH_RESOLVE,
            Stat.FOUND,
            Stat.INVALID,
            Stat.INSERT,
            Stat.INSERT_FAILED,
            Stat.DROP,
            Stat.EARLY_DROP,
            Stat.ICMP_ERROR,
            Stat.SEARCH_RESTART);
    assertThat(cpus.get(1)).containsEntry(Stat.INSERT, 1L);
  }

  @Test
  void theColumnsOfOldKernelsAreNotMistakenForOthers() throws IOException {
    fake.write(
        STAT,
        """
        entries  searched found new invalid ignore delete delete_list insert insert_failed drop
        00000003  000000aa 00000001 00000000 00000002 00000000 00000000 000000bb 00000003 00000004 fffffffe
        """);

    assertThat(proc.conntrackCounters().get(0))
        .containsOnlyKeys(Stat.FOUND, Stat.INVALID, Stat.INSERT, Stat.INSERT_FAILED, Stat.DROP)
        .containsEntry(Stat.INSERT_FAILED, 4L)
        .containsEntry(Stat.DROP, 4294967294L);
  }

  @Test
  void aColumnWithoutANameIsPassedOverAndAShortLineIsReadAsFarAsItGoes() throws IOException {
    fake.write(STAT, "entries found drop\n1 2 3 4 5\n1 2\n");

    var cpus = proc.conntrackCounters();

    assertThat(cpus.get(0)).containsEntry(Stat.DROP, 3L).hasSize(2);
    assertThat(cpus.get(1)).containsOnlyKeys(Stat.FOUND);
  }

  @Test
  void countersAreUnsigned() throws IOException {
    fake.write("net/stat/nf_conntrack", "entries drop\n00000001 fffffffe\n");

    assertThat(proc.conntrackCounters().get(0)).containsEntry(Stat.DROP, 0xfffffffeL);
  }

  @Test
  void countersThatAreNoNumbersAreRefused() throws IOException {
    fake.write(STAT, "entries found\n1 zzz\n");

    assertThatThrownBy(proc::conntrackCounters).hasMessageContaining("nf_conntrack does not hold");
  }

  @Test
  void theBootIsIdentified() throws IOException {
    fake.write("sys/kernel/random/boot_id", "2f8a1f7e-6f4c-4a8b-9a53-6d8f5ef0a001\n");
    fake.write("uptime", "350735.47 234388.90\n");
    fake.write("stat", "cpu  1 2 3 4\nintr 5\nbtime 1761000000\nprocesses 7\n");

    assertThat(proc.bootId()).contains("2f8a1f7e-6f4c-4a8b-9a53-6d8f5ef0a001");
    assertThat(proc.uptime()).contains(Duration.ofMillis(350735470));
    assertThat(proc.bootTime()).contains(Instant.ofEpochSecond(1761000000));
  }

  @Test
  void theMemoryIsReadFromTheRollupElseFromTheStatus() throws IOException {
    fake.write("self/status", "Name:\tjava\nVmRSS:\t    2000 kB\nRssAnon:\t    1000 kB\n");
    assertThat(proc.ownMemory()).contains(new Procfs.Memory(2048000, 1024000));

    fake.write("self/smaps_rollup", "0-1 ---p [rollup]\nRss:   2001 kB\nAnonymous:  999 kB\n");
    assertThat(proc.ownMemory()).contains(new Procfs.Memory(2049024, 1022976));
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void theRealOneIsUnderstood() throws IOException {
    var real = new Procfs(Path.of("/proc"));

    assertThat(real.bootId().orElseThrow()).matches("[0-9a-f-]{36}");
    assertThat(real.number("sys/kernel/pid_max").orElseThrow()).isGreaterThan(300);
    assertThat(real.uptime().orElseThrow()).isPositive();
    assertThat(real.bootTime().orElseThrow()).isBefore(Instant.now());
    Procfs.Memory own = real.ownMemory().orElseThrow();
    assertThat(own.resident()).isGreaterThan(own.anonymous());
  }
}
