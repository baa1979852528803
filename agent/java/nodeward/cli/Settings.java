package nodeward.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.config.ConfigReader;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The options that say which configuration, cluster and node a command means. */
final class Settings {
  private static final Path USUAL = Path.of("/etc/nodeward/config.yaml");
  private static final Path HOST_NAME = Path.of("/proc/sys/kernel/hostname");

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description = "The configuration; default: /etc/nodeward/config.yaml where there is one.")
  private @Nullable Path file;

  @Option(
      names = "--kubeconfig",
      paramLabel = "FILE",
      description =
          "How to reach the API server; default: as kubernetes.identity says, KUBECONFIG, else the"
              + " pod's own identity.")
  private @Nullable String kubeconfig;

  @Option(
      names = "--node-name",
      paramLabel = "NAME",
      description = "The Node; default: node.name, NODE_NAME, else the host name.")
  private @Nullable String nodeName;

  Config read() throws ConfigException {
    return read(Map.of());
  }

  /**
   * The configuration with the environment, these options and more flags over it; {@code node.name}
   * is never empty.
   */
  Config read(Map<String, String> more) throws ConfigException {
    Map<String, String> environment = System.getenv();
    var flags = new HashMap<>(more);
    if (kubeconfig != null) {
      flags.putAll(kubeconfig(kubeconfig));
    }
    if (nodeName != null) {
      flags.put("node.name", nodeName);
    }
    Config config = ConfigReader.read(file(), environment, flags);
    return config.node().name().isEmpty() ? config.ofNode(guessName(environment)) : config;
  }

  /** The flags that let a kubeconfig speak, whatever identity is configured. */
  static Map<String, String> kubeconfig(String file) {
    return Map.of("kubernetes.kubeconfig", file, "kubernetes.identity", "kubeconfig");
  }

  /** Where the configuration comes from. */
  Optional<Path> file() {
    if (file != null) {
      return Optional.of(file);
    }
    return Files.exists(USUAL) ? Optional.of(USUAL) : Optional.empty();
  }

  private static String guessName(Map<String, String> environment) throws ConfigException {
    String name = environment.getOrDefault("NODE_NAME", "");
    if (!name.isEmpty()) {
      return name;
    }
    try {
      // The kubelet's own default; no resolver is asked, which may be away.
      return Files.readString(HOST_NAME).strip().toLowerCase(Locale.ROOT);
    } catch (IOException e) {
      throw new ConfigException(
          "the Node's name is not known: give --node-name, node.name or NODE_NAME (%s)"
              .formatted(e));
    }
  }
}
