package nodeward.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import nodeward.conntrack.FlowCount;
import nodeward.conntrack.Holders;
import nodeward.linux.KernelConntrack;
import nodeward.linux.TableFiller;
import nodeward.node.FakeNode;

/**
 * Runs in a network namespace of its own: fills its table, lets the agent's parts and the conntrack
 * tool read it in turn, and prints {@code name value} lines.
 */
public final class ConntrackProbe {
  static final int FLOWS = 200_000;

  private static final int ROUNDS = 7;
  private static final int SAMPLES = 500;

  private ConntrackProbe() {}

  public static void main(String[] none) throws IOException, InterruptedException {
    TableFiller.fill(FLOWS, 0x0a020001, 0x0a090000);
    var table = new KernelConntrack(Path.of("/proc"));
    var node = new FakeNode("node-1");
    for (int i = 1; i <= 110; i++) {
      node.put(FakeNode.pod("shop", "cart-" + i, "10.2.0." + i));
    }
    for (int i = 0; i < SAMPLES; i++) {
      table.read();
    }
    long start = System.nanoTime();
    for (int i = 0; i < SAMPLES; i++) {
      table.read();
    }
    print("sample_us", (System.nanoTime() - start) / 1e3 / SAMPLES);

    var time = new FakeTime();
    var flows = new FlowCount(table, node.asPods(), time);
    System.gc();
    long before = resident("self");
    var walks = new double[ROUNDS];
    var tools = new double[ROUNDS];
    long peak = 0;
    long most = 0;
    for (int i = 0; i < ROUNDS; i++) {
      time.advance(Duration.ofSeconds(10));
      long began = System.nanoTime();
      Holders holders = flows.now();
      walks[i] = (System.nanoTime() - began) / 1e9;
      if (holders.flows() != FLOWS || holders.pods().size() != 1) {
        throw new IOException(holders.flows() + " flows at " + Instant.now());
      }
      most = Math.max(most, resident("self"));
      began = System.nanoTime();
      peak = Math.max(peak, tool());
      tools[i] = (System.nanoTime() - began) / 1e9;
    }
    print("first_walk_s", walks[0]);
    print("walk_s", median(walks));
    print("tool_s", median(tools));
    print("more_mib", (most - before) / 1024.0);
    print("tool_mib", peak / 1024.0);
  }

  /** Lists all with the conntrack tool; the most memory that it was seen with, in KiB. */
  private static long tool() throws IOException, InterruptedException {
    Process tool =
        new ProcessBuilder("conntrack", "-L")
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    long peak = 0;
    while (!tool.waitFor(5, TimeUnit.MILLISECONDS)) {
      peak = Math.max(peak, resident(Long.toString(tool.pid())));
    }
    if (tool.exitValue() != 0) {
      throw new IOException("conntrack -L ended with " + tool.exitValue());
    }
    return peak;
  }

  /** In KiB; 0 when the process is gone. */
  private static long resident(String pid) throws IOException {
    Path status = Path.of("/proc", pid, "status");
    try {
      for (String line : Files.readAllLines(status)) {
        if (line.startsWith("VmRSS:")) {
          return Long.parseLong(line.replaceAll("\\D", ""));
        }
      }
      return 0;
    } catch (IOException e) {
      if (Files.exists(status)) {
        throw e;
      }
      return 0;
    }
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }

  private static void print(String name, double value) {
    System.out.println(name + " " + value);
  }
}
