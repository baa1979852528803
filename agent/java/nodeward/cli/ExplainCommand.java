package nodeward.cli;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.SequencedMap;
import java.util.concurrent.Callable;
import nodeward.config.ConfigException;
import nodeward.http.ControlClient;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(
    name = "explain",
    description = "Say which role a pod of this node gets, or exactly why it gets none.",
    mixinStandardHelpOptions = true)
final class ExplainCommand implements Callable<Integer> {
  @Mixin private Settings settings;
  @Mixin private OutputOption output;

  @Parameters(paramLabel = "NAMESPACE/POD", description = "The pod.")
  private String pod;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException {
    if (!pod.matches("[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}")) {
      throw new ParameterException(
          spec.commandLine(), "\"" + pod + "\" is not NAMESPACE/POD, such as shop/cart-7d4f9");
    }
    PrintWriter out = spec.commandLine().getOut();
    String json = new ControlClient(settings.read().control().socket()).get("/explain/" + pod);
    if (output.isJson()) {
      out.print(json);
    } else {
      SequencedMap<String, Object> steps =
          JsonMapper.builder().build().readValue(json, new TypeReference<>() {});
      int width = steps.keySet().stream().mapToInt(String::length).max().orElse(0);
      steps.forEach(
          (step, said) -> {
            String name = step;
            for (Object line : said instanceof List<?> lines ? lines : List.of(said)) {
              out.println(("%-" + width + "s  %s").formatted(name, line));
              name = "";
            }
          });
    }
    out.flush();
    return 0;
  }
}
