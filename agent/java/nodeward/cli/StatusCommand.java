package nodeward.cli;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.Callable;
import nodeward.config.ConfigException;
import nodeward.http.ControlClient;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
    name = "status",
    description =
        "Show what the agent on this node does and what it waits for; exit 1 without one.",
    mixinStandardHelpOptions = true)
final class StatusCommand implements Callable<Integer> {
  @Mixin private Settings settings;
  @Mixin private OutputOption output;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException {
    PrintWriter out = spec.commandLine().getOut();
    String json = new ControlClient(settings.read().control().socket()).get("/status");
    if (output.isJson()) {
      out.print(json);
    } else {
      SequencedMap<String, Object> status =
          JsonMapper.builder().build().readValue(json, new TypeReference<>() {});
      print(status, out);
    }
    out.flush();
    return 0;
  }

  static void print(Map<String, Object> status, PrintWriter out) {
    out.printf("node     %s%n", status.get("node"));
    out.printf("agent    %s, up %s%n", status.get("version"), status.get("uptime"));
    out.printf("ready    %s%n%n", Boolean.TRUE.equals(status.get("ready")) ? "yes" : "no");
    var rows = new ArrayList<List<String>>();
    rows.add(List.of("PART", "HEALTH", "DETAIL"));
    if (status.get("components") instanceof Map<?, ?> components) {
      components.forEach((name, value) -> rows(String.valueOf(name), (Map<?, ?>) value, rows));
    }
    int part = rows.stream().mapToInt(r -> r.get(0).length()).max().orElse(0);
    int health = rows.stream().mapToInt(r -> r.get(1).length()).max().orElse(0);
    String format = "%-" + part + "s  %-" + health + "s  %s";
    for (List<String> row : rows) {
      out.println(format.formatted(row.get(0), row.get(1), row.get(2)).stripTrailing());
    }
  }

  private static void rows(String name, Map<?, ?> values, List<List<String>> rows) {
    var details = new ArrayList<String>();
    values.forEach(
        (key, value) -> {
          if (key.equals("health")) {
            return;
          }
          switch (value) {
            case Map<?, ?> map -> map.forEach((k, v) -> details.add(key + " " + k + ": " + v));
            case List<?> list -> list.forEach(v -> details.add(key + ": " + v));
            default -> details.add(key + ": " + value);
          }
        });
    String health = String.valueOf(values.get("health"));
    if (!health.equals("ok")) {
      details.addFirst(health);
      health = "trouble";
    }
    rows.add(List.of(name, health, details.isEmpty() ? "" : details.getFirst()));
    details.stream().skip(1).forEach(detail -> rows.add(List.of("", "", detail)));
  }
}
