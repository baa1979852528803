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
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.conntrack.Holders;
import nodeward.conntrack.PodTablesPage;
import nodeward.http.ControlClient;
import nodeward.linux.PodNamespaces;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
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
      description =
          "Show who holds the flows of the table, by the agent on this node; with --namespaces, of"
              + " the pods' own tables.",
      mixinStandardHelpOptions = true)
  static final class Top implements Callable<Integer> {
    /** By what rows are made. */
    enum By {
      pod,
      workload,
      destination
    }

    private static final int SECONDS_BETWEEN = 5;
    private static final JsonMapper JSON = JsonMapper.builder().build();
    private static final String CLEAR = "\033[H\033[2J";

    @Mixin private Settings settings;
    @Mixin private OutputOption output;

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

    @Option(
        names = "--namespaces",
        description =
            "Show the tables that pods have in network namespaces of their own; read by this"
                + " command, not by the agent, which may not enter them: run it as root.")
    private boolean namespaces;

    @Option(names = "--watch", description = "Show it anew each 5 s until Ctrl-C.")
    private boolean watch;

    @Spec private CommandSpec spec;

    @Override
    public Integer call() throws ConfigException, IOException, InterruptedException {
      if (namespaces && by == By.workload) {
        throw new ParameterException(
            spec.commandLine(), "--namespaces knows pods and destinations, no workloads");
      }
      Config config = settings.read();
      PrintWriter out = spec.commandLine().getOut();
      while (true) {
        String json = namespaces ? ofNamespaces(config) : ofAgent(config);
        if (watch) {
          out.print(CLEAR);
        }
        JsonNode top = JSON.readTree(json);
        if (output.isJson()) {
          out.print(json);
        } else {
          print(top, by, out);
        }
        out.flush();
        top.path("unread")
            .forEach(pod -> spec.commandLine().getErr().println("not read: " + pod.asText()));
        if (!watch) {
          return top.path("unread").isEmpty() ? 0 : Cli.FAILED;
        }
        TimeUnit.SECONDS.sleep(SECONDS_BETWEEN);
      }
    }

    private String ofAgent(Config config) throws IOException {
      return new ControlClient(config.control().socket())
          .get("/conntrack/top?by=" + by + "&most=" + most);
    }

    private String ofNamespaces(Config config) throws IOException {
      var tables = new PodNamespaces(config.node().criSocket(), config.node().procRoot());
      var shown =
          new PodTablesPage(tables)
              .shown(Holders.By.valueOf(by.name().toUpperCase(Locale.ROOT)), most);
      return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(shown) + "\n";
    }

    static void print(JsonNode top, By by, PrintWriter out) {
      long flows = top.path("flows").asLong();
      String where =
          top.has("pods") ? " in tables of %d pods' own".formatted(top.path("pods").asInt()) : "";
      out.printf(
          "%d flows%s, %s unreplied, %s in TIME_WAIT%s%n%n",
          flows,
          where,
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
