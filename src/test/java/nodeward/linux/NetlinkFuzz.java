package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/**
 * Bytes of a netlink socket and of the system bus, under Jazzer: whatever they are, the readers end
 * and throw nothing but an IOException of their own.
 */
public final class NetlinkFuzz {
  private static final List<String> SEEDS =
      List.of("stats.rep", "stats_cpu.rep", "dump.rep", "dump_v6_zone_acct.rep", "eperm.rep");

  private NetlinkFuzz() {}

  /** Called by Jazzer, millions of times. */
  public static void fuzzerTestOneInput(byte[] data) {
    // The sequence number is the sender's business: take that of the bytes, so that they are read.
    int sequence =
        data.length < 12 ? 0 : ByteBuffer.wrap(data).order(ByteOrder.nativeOrder()).getInt(8);
    read("netlink", () -> ConntrackNetlink.size(ByteBuffer.wrap(data), sequence));
    read(
        "netlink",
        () -> ConntrackNetlink.counters(ByteBuffer.wrap(data), sequence, new TreeMap<>()));
    read(
        "netlink",
        () ->
            ConntrackNetlink.flows(ByteBuffer.wrap(data), sequence, new FlowReader(), flow -> {}));
    if (data.length >= DbusMessage.HEAD) {
      read("dbus", () -> DbusMessage.length(data));
    }
    read("dbus", () -> DbusMessage.read(data));
  }

  private interface Read {
    void run() throws IOException;
  }

  private static void read(String who, Read read) {
    try {
      read.run();
    } catch (IOException e) {
      if (!String.valueOf(e.getMessage()).startsWith(who)) {
        throw new AssertionError("an error of another kind", e);
      }
    }
  }

  /** Arguments: a directory for what is found, and for how many seconds. */
  public static void main(String[] args) throws IOException, InterruptedException {
    System.exit(run(Path.of(args[0]), Integer.parseInt(args[1])).inheritIO().start().waitFor());
  }

  /** Jazzer in a JVM of its own; it ends with 0 when it found nothing. */
  static ProcessBuilder run(Path directory, int seconds) throws IOException {
    Path corpus = Files.createDirectories(directory.resolve("corpus"));
    for (String seed : SEEDS) {
      Files.write(corpus.resolve(seed), Captured.bytes(seed).array());
    }
    Files.write(
        corpus.resolve("bus"), DbusMessage.call(1, "a.b", "/c", "d.e", "F", "x", 5).bytes());
    var command = new ArrayList<String>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx512m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"));
    command.addAll(
        List.of("--sun-misc-unsafe-memory-access=allow", "-XX:+EnableDynamicAgentLoading"));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add("com.code_intelligence.jazzer.Jazzer");
    command.add("--target_class=" + NetlinkFuzz.class.getName());
    command.add("--instrumentation_includes=nodeward.linux.**");
    command.add("--reproducer_path=" + directory);
    command.add("-artifact_prefix=" + directory + "/");
    command.add("-max_total_time=" + seconds);
    command.add("-max_len=2048");
    command.add("-print_final_stats=1");
    command.add(corpus.toString());
    return new ProcessBuilder(command).redirectErrorStream(true);
  }
}
