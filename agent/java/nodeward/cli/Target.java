package nodeward.cli;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.kube.KubeClient;
import nodeward.kube.KubeNodes;
import nodeward.kube.OwnNode;
import nodeward.linux.ChildProcess;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * The Nodes that a command acts on, and the connection to their API server. Whoever has a
 * KUBECONFIG speaks for himself; without one the configured identity, the node's, does.
 */
final class Target {
  @Mixin private Settings settings;

  @Parameters(
      arity = "0..*",
      paramLabel = "NODE",
      description = "The nodes, as NAME or node/NAME; default: this one.")
  private List<String> nodes = List.of();

  @Option(
      names = {"-l", "--selector"},
      paramLabel = "SELECTOR",
      defaultValue = "",
      description = "The nodes with these labels, for example pool=spot,zone!=a.")
  private String selector;

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec;

  Config read() throws ConfigException {
    if (!nodes.isEmpty() && !selector.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "cannot specify both a node name and a --selector option");
    }
    String own = System.getenv().getOrDefault("KUBECONFIG", "");
    return settings.read(own.isEmpty() ? Map.of() : Settings.kubeconfig(own));
  }

  /**
   * The Nodes that are meant; kubectl's {@code node/NAME} is taken too. Of several all exist; of
   * one the first thing that is done to it tells.
   */
  List<OwnNode> nodes(Config config, KubeClient kube) throws IOException {
    if (!selector.isEmpty()) {
      return new KubeNodes(kube).select(selector).stream().map(n -> node(kube, n)).toList();
    }
    List<String> names =
        nodes.isEmpty()
            ? List.of(config.node().name())
            : nodes.stream().map(n -> n.startsWith("node/") ? n.substring(5) : n).toList();
    List<OwnNode> all = names.stream().distinct().map(n -> node(kube, n)).toList();
    for (OwnNode node : all.size() > 1 ? all : List.<OwnNode>of()) {
      // Before anything is done to any of them.
      if (node.read().isEmpty()) {
        throw new NoSuchNode(node.nodeName());
      }
    }
    return all;
  }

  /** The API server does not know the Node. */
  static final class NoSuchNode extends IOException {
    private static final long serialVersionUID = 1;

    NoSuchNode(String name) {
      super("nodes \"" + name + "\" not found");
    }
  }

  /** Fails at once when there are no credentials: to try again would not help a command. */
  KubeClient connect(Config config) throws IOException {
    var kube =
        new KubeClient(
            config.kubernetes(),
            config.node().name(),
            new ChildProcess()::run,
            Cli.version(),
            System.getenv(),
            new CollectorRegistry());
    try {
      kube.check();
      return kube;
    } catch (IOException e) {
      kube.close();
      throw e;
    }
  }

  /** The Node without a watch: each look at it is a request. */
  private static OwnNode node(KubeClient kube, String name) {
    return new OwnNode(kube, name, Time.SYSTEM);
  }
}
