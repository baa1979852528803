package nodeward.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import nodeward.condition.ConditionBoard;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.drain.Cordon;
import nodeward.http.ControlClient;
import nodeward.kube.OwnNode;
import nodeward.node.NodeView;
import nodeward.node.Taint;
import nodeward.termination.Traces;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code agent forget}: the cluster's side of an uninstallation. */
@Command(
    name = "forget",
    description =
        "Take off the Node what the agent put on it: taints, annotations, label, conditions and"
            + " its own cordon. The agent must have been stopped.",
    mixinStandardHelpOptions = true)
final class ForgetCommand implements Callable<Integer> {
  @Mixin private Target target;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws ConfigException, IOException, InterruptedException {
    Config config = target.read();
    if (answers(config)) {
      throw new IOException(
          "the agent on this node still runs and would put all of it back: stop it first");
    }
    PrintWriter out = spec.commandLine().getOut();
    List<String> gateKeys = config.gate().taints().stream().map(Taint::key).toList();
    try (var kube = target.connect(config)) {
      for (OwnNode node : target.nodes(config, kube)) {
        forget(node, gateKeys, out);
      }
    }
    out.flush();
    return 0;
  }

  private static void forget(OwnNode node, List<String> gateKeys, PrintWriter out)
      throws IOException, InterruptedException {
    String name = "node/" + node.nodeName();
    switch (new Cordon(node).edit(seen -> Traces.without(seen, gateKeys))) {
      case Cordon.Edit.Absent _ -> {
        out.println(name + " does not exist: nothing to forget");
        return;
      }
      case Cordon.Edit.Written(NodeView before) ->
          Traces.words(Traces.without(before, gateKeys))
              .forEach(what -> out.println(name + " without " + what));
      case Cordon.Edit.Same _ -> out.println(name + " carries no marks of the agent");
    }
    List<String> conditions = node.read().map(ConditionBoard::leftBehind).orElse(List.of());
    if (!conditions.isEmpty()) {
      node.removeConditions(conditions);
      conditions.forEach(type -> out.println(name + " without condition " + type));
    }
  }

  private static boolean answers(Config config) {
    try {
      new ControlClient(config.control().socket()).get("/status");
      return true;
    } catch (IOException _) {
      // Nobody is there, which is what is wanted.
      return false;
    }
  }
}
