package nodeward.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nodeward.node.Taint;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigReaderTest {
  @TempDir private Path dir;

  @Test
  void defaultsAreThoseOfTheDesign() throws Exception {
    Config c = ConfigReader.defaults();

    assertThat(c.gate().taints())
        .containsExactly(Taint.parse("readiness.k8s.io/nodeward=pending:NoSchedule"));
    assertThat(c.gate().require())
        .containsExactly(
            new Config.Gate.Require(
                "kube-system", "kube-proxy", "", 0, Optional.empty(), Config.Gate.IfMissing.WAIT));
    assertThat(c.admin().listen()).hasToString("127.0.0.1:9821");
    assertThat(c.admin().metricsListen()).isEmpty();
    assertThat(c.metadata().listen()).hasToString("0.0.0.0:8181");
    assertThat(c.aws().metadataEndpoint()).isEqualTo(URI.create("http://169.254.169.254"));
    assertThat(c.control().socket()).isEqualTo(Path.of("/run/nodeward/control.sock"));
    assertThat(c.state().directory()).isEqualTo(Path.of("/var/lib/nodeward"));
    assertThat(c.termination().pollInterval()).isEqualTo(Duration.ofSeconds(5));
    assertThat(c.conditions().heartbeat()).isEqualTo(Duration.ofMinutes(5));
    assertThat(c.log()).isEqualTo(new Config.Log(Config.Log.Level.INFO, Config.Log.Format.AUTO));
  }

  @Test
  void everyKeyOfTheFileReachesItsRecord() throws Exception {
    String text =
        """
        node: {name: n1, cluster: c, procRoot: /p, criSocket: /x}
        kubernetes:
          kubeconfig: /k
          requestTimeout: 1s
          pingInterval: 2s
          identity: kubeconfig
          kubeletKubeconfigs: [/l]
          serviceAccount: a/b
        aws:
          region: eu-west-1
          metadataEndpoint: http://127.0.0.1:1
          stsEndpoint: http://127.0.0.1:2
          autoScalingEndpoint: http://127.0.0.1:3
          fips: true
          requestTimeout: 3s
        gate:
          enabled: false
          mode: continuous
          taints: ["a/b=c:NoExecute", "d:PreferNoSchedule"]
          require:
            - namespace: x
              labelSelector: tier=node
              minReadySeconds: 5
              probe: tcp:127.0.0.1:10256
              ifMissing: skip
          retaintAfter: 61s
          maxClosedShare: 0.2
          giveUpAfter: 16m
          launchHook: {enabled: true, name: l, abandon: true}
        metadata:
          enabled: false
          listen: "[::1]:1"
          baseRoleArn: arn:aws-cn:iam::123456789012:role/p/
          defaultRole: r
          sessionDuration: 2h
          refreshBefore: 20m
          requireV2: true
          open: [placement, instance-identity]
          openByNamespace: true
          podLimits: {connections: 7, requests: 8}
          container: {listen: ["169.254.170.23:80"], audience: a}
          interceptInterfaces: [cni0, eni+]
          sessionTags: [cluster, serviceAccount]
          namespaceRestrictions: true
          namespaceRestrictionFormat: regexp
        conntrack:
          enabled: false
          interval: 4s
          nearFull: 0.5
          critical: 0.6
          dropsPerSecond: 2
          insertFailuresPerSecond: 3
          holdersInterval: 9s
          nodeExporterNames: true
        runtime:
          enabled: false
          interval: 5s
          timeout: 6s
          slowAfter: 2s
          failures: 7
          dockerSocket: /a
          dockerPidFile: /b
          dockerUnit: d.service
          containerdSocket: /c
          containerdUnit: c.service
          kubeletHealth: http://127.0.0.1:1/h
          systemBus: /e
          remediation:
            enabled: true
            dryRun: true
            after: 3m
            coolDown: 4m
            mostPerDay: 2
            minHealthyShare: 0.7
            drain: true
            drainDeadline: 9m
            replace: true
        conditions: {heartbeat: 8m}
        drain:
          retryInterval: 9s
          reserve: 1s
          forceFor: [maintenance]
          evictDaemonSets: true
          volumeWait: 0s
        termination:
          enabled: false
          pollInterval: 1s500ms
          pendingInterval: 900ms
          loadBalancerDelay: 13s
          cordonOnly: true
          dryRun: true
          allowSimulation: true
          autoScaling: {enabled: false, deadline: 1h30m, hookPrefix: h, abandon: true}
          spot: {enabled: false, reserve: 11s}
          maintenance: {enabled: false, lead: 12m, atOnce: [], uncordonAfterReboot: false}
          rebalance: {action: cordon, hold: 14m, maxShare: 0.2}
          shutdown: {enabled: false, deadline: 16s, inhibit: false}
          webhook: {url: "https://a/b", proxy: "http://c:1", headers: ["D: e"], template: f}
        admin: {listen: "127.0.0.2:0", metricsListen: "0.0.0.0:9822"}
        control: {socket: /s}
        state: {directory: /d}
        log: {level: debug, format: JSON}
        """;

    Config c = read(text);

    assertThat(ConfigPrinter.yaml(c)).doesNotContain("null");
    assertThat(c.gate().taints()).hasSize(2);
    assertThat(c.termination().pollInterval()).isEqualTo(Duration.ofMillis(1500));
    assertThat(c.admin().metricsListen()).contains(Address.parse("0.0.0.0:9822"));
    assertThat(c.aws().stsEndpoint()).contains(URI.create("http://127.0.0.1:2"));
    Map<String, String> same = flat(c);
    // They exclude what the file sets.
    same.keySet()
        .removeAll(
            List.of(".termination.autoScaling.hookName", ".termination.autoScaling.hookMetadata"));
    same.entrySet().retainAll(flat(ConfigReader.defaults()).entrySet());
    assertThat(same).as("keys that the file did not change").isEmpty();
  }

  @Test
  void aSecretIsInNoPrintAndNoText() throws Exception {
    Config c =
        read(
            "termination: {webhook: {url: \"https://hooks/T0/secret\", headers: [\"A: secret\"]}}");

    assertThat(ConfigPrinter.yaml(c)).contains("url: \"***\"").doesNotContain("secret");
    assertThat(ConfigPrinter.changes(c, ConfigReader.defaults())).doesNotContain("secret");
    assertThat(c.toString()).doesNotContain("secret");
    assertThat(c.termination().webhook().url().orElseThrow().value())
        .isEqualTo("https://hooks/T0/secret");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{autoScaling: {hookName: a, hookPrefix: b}}",
        "{rebalance: {maxShare: 0}}",
        "{rebalance: {action: maybe}}",
        "{webhook: {url: hooks.example.org/secret}}",
        "{webhook: {headers: [secret]}}",
        "{loadBalancerDelay: -1s}",
        "{maintenance: {lead: 0s}}"
      })
  void whatMakesNoSenseIsToldWithoutItsSecrets(String termination) {
    assertThatThrownBy(() -> read("termination: " + termination))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("termination")
        .hasMessageNotContaining("secret");
  }

  @Test
  void whatIsPrintedReadsBackAsTheSame() throws Exception {
    Config c =
        read(
            "gate:\n"
                + "  require:\n"
                + "  - {namespace: a, daemonSet: b}\n"
                + "  - {namespace: c, daemonSet: d}\n");

    assertThat(read(ConfigPrinter.yaml(c))).isEqualTo(c);
    assertThat(read(ConfigPrinter.yaml(ConfigReader.defaults())))
        .isEqualTo(ConfigReader.defaults());
  }

  @Test
  void changesNameOnlyWhatIsNotTheDefault() throws Exception {
    Config c = read("node: {name: n1}\ngate: {taints: ['a:NoSchedule']}\n");

    assertThat(ConfigPrinter.changes(c, ConfigReader.defaults()))
        .isEqualTo("node.name=n1 gate.taints=[a:NoSchedule]");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "# nothing\n", "---\n", "gate:\n", "\n\n"})
  void anEmptyFileIsAllDefaults(String text) throws Exception {
    assertThat(read(text)).isEqualTo(ConfigReader.defaults());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gate:\\n  taint: []|:2: unknown key \"gate.taint\"; did you mean \"taints\"?",
        "metdata: {}|:1: unknown key \"metdata\"; did you mean \"metadata\"?",
        "gate:\\n"
            + "  require:\\n"
            + "    - namespace: a\\n"
            + "      daemonset: b|:4: unknown key \"gate.require[0].daemonset\"; did you"
            + " mean \"daemonSet\"?",
        "gate:\\n"
            + "  require:\\n"
            + "    - namespace: a|:3: gate.require[0]: daemonSet or labelSelector must be given,"
            + " not both",
        "gate:\\n  require:\\n    - daemonSet: a|:3: gate.require[0]: namespace must be given",
        "gate:\\n  retaintAfter: 59s|:2: gate.retaintAfter: must be at least 60s",
        "gate:\\n  mode: sometimes|:2: gate.mode: \"sometimes\" is none of bootstrap, continuous",
        "gate:\\n  taints: [a:NoSchedule, a:NoExecute]|:2: gate.taints: holds a key twice",
        "gate:\\n  enabled: maybe|:2: gate.enabled: is not true or false",
        "gate:\\n  enabled: 1|:2: gate.enabled: is not true or false",
        "gate: 5|:1: \"gate\" holds keys and values, not \"5\"",
        "gate: [1]|:1: \"gate\" holds keys and values, not a list",
        "gate:\\n  taints: x:NoSchedule|:2: gate.taints: is not a list",
        "gate:\\n  taints: []|:2: gate.taints: is empty",
        "gate:\\n  taints: [\"a=b\"]|:2: gate.taints[0]: taint \"a=b\" is not key[=value]:effect",
        "gate:\\n  taints:\\n  - a:NoSchedule\\n  - b:Never|:4: gate.taints[1]: taint \"b:Never\"",
        "node:\\n  name:|:2: \"node.name\" has no value",
        "conntrack:\\n\\n  interval: 5|:3: conntrack.interval: \"5\" is not a duration",
        "conntrack:\\n  interval: 0s|:2: conntrack.interval: must be more than zero",
        "conntrack:\\n  nearFull: 2|:2: conntrack.nearFull: must be more than 0",
        "conntrack:\\n  dropsPerSecond: 0|:2: conntrack.dropsPerSecond: must be more than zero",
        "conntrack:\\n  nearFull: much|:2: conntrack.nearFull: is not a number",
        "runtime:\\n  failures: 2.5|:2: runtime.failures: is not a number",
        "admin:\\n  listen: localhost:80|:2: admin.listen: \"localhost:80\" is not an IP address",
        "admin:\\n  listen: 127.0.0.1:99999|:2: admin.listen: \"127.0.0.1:99999\" is not an IP",
        "log:\\n  level: loud|:2: log.level: \"loud\" is none of error, warn, info, debug",
        "aws:\\n  stsEndpoint: ftp://x|:2: aws.stsEndpoint: \"ftp://x\" is not a URL",
        "state:\\n  directory: here|:2: state.directory: \"here\" is not an absolute path",
        "metadata:\\n  baseRoleArn: foo|:2: metadata.baseRoleArn: \"foo\" is not like",
        "metadata:\\n  open: [iam]|:2: metadata.open[0]: \"iam\" is none of instance-id, placement",
        "metadata:\\n  podLimits: {connections: 0}|:2: metadata.podLimits.connections: must be",
        "metadata:\\n"
            + "  sessionTags: [cluster]|:2: metadata.sessionTags: holds cluster, but node.clu",
        "runtime:\\n  remediation: {enabled: true, drain: true}\\n"
            + "termination: {enabled: false}|:2: runtime.remediation.drain: is true, but terminat",
        "metadata:\\n  sessionDuration: 1m|:2: metadata.sessionDuration: must be",
        "node: {name: a}\\nnode: {name: b}|:2: ",
        "node: {name: a|:1: ",
        "a\\n|:1: expected keys and values",
      })
  void badInputNamesPlaceKeyAndRemedy(String text, String message) {
    assertThatThrownBy(() -> read(text.replace("\\n", "\n")))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining(dir.resolve("config.yaml") + message.strip());
  }

  @Test
  void aMissingFileIsNamed() {
    assertThatThrownBy(
            () -> ConfigReader.read(Optional.of(dir.resolve("no.yaml")), Map.of(), Map.of()))
        .hasMessage(dir.resolve("no.yaml") + ": there is no such file");
  }

  @Test
  void theEnvironmentOverridesTheFileAndFlagsBoth() throws Exception {
    Files.writeString(dir.resolve("config.yaml"), "node: {name: file}\nlog: {level: warn}\n");
    var environment =
        Map.of(
            "NODEWARD_NODE_NAME", "environment",
            "NODEWARD_METADATA_BASE_ROLE_ARN", "arn:aws:iam::123456789012:role/",
            "NODEWARD_GATE_TAINTS", "a:NoSchedule, b=c:NoExecute",
            "NODEWARD_GATE_ENABLED", "false",
            "NODEWARD_RUNTIME_FAILURES", "5",
            "NODEWARD_SERVICE_PORT_HTTP", "80",
            "NODEWARD_PORT_80_TCP_ADDR", "10.0.0.1",
            "PATH", "/bin");

    Config c =
        ConfigReader.read(
            Optional.of(dir.resolve("config.yaml")), environment, Map.of("node.name", "flag"));

    assertThat(c.node().name()).isEqualTo("flag");
    assertThat(c.log().level()).isEqualTo(Config.Log.Level.WARN);
    assertThat(c.metadata().baseRoleArn()).isEqualTo("arn:aws:iam::123456789012:role/");
    assertThat(c.gate().taints())
        .containsExactly(Taint.parse("a:NoSchedule"), Taint.parse("b=c:NoExecute"));
    assertThat(c.gate().enabled()).isFalse();
    assertThat(c.runtime().failures()).isEqualTo(5);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "NODEWARD_GATE_TAINT|x|unknown variable NODEWARD_GATE_TAINT; did you mean"
            + " \"NODEWARD_GATE_TAINTS\"?",
        "NODEWARD_CONNTRACK_INTERVAL|soon|environment: NODEWARD_CONNTRACK_INTERVAL:"
            + " conntrack.interval: \"soon\"",
        "NODEWARD_GATE_TAINTS|a: [|environment: NODEWARD_GATE_TAINTS: \"a: [\" is not a list",
      })
  void aBadVariableIsNamed(String name, String value, String message) {
    assertThatThrownBy(() -> ConfigReader.read(Optional.empty(), Map.of(name, value), Map.of()))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource({"300ms,PT0.3S", "5s,PT5S", "10m,PT10M", "1h30m,PT1H30M", "0s,PT0S"})
  void durationsAreReadInGosNotation(String text, Duration expected) {
    assertThat(ConfigReader.duration(text)).isEqualTo(expected);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "5", "s", "5 s", "-5s", "5d", "1h 5m", "5sx", "99999999999999s"})
  void whatIsNoDurationIsRefused(String text) {
    assertThatThrownBy(() -> ConfigReader.duration(text))
        .isInstanceOf(IllegalArgumentException.class);
  }

  /** Each leaf by its path. */
  private static Map<String, String> flat(Config config) throws IOException {
    var leaves = new HashMap<String, String>();
    flatten(new YAMLMapper().readTree(ConfigPrinter.yaml(config)), "", leaves);
    return leaves;
  }

  private static void flatten(JsonNode node, String path, Map<String, String> leaves) {
    if (node.isContainerNode() && !node.isEmpty()) {
      node.properties().forEach(e -> flatten(e.getValue(), path + "." + e.getKey(), leaves));
      for (int i = 0; node.isArray() && i < node.size(); i++) {
        flatten(node.get(i), path + "[" + i + "]", leaves);
      }
    } else {
      leaves.put(path, node.toString());
    }
  }

  private Config read(String text) throws ConfigException, IOException {
    Path file = dir.resolve("config.yaml");
    Files.writeString(file, text);
    return ConfigReader.read(Optional.of(file), Map.of(), Map.of());
  }
}
