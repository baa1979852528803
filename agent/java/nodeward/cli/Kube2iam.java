package nodeward.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.regex.Pattern;
import nodeward.config.ConfigException;
import nodeward.config.ConfigReader;

/**
 * The arguments of kube2iam as our configuration: every flag of its main program, and for those
 * without a key of ours what takes their place, in words. Pure.
 */
final class Kube2iam {
  /** Flags that need no value. */
  private static final Set<String> SWITCHES =
      Set.of(
          "auto-discover-base-arn",
          "auto-discover-default-role",
          "debug",
          "insecure",
          "iptables",
          "namespace-restrictions",
          "resolve-duplicate-cache-ips",
          "use-regional-sts-endpoint",
          "verbose",
          "version");

  /** Flags with a value, and the value that kube2iam takes without one; empty: none. */
  private static final Map<String, String> VALUES =
      Map.ofEntries(
          Map.entry("api-server", ""),
          Map.entry("api-token", ""),
          Map.entry("app-port", "8181"),
          Map.entry("backoff-max-elapsed-time", "2s"),
          Map.entry("backoff-max-interval", "1s"),
          Map.entry("base-role-arn", ""),
          Map.entry("cache-resync-period", "30m"),
          Map.entry("default-role", ""),
          Map.entry("host-interface", "docker0"),
          Map.entry("host-ip", ""),
          Map.entry("iam-external-id", "iam.amazonaws.com/external-id"),
          Map.entry("iam-role-error-ttl", "0s"),
          Map.entry("iam-role-key", "iam.amazonaws.com/role"),
          Map.entry("iam-role-session-ttl", "15m"),
          Map.entry("kubeconfig", ""),
          Map.entry("log-format", "text"),
          Map.entry("log-level", "info"),
          Map.entry("metadata-addr", "169.254.169.254"),
          Map.entry("metrics-port", ""),
          Map.entry("namespace-key", "iam.amazonaws.com/allowed-roles"),
          Map.entry("namespace-restriction-format", "glob"),
          Map.entry("node", ""));

  private static final Duration SHORTEST = Duration.ofMinutes(15);
  private static final Duration LONGEST_CHAINED = Duration.ofHours(1);
  private static final Pattern PORT = Pattern.compile("\\d{1,5}");

  private final SequencedMap<String, String> given;
  private final SequencedMap<String, Object> keys = new LinkedHashMap<>();
  private final List<String> notes = new ArrayList<>();

  private Kube2iam(SequencedMap<String, String> given) {
    this.given = given;
  }

  /** Our configuration for these arguments as YAML, with what has no key in comments above it. */
  static String yaml(List<String> arguments) throws ConfigException {
    var kube2iam = new Kube2iam(parse(arguments));
    kube2iam.translate();
    return kube2iam.print();
  }

  static Set<String> flags() {
    var flags = new java.util.TreeSet<>(VALUES.keySet());
    flags.addAll(SWITCHES);
    return flags;
  }

  /** As pflag reads them: {@code --flag=value}, {@code --flag value}, {@code --switch}. */
  private static SequencedMap<String, String> parse(List<String> arguments) throws ConfigException {
    var given = new LinkedHashMap<String, String>();
    Deque<String> left = new ArrayDeque<>(arguments);
    while (!left.isEmpty()) {
      String argument = left.removeFirst();
      if (!argument.startsWith("--") || argument.length() == 2) {
        if (argument.equals("--")) {
          continue;
        }
        throw new ConfigException("kube2iam: \"" + argument + "\" is no flag");
      }
      int equals = argument.indexOf('=');
      String name = argument.substring(2, equals < 0 ? argument.length() : equals);
      if (!SWITCHES.contains(name) && !VALUES.containsKey(name)) {
        throw new ConfigException("kube2iam has no flag --" + name);
      }
      Optional<String> value =
          equals < 0 ? Optional.empty() : Optional.of(argument.substring(equals + 1));
      if (value.isEmpty()) {
        value = SWITCHES.contains(name) ? Optional.of("true") : Optional.ofNullable(left.poll());
      }
      given.put(
          name,
          value.orElseThrow(() -> new ConfigException("kube2iam: --" + name + " needs a value")));
    }
    return given;
  }

  private void translate() throws ConfigException {
    node();
    address();
    roles();
    namespaces();
    interception();
    log();
    replaced();
  }

