package nodeward.cli;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.kube.KubeClient;
import nodeward.kube.OwnNode;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** The Node that a command acts on, and the connection to its API server. */
final class Target {
  @Mixin private Settings settings;

  @Parameters(
      arity = "0..1",
      paramLabel = "NODE",
      description = "The node, as NAME or node/NAME; default: this one.")
  private @Nullable String node;

  Config read() throws ConfigException {
    return settings.read();
  }

  /** The name that is meant; kubectl's {@code node/NAME} is taken too. */
  String name(Config config) {
    if (node == null) {
      return config.node().name();
    }
    return node.startsWith("node/") ? node.substring("node/".length()) : node;
  }

  KubeClient connect(Config config) {
    return new KubeClient(
        config.kubernetes(), Cli.version(), System.getenv(), new CollectorRegistry());
  }

  /** The Node without a watch: each look at it is a request. */
  static OwnNode node(KubeClient kube, String name) {
    return new OwnNode(kube, name, Time.SYSTEM);
  }

  static IOException noSuchNode(String name) {
    return new IOException("nodes \"" + name + "\" not found");
  }
}
