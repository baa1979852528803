package nodeward.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import nodeward.linux.Iptables;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

@Command(
    name = "interception",
    description = "The packet filter's rules that lead pods to the metadata proxy.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND")
final class InterceptionCommand {
  @Spec private CommandSpec spec;

  @Command(
      name = "remove",
      description =
          "Take the rules away and print them. From then on pods reach the node's own instance"
              + " metadata, unless its hop limit forbids it.",
      mixinStandardHelpOptions = true)
  int remove() throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    List<String> removed = new Iptables().remove();
    removed.forEach(rule -> out.println("removed " + rule));
    if (removed.isEmpty()) {
      out.println("there were no rules");
    }
    out.flush();
    return 0;
  }
}
