package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import nodeward.component.Time;
import nodeward.config.ConfigReader;
import nodeward.linux.KernelConntrack;
import nodeward.linux.TableFiller;
import nodeward.node.FakeConditions;
import nodeward.node.FakeNode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Full tables of the real kernel, each in a network namespace of its own, seen by the agent's parts
 * and by the conntrack tool. Needs root, util-linux, iptables and the conntrack tool.
 */
@Tag("e2e")
class FlowsE2eTest {
  private static final int POD = 0x0a020007; // 10.2.0.7
  private static final int ELSEWHERE = 0x0a09_0000;

  @BeforeEach
  void needsRoot() {
    assertThat(System.getProperty("user.name")).isEqualTo("root");
  }

  @Test
  void twoHundredThousandFlowsAreCountedExactly() throws Exception {
    List<String> said =
        inNamespace("count; conntrack -C; conntrack -L 2>/dev/null | wc -l", "count");

    assertThat(said)
        .containsExactly(
            "flows=200000 torn=false",
            "shop/cart client=150000 server=0",
            "host client=50000 server=0",
            "10.9.0.0:443/tcp 50000",
            "200000",
            "200000");
  }

  @Test
  void aTableThatIsFilledUntilTheKernelDropsIsToldAsTheToolSeesIt() throws Exception {
    List<String> said = inNamespace("fill; conntrack -C; conntrack -S", "fill");

    long limit = limit(new KernelConntrack(Path.of("/proc")));
    assertThat(said.get(0)).startsWith("ConntrackPressure=False ConntrackOk");
    assertThat(said.get(1))
        .matches(
            "ConntrackPressure=True ConntrackDropping: the kernel drops flows, [\\d.]+ a second:"
                + " the connection tracking table has %1$d of %1$d entries \\(100.0 %%\\);"
                    .formatted(limit)
                + " held by shop/cart 100 % as client");
    assertThat(said.get(2)).isEqualTo("entries=" + limit + " limit=" + limit);
    assertThat(said.get(3)).isEqualTo("holder shop/cart=" + limit);
    assertThat(said.get(5)).isEqualTo(Long.toString(limit));
    long drops =
        said.stream()
            .filter(line -> line.startsWith("cpu="))
            .mapToLong(line -> Long.parseLong(line.replaceAll(".*\\bdrop=(\\d+).*", "$1")))
            .sum();
    assertThat(drops).isPositive();
    assertThat(said.get(4)).isEqualTo("drops=" + drops);
  }

  /** Runs the mode as this class's main, and what follows it in the shell. */
  private static List<String> inNamespace(String script, String mode) throws Exception {
    String java = ProcessHandle.current().info().command().orElseThrow();
    String main =
        "\"$0\" --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow"
            + " -cp \"$1\" nodeward.conntrack.FlowsE2eTest "
            + mode
            + " 2>&1";
    String whole =
        """
        ip link set lo up
        ip address add 10.2.0.7/32 dev lo
        iptables -A OUTPUT -m conntrack --ctstate NEW -j ACCEPT
        """
            + script.replaceFirst("^" + mode, main.replace("$", "\\$"));
    var command = new ArrayList<>(List.of("unshare", "--net", "sh", "-euc", whole, java));
    command.add(System.getProperty("java.class.path"));
    Process child = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(child.waitFor(120, TimeUnit.SECONDS)).isTrue();
      assertThat(child.exitValue()).describedAs(said).isZero();
      return said.lines()
          .filter(line -> !line.contains(" INFO ") && !line.contains(" WARN "))
          .toList();
    } finally {
      child.destroyForcibly();
    }
  }

  /** What runs in the namespace. */
  public static void main(String... mode) throws Exception {
    var table = new KernelConntrack(Path.of("/proc"));
    var node = new FakeNode("node-1");
    node.put(FakeNode.pod("shop", "cart", "10.2.0.7"));
    var flows = new FlowCount(table, node.asPods(), Time.SYSTEM);
    if (mode[0].equals("count")) {
      count(flows);
    } else {
      fill(table, flows);
    }
  }

  private static long limit(KernelConntrack table) throws IOException {
    return ((ConntrackTable.Known) table.read()).limit();
  }

  private static void count(FlowCount flows) throws IOException {
    TableFiller.fill(150_000, POD, ELSEWHERE);
    TableFiller.fill(50_000, 0x0a00_0001, 0x0a0b_0000);
    Holders holders = flows.now();
    System.out.println("flows=" + holders.flows() + " torn=" + holders.torn());
    for (Holders.Holder row : holders.by(Holders.By.POD)) {
      System.out.printf("%s client=%d server=%d%n", row.name(), row.client(), row.server());
    }
    Holders.Destination first = holders.destinations().getFirst();
    System.out.println(first.name() + " " + first.flows());
  }

  private static void fill(KernelConntrack table, FlowCount flows) throws Exception {
    var conditions = new FakeConditions();
    var registry = new CollectorRegistry();
    var defaults = ConfigReader.defaults().conntrack();
    try (var watch =
        new ConntrackWatch(
            defaults, table, flows, Duration.ofHours(1), conditions, registry, Time.SYSTEM)) {
      watch.sample(Instant.now());
      TableFiller.fill(Math.toIntExact(limit(table)), POD, ELSEWHERE);
      knock(2000);
      watch.sample(Instant.now());
      conditions.stated().forEach(System.out::println);
      System.out.printf(
          "entries=%.0f limit=%.0f%n",
          registry.getSampleValue("nodeward_conntrack_entries"),
          registry.getSampleValue("nodeward_conntrack_entries_limit"));
      System.out.printf(
          "holder shop/cart=%.0f%n",
          registry.getSampleValue(
              "nodeward_conntrack_holder_flows",
              new String[] {"holder"},
              new String[] {"shop/cart"}));
      double drops = 0;
      for (int cpu = 0; cpu < Runtime.getRuntime().availableProcessors(); cpu++) {
        Double own =
            registry.getSampleValue(
                "nodeward_conntrack_stat_total",
                new String[] {"cpu", "stat"},
                new String[] {Integer.toString(cpu), "drop"});
        drops += own == null ? 0 : own;
      }
      System.out.printf("drops=%.0f%n", drops);
    }
  }

  /** Sends packets of new flows, for which there is no room. */
  private static void knock(int packets) throws IOException {
    try (var socket = new DatagramSocket(0, InetAddress.ofLiteral("10.2.0.7"))) {
      for (int port = 1; port <= packets; port++) {
        try {
          socket.send(new DatagramPacket(new byte[1], 1, InetAddress.ofLiteral("10.2.0.7"), port));
        } catch (IOException e) {
          if (!String.valueOf(e.getMessage()).contains("Operation not permitted")) {
            throw e;
          }
        }
      }
    }
  }
}
