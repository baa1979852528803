package nodeward.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import nodeward.config.ConfigException;
import nodeward.http.ControlClient;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

@Command(
    name = "conntrack",
    description = "Look into the connection tracking table of this node.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = ConntrackCommand.Top.class)
final class ConntrackCommand {

  @Command(
      name = "top",
      description = "Show who holds the flows of the table, by the agent on this node.",
      mixinStandardHelpOptions = true)
  static final class Top implements Callable<Integer> {
    /** By what rows are made. */
    enum By {
      pod,
      workload,
      destination
    }

    private static final int SECONDS_BETWEEN = 5;
    private static final String CLEAR = "\033[H\033[2J";

    @Mixin private Settings settings;

    @Option(
        names = "--by",
        defaultValue = "pod",
        paramLabel = "WHAT",
        description = "pod, workload or destination; default: ${DEFAULT-VALUE}.")
    private By by;

    @Option(
        names = {"-n", "--most"},
        defaultValue = "10",
        paramLabel = "ROWS",
        description = "So many rows; default: ${DEFAULT-VALUE}.")
    private int most;

    @Option(names = "--watch", description = "Show it anew each 5 s until Ctrl-C.")
    private boolean watch;

    @Option(
        names = {"-o", "--output"},
        defaultValue = "table",
        paramLabel = "FORMAT",
        description = "table or json; default: ${DEFAULT-VALUE}.")
    private StatusCommand.Output output;

    @Spec private CommandSpec spec;

    @Override
    public Integer call() throws ConfigException, IOException, InterruptedException {
      var client = new ControlClient(settings.read().control().socket());
      PrintWriter out = spec.commandLine().getOut();
      while (true) {
        String json = client.get("/conntrack/top?by=" + by + "&most=" + most);
        if (watch) {
          out.print(CLEAR);
        }
        if (output == StatusCommand.Output.json) {
          out.print(json);
        } else {
          print(JsonMapper.builder().build().readTree(json), by, out);
        }
        out.flush();
        if (!watch) {
          return 0;
        }
        TimeUnit.SECONDS.sleep(SECONDS_BETWEEN);
      }
    }

    static void print(JsonNode top, By by, PrintWriter out) {
      long flows = top.path("flows").asLong();
      out.printf(
          "%d flows, %s unreplied, %s in TIME_WAIT%s%n%n",
          flows,
          share(top.path("unreplied").asLong(), flows),
          share(top.path("timeWait").asLong(), flows),
          top.path("torn").asBoolean() ? "; the table was rebuilt meanwhile, some may lack" : "");
      var rows = new ArrayList<List<String>>();
      if (by == By.destination) {
        rows.add(List.of("FLOWS", "SHARE", "DESTINATION"));
        for (JsonNode row : top.path("rows")) {
          String atLeast = row.path("error").asLong() > 0 ? ">=" : "";
          rows.add(
              List.of(
                  atLeast + row.path("flows").asText(),
                  share(row.path("flows").asLong(), flows),
                  row.path("name").asText()));
        }
      } else {
        rows.add(
            List.of(
                "FLOWS",
                "SHARE",
                "CLIENT",
                "SERVER",
                "UNREPLIED",
                "TIME_WAIT",
                by.name().toUpperCase(Locale.ROOT)));
        for (JsonNode row : top.path("rows")) {
          long own = row.path("flows").asLong();
          rows.add(
              List.of(
                  row.path("flows").asText(),
                  share(own, flows),
                  row.path("client").asText(),
                  row.path("server").asText(),
                  share(row.path("unreplied").asLong(), own),
                  share(row.path("timeWait").asLong(), own),
                  row.path("name").asText()));
        }
      }
      table(rows, out);
    }

    /** Numbers to the right, the name, which is last, to the left. */
    private static void table(List<List<String>> rows, PrintWriter out) {
      int columns = rows.getFirst().size();
      int[] widths = new int[columns];
      for (List<String> row : rows) {
        for (int i = 0; i < columns; i++) {
          widths[i] = Math.max(widths[i], row.get(i).length());
        }
      }
      for (List<String> row : rows) {
        var line = new StringBuilder();
        for (int i = 0; i < columns - 1; i++) {
          line.append(" ".repeat(widths[i] - row.get(i).length())).append(row.get(i)).append("  ");
        }
        out.println(line.append(row.getLast()));
      }
    }

    private static String share(long part, long whole) {
      return whole == 0 ? "0 %" : String.format(Locale.ROOT, "%.0f %%", 100.0 * part / whole);
    }
  }
}
