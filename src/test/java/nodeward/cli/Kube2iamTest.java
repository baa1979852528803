package nodeward.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.regex.Pattern;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.config.ConfigPrinter;
import nodeward.config.ConfigReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class Kube2iamTest {
  private static final Path DOCS =
      Path.of(System.getProperty("nodeward.basedir", "."), "docs/migrate-kube2iam.md");

  @TempDir private Path directory;

  /** The keys that change, as the agent's log shows them. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--app-port=8282                       | metadata.listen=0.0.0.0:8282",
        "--app-port 8282                       | metadata.listen=0.0.0.0:8282",
        "--metrics-port=9543                   | admin.metricsListen=0.0.0.0:9543",
        "--metrics-port=8181                   | none",
        "--base-role-arn=arn:aws:iam::123456789012:role/"
            + " | metadata.baseRoleArn=arn:aws:iam::123456789012:role/",
        "--base-role-arn=arn:aws-cn:iam::123456789012:role/team"
            + " | metadata.baseRoleArn=arn:aws-cn:iam::123456789012:role/team/",
        "--auto-discover-base-arn              | none",
        "--auto-discover-default-role=true     | none",
        "--default-role=fallback               | metadata.defaultRole=fallback",
        "--iam-role-key=iam.amazonaws.com/role | none",
        "--iam-role-key=example.com/role       | none",
        "--iam-external-id=example.com/id      | none",
        "--iam-role-session-ttl=15m" + " | metadata.sessionDuration=30m metadata.refreshBefore=15m",
        "--iam-role-session-ttl=30m            | none",
        "--iam-role-session-ttl=45m            | none",
        "--iam-role-session-ttl=5m"
            + " | metadata.sessionDuration=15m metadata.refreshBefore=7m30s",
        "--iam-role-error-ttl=1m               | none",
        "--namespace-restrictions              | metadata.namespaceRestrictions=true",
        "--namespace-restrictions=false        | none",
        "--namespace-restriction-format=regexp | metadata.namespaceRestrictionFormat=regexp",
        "--namespace-restriction-format=glob   | none",
        "--namespace-key=example.com/roles     | none",
        "--metadata-addr=127.0.0.1:1338        | aws.metadataEndpoint=http://127.0.0.1:1338",
        "--metadata-addr=169.254.169.254       | none",
        "--iptables                            | metadata.interceptInterfaces=[docker0]",
        "--iptables=true --host-interface=eni+ | metadata.interceptInterfaces=[eni+]",
        "--iptables=false --host-interface=eni+ | none",
        "--host-interface=cni0                 | none",
        "--host-ip=10.0.0.1                    | none",
        "--node=ip-10-0-0-1                    | node.name=ip-10-0-0-1",
        "--kubeconfig=/etc/kubeconfig          | kubernetes.kubeconfig=/etc/kubeconfig",
        "--api-server=https://10.0.0.1         | none",
        "--api-token=abc                       | none",
        "--insecure                            | none",
        "--cache-resync-period=10m             | none",
        "--resolve-duplicate-cache-ips         | none",
        "--backoff-max-interval=1s             | none",
        "--backoff-max-elapsed-time=2s         | none",
        "--use-regional-sts-endpoint           | none",
        "--debug                               | none",
        "--log-format=json                     | log.format=json",
        "--log-format=text                     | log.format=text",
        "--log-level=warning                   | log.level=warn",
        "--log-level=fatal                     | log.level=error",
        "--log-level=trace                     | log.level=debug",
        "--verbose                             | log.level=debug",
        "--version                             | none",
      })
  void everyFlagBecomesAKeyOrWords(String arguments, String changes) throws Exception {
    String yaml = Kube2iam.yaml(List.of(arguments.split(" ")));

    assertThat(ConfigPrinter.changes(read(yaml), ConfigReader.defaults()).replace("\"", ""))
        .isEqualTo(changes);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--auto-discover-default-role | # --auto-discover-default-role: no pod gets the node's own",
        "--iam-role-key=example.com/role"
            + " | # --iam-role-key: the annotation is always iam.amazonaws.com/role: rename"
            + " example.com/role",
        "--iam-external-id=x.y/z | # --iam-external-id: the annotation is always",
        "--namespace-key=x.y/z | # --namespace-key: the annotation is always",
        "--iam-role-session-ttl=45m | # --iam-role-session-ttl: STS allows sessions of 1h at most",
        "--iam-role-error-ttl=1m | # --iam-role-error-ttl: a role that STS denies",
        "--namespace-restriction-format=regexp | regular expressions are anchored",
        "--namespace-restrictions --default-role=x | # --default-role: a namespace must allow",
        "--iptables --host-ip=10.0.0.1 | # --host-ip: the node's address is found",
        "--api-server=https://x | # --api-server: the API server is found by",
        "--api-token=abc | # --api-token: the API server is found by",
        "--insecure | # --insecure: the API server is found by",
        "--auto-discover-base-arn | # --auto-discover-base-arn: an empty metadata.baseRoleArn",
        "--cache-resync-period=1m | # --cache-resync-period: ",
        "--resolve-duplicate-cache-ips | # --resolve-duplicate-cache-ips: ",
        "--backoff-max-interval=1s | # --backoff-max-interval: ",
        "--backoff-max-elapsed-time=2s | # --backoff-max-elapsed-time: ",
        "--use-regional-sts-endpoint | # --use-regional-sts-endpoint: the region's endpoint",
        "--debug | # --debug: `agent explain NAMESPACE/POD`",
        "--version | # --version: `agent version`",
        "--app-port=1 | # --iptables is off: rules of your own must lead pods",
        "--app-port=1 | # --metrics-port: metrics are never on the port that pods reach",
      })
  void whatHasNoKeyIsSaidInWords(String arguments, String words) throws Exception {
    assertThat(Kube2iam.yaml(List.of(arguments.split(" ")))).contains(words).doesNotContain("abc");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--base-role=x                 | kube2iam has no flag --base-role",
        "base-role-arn                 | kube2iam: \"base-role-arn\" is no flag",
        "--node                        | kube2iam: --node needs a value",
        "--iptables=yes                | kube2iam: --iptables \"yes\" is not true or false",
        "--app-port=http               | kube2iam: --app-port \"http\" is no port",
        "--app-port=99999              | metadata.listen: \"0.0.0.0:99999\" is not an IP address",
        "--iam-role-session-ttl=often  | kube2iam: --iam-role-session-ttl: \"often\" is not",
        "--log-level=loud              | kube2iam: --log-level \"loud\" is no level",
        "--base-role-arn=role          | metadata.baseRoleArn: ",
        "--namespace-restriction-format=sql | metadata.namespaceRestrictionFormat: \"sql\" is none",
        "--iptables --host-interface=a/b | metadata.interceptInterfaces: ",
        "--base-role-arn=x --auto-discover-base-arn | kube2iam refuses --base-role-arn together",
        "--default-role=x --auto-discover-default-role | kube2iam refuses --default-role together",
      })
  void whatKube2iamOrWeRefuseIsNamed(String arguments, String why) {
    assertThatThrownBy(() -> Kube2iam.yaml(List.of(arguments.split(" "))))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining(why);
  }

  @Test
  void theArgumentsOfADaemonSetBecomeAFileThatTheAgentReads() throws Exception {
    var out = new StringWriter();
    var arguments =
        new ArrayList<>(
            List.of(
                "check-config",
                "--from-kube2iam",
                "--base-role-arn=arn:aws:iam::123456789012:role/",
                "--iptables=true",
                "--host-ip=$(HOST_IP)",
                "--host-interface=cali+",
                "--node",
                "n1",
                "--namespace-restrictions",
                "--version"));
    var line = Cli.commandLine(arguments.toArray(String[]::new));
    line.setOut(new PrintWriter(out, true));

    assertThat(line.execute(arguments.toArray(String[]::new))).isZero();

    Config config = read(out.toString());
    assertThat(config.node().name()).isEqualTo("n1");
    assertThat(config.metadata().interceptInterfaces()).containsExactly("cali+");
    assertThat(config.metadata().namespaceRestrictions()).isTrue();
  }

  @Test
  void wrongArgumentsExitWithTwo() {
    var err = new StringWriter();
    String[] arguments = {"check-config", "--from-kube2iam", "--nonsense"};
    var line = Cli.commandLine(arguments);
    line.setErr(new PrintWriter(err, true));

    assertThat(line.execute(arguments)).isEqualTo(2);
    assertThat(err.toString()).contains("agent: kube2iam has no flag --nonsense");
  }

  @Test
  void noArgumentsAreAllDefaults() throws Exception {
    assertThat(read(Kube2iam.yaml(List.of()))).isEqualTo(ConfigReader.defaults());
  }

  @Test
  void theDocsNameEveryFlag() throws IOException {
    var inDocs = new TreeSet<String>();
    Pattern.compile("(?m)^\\| `--([a-z0-9-]+)` \\|")
        .matcher(Files.readString(DOCS))
        .results()
        .forEach(m -> inDocs.add(m.group(1)));

    assertThat(inDocs).isEqualTo(Kube2iam.flags());
  }

  private Config read(String yaml) throws ConfigException, IOException {
    Path file = directory.resolve("config.yaml");
    Files.writeString(file, yaml);
    return ConfigReader.read(Optional.of(file), Map.of(), Map.of());
  }
}