  private void node() {
    value("node").ifPresent(name -> keys.put("node.name", name));
    value("kubeconfig").ifPresent(file -> keys.put("kubernetes.kubeconfig", file));
    value("metadata-addr")
        .filter(a -> !a.equals(VALUES.get("metadata-addr")))
        .ifPresent(a -> keys.put("aws.metadataEndpoint", "http://" + a));
    for (String flag : List.of("api-server", "api-token", "insecure")) {
      note(flag, "the API server is found by the pod's ServiceAccount, or a kubeconfig");
    }
  }

  private void address() throws ConfigException {
    String port = value("app-port").orElse("8181");
    if (given.containsKey("app-port")) {
      keys.put("metadata.listen", "0.0.0.0:" + port("app-port", port));
    }
    Optional<String> metrics = value("metrics-port");
    if (metrics.isPresent() && !metrics.get().equals(port)) {
      keys.put("admin.metricsListen", "0.0.0.0:" + port("metrics-port", metrics.get()));
    } else {
      notes.add(
          "--metrics-port: metrics are never on the port that pods reach; give admin.metricsListen,"
              + " for example 0.0.0.0:9822");
    }
  }

  private void roles() throws ConfigException {
    Optional<String> base = value("base-role-arn");
    if (base.isPresent() && isOn("auto-discover-base-arn")) {
      throw new ConfigException(
          "kube2iam refuses --base-role-arn together with --auto-discover-base-arn");
    }
    if (value("default-role").isPresent() && isOn("auto-discover-default-role")) {
      throw new ConfigException(
          "kube2iam refuses --default-role together with --auto-discover-default-role");
    }
    base.ifPresent(arn -> keys.put("metadata.baseRoleArn", arn.endsWith("/") ? arn : arn + "/"));
    note("auto-discover-base-arn", "an empty metadata.baseRoleArn means just that");
    value("default-role").ifPresent(role -> keys.put("metadata.defaultRole", role));
    note(
        "auto-discover-default-role",
        "no pod gets the node's own role; name a role in metadata.defaultRole");
    sameKey("iam-role-key");
    sameKey("iam-external-id");
    if (given.containsKey("iam-role-session-ttl")) {
      sessions(duration("iam-role-session-ttl"));
    }
    note("iam-role-error-ttl", "a role that STS denies is asked for again after 30 s at least");
  }

  /** kube2iam asks STS for twice the time that it keeps the credentials. */
  private void sessions(Duration kept) {
    Duration life = kept.multipliedBy(2);
    if (life.compareTo(LONGEST_CHAINED) > 0) {
      notes.add(
          "--iam-role-session-ttl: STS allows sessions of 1h at most to a node that runs under a"
              + " role itself");
      life = LONGEST_CHAINED;
    }
    if (life.compareTo(SHORTEST) < 0) {
      life = SHORTEST;
    }
    keys.put("metadata.sessionDuration", life.toSeconds() + "s");
    keys.put("metadata.refreshBefore", life.dividedBy(2).toSeconds() + "s");
    notes.add(
        "--iam-role-session-ttl: without it sessions last 1h and pods always get 30m of life;"
            + " shorter ones make SDKs fetch more often");
  }

  private void namespaces() throws ConfigException {
    if (given.containsKey("namespace-restrictions")) {
      keys.put("metadata.namespaceRestrictions", isOn("namespace-restrictions"));
    }
    if (given.containsKey("namespace-restriction-format")) {
      String format = value("namespace-restriction-format").orElse("glob");
      keys.put("metadata.namespaceRestrictionFormat", format.toLowerCase(java.util.Locale.ROOT));
      if (format.equalsIgnoreCase("regexp")) {
        notes.add(
            "--namespace-restriction-format: regular expressions are anchored: \"foo\" does not"
                + " allow foobar, write \"foo.*\"");
      }
    }
    sameKey("namespace-key");
    if (isOn("namespace-restrictions") && value("default-role").isPresent()) {
      notes.add(
          "--default-role: a namespace must allow the default role too, in its list of roles");
    }
  }

  private void interception() throws ConfigException {
    if (isOn("iptables")) {
      keys.put(
          "metadata.interceptInterfaces",
          List.of(value("host-interface").orElse(VALUES.get("host-interface"))));
      notes.add(
          "--iptables: remove the rule of kube2iam after the change; ours go in before it and are"
              + " removed by `agent interception remove` alone");
    } else {
      notes.add(
          "--iptables is off: rules of your own must lead pods to the proxy, and refuse them the"
              + " rest; metadata.interceptInterfaces: [auto] does both");
    }
    note("host-ip", "the node's address is found");
  }

