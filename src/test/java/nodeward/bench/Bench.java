package nodeward.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nodeward.simulator.SimulatedNode;

/**
 * {@code make bench}: measures the packaged agent, area by area, beside its targets and its peers.
 * Prints a table for each area and writes all figures to {@code results.json}. A target that is
 * missed is shown, not a failure: exit 1 means that something could not be measured.
 */
public final class Bench {
  private static final List<Area> AREAS =
      List.of(
          new Footprint(),
          new GateOpening(),
          new Sessions(),
          new Throughput(),
          new Draining(),
          new GoingAway(),
          new NodeHealth());
  private static final String ALL = "all";

  private Bench() {}

  /** Arguments: the agent's command, a directory for files, the peers' directory, and the area. */
  public static void main(String[] args) throws IOException, InterruptedException {
    if (args.length != 4) {
      System.err.println("usage: Bench AGENT DIRECTORY PEERS AREA");
      System.exit(2);
    }
    List<Area> areas =
        AREAS.stream().filter(a -> args[3].equals(ALL) || a.name().equals(args[3])).toList();
    if (areas.isEmpty()) {
      System.err.printf(
          "make bench: AREA=%s is none of %s, %s%n",
          args[3], ALL, String.join(", ", AREAS.stream().map(Area::name).toList()));
      System.exit(2);
    }
    Path directory = Path.of(args[1]).toAbsolutePath();
    var report = new Report();
    for (Area area : areas) {
      Path own = directory.resolve(area.name());
      SimulatedNode.delete(own);
      Files.createDirectories(own);
      var setting =
          new Setting(Path.of(args[0]).toAbsolutePath(), own, Path.of(args[2]), System.err);
      report.add(area.name(), area.measure(setting));
      System.out.println(report.table(area.name()));
    }
    Path results = directory.resolve("results.json");
    Files.writeString(results, report.json());
    System.out.println("written to " + results);
    System.exit(0);
  }
}
