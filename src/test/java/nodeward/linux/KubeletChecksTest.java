package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nodeward.component.Finding;
import nodeward.component.Finding.Level;
import nodeward.config.Config;
import nodeward.config.ConfigReader;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class KubeletChecksTest {
  private static final String TAINTED =
      """
      kind: KubeletConfiguration
      cgroupDriver: systemd
      registerWithTaints: [{key: readiness.k8s.io/nodeward, value: pending, effect: NoSchedule}]
      """;

  @TempDir private Path directory;
  private Path proc;

  @BeforeEach
  void runAKubelet() throws IOException {
    proc = directory.resolve("proc");
    process(40, "kubelet", "net:[2]", "/usr/bin/kubelet --config=/of-another-network");
    process(41, "bash", "net:[1]", "bash");
    process(42, "kubelet", "net:[1]", "/usr/bin/kubelet --v=2 --config /etc/kubelet.yaml");
    Files.createDirectories(proc.resolve("self/ns"));
    Files.createSymbolicLink(proc.resolve("self/ns/net"), Path.of("net:[1]"));
    configure(TAINTED);
  }

  @Test
  void aKubeletThatFitsIsWell() throws Exception {
    KubeletChecks.Told told = look("");

    assertThat(told.cgroupDriver()).contains("systemd");
    assertThat(told.findings())
        .containsExactly(
            Finding.ok("cgroup driver of the pods: systemd"),
            Finding.ok("the kubelet registers the node with readiness.k8s.io/nodeward:NoSchedule"),
            Finding.ok("at shutdown the drain's unit drains: the kubelet leaves pods alone"));
  }

  @Test
  void aTaintThatTheNodeIsNotBornWithIsNamed() throws Exception {
    configure("cgroupDriver: systemd\n");

    assertThat(wrong(""))
        .containsExactly(
            "the kubelet does not register the node with readiness.k8s.io/nodeward:NoSchedule:"
                + " pods may come before the gate");
    assertThat(wrong("gate: {enabled: false}")).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--register-with-taints=a=b:NoExecute,readiness.k8s.io/nodeward=pending:NoSchedule",
        "--register-with-taints readiness.k8s.io/nodeward=:NoSchedule"
      })
  void aFlagIsStrongerThanTheFile(String flag) throws Exception {
    process(42, "kubelet", "net:[1]", "kubelet --config /etc/kubelet.yaml " + flag);
    configure("cgroupDriver: systemd\n");

    assertThat(wrong("")).isEmpty();
  }

  @Test
  void laterFilesAreStrongerThanEarlierOnes() throws Exception {
    process(
        42, "kubelet", "net:[1]", "kubelet --config /etc/kubelet.yaml --config-dir=/etc/kubelet.d");
    Path more = Files.createDirectories(root().resolve("etc/kubelet.d"));
    Files.writeString(more.resolve("10.conf"), "cgroupDriver: cgroupfs\n");
    Files.writeString(more.resolve("20.conf"), "shutdownGracePeriod: 30s\n");
    Files.writeString(more.resolve("30.yaml"), "cgroupDriver: none\n");

    assertThat(look("").cgroupDriver()).contains("cgroupfs");
    assertThat(wrong("")).singleElement().asString().contains("shutdownGracePeriod 30 s");
  }

  @Test
  void whereThePodsCgroupsAreIsTheTruthAboutTheirDriver() throws Exception {
    Files.createDirectories(directory.resolve("cgroup/kubepods"));

    assertThat(look("").cgroupDriver()).contains("cgroupfs");
  }

  @ParameterizedTest
  @CsvSource({
    "30s, 30",
    "1m0s, 60",
    "1h2m3.5s, 3723",
  })
  void aKubeletThatEndsPodsAtShutdownNeedsOurLock(String grace, int seconds) throws Exception {
    configure(TAINTED + "shutdownGracePeriod: " + grace + "\n");
    try (var bus = new FakeBus(directory.resolve("bus"))) {
      bus.locks.add(FakeBus.KUBELET);
      assertThat(wrong(""))
          .containsExactly(
              "at shutdown the kubelet ends pods (shutdownGracePeriod %d s) and the agent holds no"
                      .formatted(seconds)
                  + " lock of logind: nothing is evicted");

      bus.locks.add("shutdown|nodeward|drains|delay");
      assertThat(wrong(""))
          .containsExactly(
              "at shutdown the kubelet ends pods (shutdownGracePeriod %d s) and logind delays that"
                      .formatted(seconds)
                  + " for 5 s, less than the deadline of a drain (110 s)");

      bus.property("InhibitDelayMaxUSec", FakeBus.Body.ofBig(120_000_000));
      assertThat(wrong("")).isEmpty();
      assertThat(wrong("termination: {shutdown: {inhibit: false}}"))
          .singleElement()
          .asString()
          .contains("termination.shutdown.inhibit is off");
    }
    assertThat(wrong("")).singleElement().asString().contains("logind cannot be asked");
  }

  @Test
  void prioritiesHaveGracePeriodsToo() throws Exception {
    configure(
        TAINTED
            + "shutdownGracePeriodByPodPriority: [{priority: 0, shutdownGracePeriodSeconds: 20},"
            + " {priority: 9, shutdownGracePeriodSeconds: 5}]\n");

    assertThat(wrong("")).singleElement().asString().contains("shutdownGracePeriod 25 s");
  }

  @Test
  void aConfigurationThatCannotBeReadIsNotTakenForGood() throws Exception {
    configure("shutdownGracePeriod: soon\n");
    assertThat(look("").findings()).extracting(Finding::level).contains(Level.UNKNOWN);

    configure("{");
    assertThat(look("").findings()).extracting(Finding::level).contains(Level.UNKNOWN);

    Files.delete(root().resolve("etc/kubelet.yaml"));
    assertThat(look("").findings()).extracting(Finding::level).contains(Level.UNKNOWN);
  }

  @Test
  void withoutAKubeletNothingIsSaidOfIt() throws Exception {
    Files.writeString(proc.resolve("42/comm"), "other\n");

    assertThat(look("").findings()).extracting(Finding::level).containsExactly(Level.NOTE);
  }

  private void process(int pid, String name, String network, String line) throws IOException {
    Path process = proc.resolve(Integer.toString(pid));
    Files.createDirectories(process.resolve("ns"));
    Files.writeString(process.resolve("comm"), name + "\n");
    Files.write(
        process.resolve("cmdline"), line.replace(' ', '\0').getBytes(StandardCharsets.UTF_8));
    Files.deleteIfExists(process.resolve("ns/net"));
    Files.createSymbolicLink(process.resolve("ns/net"), Path.of(network));
  }

  private Path root() {
    return proc.resolve("42/root");
  }

  private void configure(String yaml) throws IOException {
    Files.createDirectories(root().resolve("etc"));
    Files.writeString(root().resolve("etc/kubelet.yaml"), yaml);
  }

  private KubeletChecks.Told look(String more) throws Exception {
    Path file =
        Files.writeString(
            directory.resolve("c.yaml"),
            "node: {name: n1, procRoot: %s}\n%s\n".formatted(proc, more));
    Config config = ConfigReader.read(Optional.of(file), Map.of(), Map.of());
    return new KubeletChecks(config, directory.resolve("cgroup"), directory.resolve("bus")).look();
  }

  private List<String> wrong(String more) throws Exception {
    return look(more).findings().stream()
        .filter(f -> f.level() != Level.OK)
        .map(Finding::what)
        .toList();
  }
}