  private void log() throws ConfigException {
    value("log-format").ifPresent(format -> keys.put("log.format", format));
    if (isOn("verbose")) {
      keys.put("log.level", "debug");
    } else if (given.containsKey("log-level")) {
      String level = value("log-level").orElse("info").toLowerCase(java.util.Locale.ROOT);
      keys.put(
          "log.level",
          switch (level) {
            case "panic", "fatal", "error" -> "error";
            case "warn", "warning" -> "warn";
            case "info" -> "info";
            case "debug", "trace" -> "debug";
            default ->
                throw new ConfigException("kube2iam: --log-level \"" + level + "\" is no level");
          });
    }
  }

  private void replaced() {
    note("cache-resync-period", "the watches need no resync");
    note(
        "resolve-duplicate-cache-ips",
        "of two pods with one address the live one is served, at once and without a request");
    note("backoff-max-interval", "a request is held until its pod is known, without polling");
    note("backoff-max-elapsed-time", "a request is held for 0.9 s at most, as SDKs wait for 1 s");
    note("use-regional-sts-endpoint", "the region's endpoint is always used; see aws.stsEndpoint");
    note("debug", "`agent explain NAMESPACE/POD` and `agent status`, on the node alone");
    note("version", "`agent version`");
  }

  private String print() throws ConfigException {
    var flags = new LinkedHashMap<String, String>();
    keys.forEach(
        (key, value) -> flags.put(key, value instanceof List<?> l ? quoted(l) : value.toString()));
    // What is wrong with a value is said now, not when the agent starts.
    var _ = ConfigReader.read(Optional.empty(), Map.of(), flags);
    var text = new StringBuilder();
    text.append(
            "# From the arguments of kube2iam. Nodeward's other parts keep their defaults: with")
        .append(" gate.enabled,\n# runtime.enabled, conntrack.enabled and termination.enabled all")
        .append(" false it gives credentials alone.\n");
    notes.forEach(note -> text.append("# ").append(note).append('\n'));
    return keys.isEmpty() ? text.toString() : text + yaml();
  }

  private String yaml() {
    var tree = new LinkedHashMap<String, Map<String, Object>>();
    keys.forEach(
        (key, value) -> {
          int dot = key.indexOf('.');
          tree.computeIfAbsent(key.substring(0, dot), part -> new LinkedHashMap<>())
              .put(key.substring(dot + 1), value);
        });
    try {
      return YAMLMapper.builder()
          .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
          .build()
          .writeValueAsString(tree);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("texts and lists can be written as YAML", e);
    }
  }

  private static String quoted(List<?> list) {
    return "[" + String.join(", ", list.stream().map(e -> "\"" + e + "\"").toList()) + "]";
  }

  private Optional<String> value(String flag) {
    return Optional.ofNullable(given.get(flag)).filter(v -> !v.isEmpty());
  }

  private boolean isOn(String flag) throws ConfigException {
    String value = given.getOrDefault(flag, "false");
    return switch (value) {
      case "true", "1", "t", "T", "TRUE", "True" -> true;
      case "false", "0", "f", "F", "FALSE", "False" -> false;
      default ->
          throw new ConfigException(
              "kube2iam: --" + flag + " \"" + value + "\" is not true or false");
    };
  }

  private Duration duration(String flag) throws ConfigException {
    try {
      return ConfigReader.duration(given.getOrDefault(flag, ""));
    } catch (IllegalArgumentException e) {
      throw new ConfigException("kube2iam: --" + flag + ": " + e.getMessage());
    }
  }

  private static String port(String flag, String text) throws ConfigException {
    if (!PORT.matcher(text).matches()) {
      throw new ConfigException("kube2iam: --" + flag + " \"" + text + "\" is no port");
    }
    return text;
  }

  /** The annotations have the names that kube2iam's have by default, and no others. */
  private void sameKey(String flag) {
    value(flag)
        .filter(key -> !key.equals(VALUES.get(flag)))
        .ifPresent(
            key ->
                notes.add(
                    "--%s: the annotation is always %s: rename %s"
                        .formatted(flag, VALUES.get(flag), key)));
  }

  private void note(String flag, String instead) {
    if (given.containsKey(flag)) {
      notes.add("--" + flag + ": " + instead);
    }
  }
}
