package nodeward.linux;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The kubelet of this node as it was started: its flags, and its configuration files as they are
 * now, which it may not have read yet. Its files are reached by way of its process, so that the
 * agent may run in a pod. Flags are stronger than files, later files than earlier ones.
 */
record Kubelet(List<String> arguments, JsonNode configuration) {
  private static final YAMLMapper YAML = new YAMLMapper();
  private static final Pattern DURATION =
      Pattern.compile("(?:(\\d+)h)?(?:(\\d+)m)?(?:(\\d+)(?:\\.\\d+)?s)?");

  /** Empty when no kubelet runs in this network namespace, which is the node's. */
  static Optional<Kubelet> find(Path procRoot) throws IOException {
    Path ownNetwork = Files.readSymbolicLink(procRoot.resolve("self/ns/net"));
    List<Path> processes;
    try (Stream<Path> all = Files.list(procRoot)) {
      processes = all.filter(p -> p.getFileName().toString().matches("\\d+")).sorted().toList();
    }
    for (Path process : processes) {
      if (isKubelet(process, ownNetwork)) {
        return Optional.of(read(process));
      }
    }
    return Optional.empty();
  }

  private static boolean isKubelet(Path process, Path network) throws IOException {
    try {
      return Files.readString(process.resolve("comm")).strip().equals("kubelet")
          && Files.readSymbolicLink(process.resolve("ns/net")).equals(network);
    } catch (NoSuchFileException e) {
      return false; // it has ended
    } catch (IOException e) {
      // One that ends while its file is open is answered with ESRCH, which has no type of its own.
      if (Files.exists(process)) {
        throw e;
      }
      return false;
    }
  }

  private static Kubelet read(Path process) throws IOException {
    String line =
        new String(Files.readAllBytes(process.resolve("cmdline")), StandardCharsets.UTF_8);
    List<String> arguments =
        Arrays.stream(line.split("\0", -1)).filter(each -> !each.isEmpty()).toList();
    ObjectNode all = YAML.createObjectNode();
    Path root = process.resolve("root");
    Optional<String> config = flag(arguments, "config");
    if (config.isPresent()) {
      merge(all, root.resolve(config.get().substring(1)));
    }
    Optional<String> directory = flag(arguments, "config-dir");
    if (directory.isPresent()) {
      try (Stream<Path> files = Files.list(root.resolve(directory.get().substring(1)))) {
        for (Path file : files.filter(f -> f.toString().endsWith(".conf")).sorted().toList()) {
          merge(all, file);
        }
      }
    }
    return new Kubelet(arguments, all);
  }

  private static void merge(ObjectNode all, Path file) throws IOException {
    JsonNode read = YAML.readTree(file.toFile());
    if (read instanceof ObjectNode object) {
      all.setAll(object);
    }
  }

  /** The last of {@code --name=value} and {@code --name value}. */
  private static Optional<String> flag(List<String> arguments, String name) {
    Optional<String> value = Optional.empty();
    for (int i = 0; i < arguments.size(); i++) {
      if (arguments.get(i).startsWith("--" + name + "=")) {
        value = Optional.of(arguments.get(i).substring(name.length() + 3));
      } else if (arguments.get(i).equals("--" + name) && i + 1 < arguments.size()) {
        value = Optional.of(arguments.get(i + 1));
      }
    }
    return value.filter(v -> !v.isEmpty());
  }

  /** Empty where the kubelet asks its runtime. */
  Optional<String> cgroupDriver() {
    return flag(arguments, "cgroup-driver")
        .or(() -> Optional.of(configuration.path("cgroupDriver").asText()))
        .filter(driver -> !driver.isEmpty());
  }

  /** How long the kubelet takes to end pods at shutdown; zero when it leaves them alone. */
  Duration shutdownGrace() throws IOException {
    Duration grace = duration(configuration.path("shutdownGracePeriod").asText());
    for (JsonNode each : configuration.path("shutdownGracePeriodByPodPriority")) {
      grace = grace.plusSeconds(each.path("shutdownGracePeriodSeconds").asLong());
    }
    return grace;
  }

  /** The taints that it registers its Node with, as {@code key:effect}. */
  List<String> registerWithTaints() {
    Optional<String> flag = flag(arguments, "register-with-taints");
    if (flag.isPresent()) {
      return Arrays.stream(flag.get().split(",", -1))
          .map(taint -> taint.replaceFirst("=[^:]*:", ":"))
          .toList();
    }
    var taints = new ArrayList<String>();
    configuration
        .path("registerWithTaints")
        .forEach(t -> taints.add(t.path("key").asText() + ":" + t.path("effect").asText()));
    return taints;
  }

  /** As Go writes it. */
  private static Duration duration(String text) throws IOException {
    if (text.isEmpty() || text.equals("0")) {
      return Duration.ZERO;
    }
    var parts = DURATION.matcher(text);
    if (!parts.matches()) {
      throw new IOException("the kubelet's shutdownGracePeriod \"" + text + "\" is no duration");
    }
    return Duration.ofHours(number(parts.group(1)))
        .plusMinutes(number(parts.group(2)))
        .plusSeconds(number(parts.group(3)));
  }

  private static long number(String digits) {
    return digits == null ? 0 : Long.parseLong(digits);
  }
}
