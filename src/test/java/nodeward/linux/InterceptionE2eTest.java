package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import nodeward.Main;
import nodeward.component.Time;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.metadata.FakeNamespaces;
import nodeward.metadata.FakeRoleCredentials;
import nodeward.metadata.FakeSandboxes;
import nodeward.metadata.Firewall.Family;
import nodeward.metadata.Interception;
import nodeward.metadata.Interception.Destination;
import nodeward.metadata.Interception.Service;
import nodeward.metadata.InterceptionKeeper;
import nodeward.metadata.MetadataProxy;
import nodeward.metadata.TokenReviews;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The interception in the kernel: a pod, its node and the cloud behind it as network namespaces.
 * The cloud answers at the addresses of instance metadata on both families, and without our rules
 * the pod reaches it. Needs root, iproute2, both kinds of iptables and the conntrack tool.
 */
@Tag("e2e")
class InterceptionE2eTest {
  private static final String LISTING = "/latest/meta-data/iam/security-credentials/";
  private static final String V4 = "169.254.169.254";
  private static final String V6 = "fd00:ec2::254";

  private final String id = Long.toString(ProcessHandle.current().pid());
  private final String node = "nw-node-" + id;
  private final String pod = "nw-pod-" + id;
  private final String cloud = "nw-cloud-" + id;
  private final List<Process> started = new ArrayList<>();

  @BeforeEach
  void wire() throws Exception {
    for (String namespace : List.of(node, pod, cloud)) {
      run(List.of("ip", "netns", "add", namespace));
      ip(namespace, "link set lo up");
    }
    ip(node, "link add cni0 type bridge");
    ip(node, "addr add 10.88.0.1/24 dev cni0");
    ip(node, "addr add fd88::1/64 dev cni0 nodad");
    ip(node, "link set cni0 up");
    ip(node, "link add veth0 type veth peer name eth0 netns " + pod);
    ip(node, "link set veth0 master cni0 up");
    ip(node, "link add eth9 type veth peer name eth0 netns " + cloud);
    ip(node, "addr add 10.99.0.1/24 dev eth9");
    ip(node, "addr add fd99::1/64 dev eth9 nodad");
    ip(node, "link set eth9 up");
    ip(node, "route add default via 10.99.0.2");
    ip(pod, "addr add 10.88.0.2/24 dev eth0");
    ip(pod, "addr add fd88::2/64 dev eth0 nodad");
    ip(pod, "link set eth0 up");
    ip(pod, "route add default via 10.88.0.1");
    ip(pod, "-6 route add default via fd88::1");
    ip(cloud, "addr add 10.99.0.2/24 dev eth0");
    ip(cloud, "addr add fd99::2/64 dev eth0 nodad");
    ip(cloud, "addr add " + V4 + "/32 dev lo");
    ip(cloud, "addr add " + V6 + "/128 dev lo nodad");
    ip(cloud, "link set eth0 up");
    ip(cloud, "route add 10.88.0.0/24 via 10.99.0.1");
    ip(cloud, "-6 route add fd88::/64 via fd99::1");
    ip(node, "-6 route add default via fd99::2");
    run(in(node, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"));
    java(cloud, "cloud");
    assertThat(reachable(pod, V4, 80)).contains("the node's own");
    assertThat(reachable(pod, V6, 80)).contains("the node's own");
    assertThat(reachable(pod, V4, 8080)).contains("the node's own");
  }

  @AfterEach
  void unwire() throws Exception {
    for (Process process : started) {
      process.destroyForcibly().waitFor();
    }
    for (String namespace : List.of(pod, cloud, node)) {
      run(List.of("ip", "netns", "del", namespace));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"nft", "legacy"})
  void o1InstallingTwiceIsInstallingOnceAndRemovingLeavesTheRulesOfOthers(String kind)
      throws Exception {
    kubeletUses(kind);
    for (String command : List.of("iptables-" + kind, "ip6tables-" + kind)) {
      run(in(node, command, "-w", "-t", "nat", "-A", "PREROUTING", "-i", "lo", "-j", "ACCEPT"));
    }
    String before = rules(kind);
    var iptables = new Iptables(in(node));
    install(iptables, at("10.88.0.1:8181"), "old0", "cni0");
    String once = rules(kind);

    install(new Iptables(in(node)), at("10.88.0.1:8181"), "old0", "cni0");
    assertThat(rules(kind)).isEqualTo(once).contains("-A NODEWARD -j DROP");

    install(iptables, new Destination.Own(8181), "cni0");
    assertThat(rules(kind)).contains("REDIRECT --to-ports 8181").doesNotContain("old0", "DNAT");
    assertThat(rules(kind.equals("nft") ? "legacy" : "nft")).doesNotContain("NODEWARD");
    for (Family family : Family.values()) {
      assertThat(iptables.missing(family)).isEmpty();
    }

    List<String> removed = new Iptables(in(node)).remove();
    assertThat(removed)
        .anyMatch(r -> r.equals("iptables-" + kind + " -t mangle -A NODEWARD -j DROP"));
    assertThat(rules(kind)).doesNotContain("NODEWARD");
    assertThat(rules(kind).lines().filter(r -> r.startsWith("-A")).toList())
        .isEqualTo(before.lines().filter(r -> r.startsWith("-A")).toList());
    assertThat(new Iptables(in(node)).remove()).isEmpty();
  }

  @Test
  void o1TheLockOfXtablesIsWaitedFor() throws Exception {
    kubeletUses("legacy");
    Process holder =
        new ProcessBuilder("flock", "/run/xtables.lock", "sh", "-c", "echo held; sleep 1").start();
    started.add(holder);
    assertThat(
            new BufferedReader(
                    new InputStreamReader(holder.getInputStream(), StandardCharsets.UTF_8))
                .readLine())
        .isEqualTo("held");

    install(new Iptables(in(node)), at("10.88.0.1:8181"), "cni0");

    assertThat(rules("legacy")).contains("-A NODEWARD -j DROP");
  }

  @ParameterizedTest
  @ValueSource(strings = {"nft", "legacy"})
  void o2APodGetsItsCredentialsAndNothingElseEvenWhenTheProxyIsKilled(String kind)
      throws Exception {
    kubeletUses(kind);
    Process proxy = proxy("0.0.0.0:8181", "cni0");

    assertThat(fromPod(V4, 80, LISTING)).endsWith("\r\n\r\nreader");
    assertThat(fromPod(V4, 80, LISTING + "reader")).contains("200 OK", "\"AccessKeyId\":\"ASIA1\"");
    assertRefused(V4);
    assertThat(reachable(node, V4, 80)).as("the host's own way").contains("the node's own");

    proxy.destroyForcibly().waitFor();

    assertThat(fromPod(V4, 80, LISTING)).contains("Connection refused");
    assertRefused(V4);
  }

  @Test
  void o2TheRulesRefuseBeforeAnyProxyListens() throws Exception {
    install(new Iptables(in(node)), at("10.88.0.1:8181"), "cni0");

    assertThat(fromPod(V4, 80, LISTING)).contains("Connection refused");
    assertRefused(V4);
  }

  @Test
  void o2WithTheLeadingRulesFlushedTheRefusalHoldsUntilTheyAreRepaired() throws Exception {
    proxy("0.0.0.0:8181", "cni0");
    run(in(node, "iptables", "-w", "-t", "nat", "-F"));
    run(in(node, "iptables", "-w", "-P", "FORWARD", "ACCEPT"));
    run(in(node, "iptables", "-w", "-I", "FORWARD", "-j", "ACCEPT"));

    assertThat(bash(pod, 1, request(V4, 80, LISTING))).doesNotContain("the node's own");
    Instant until = Instant.now().plusSeconds(60);
    while (!fromPod(V4, 80, LISTING).endsWith("reader")) {
      assertThat(Instant.now()).as("the repair").isBefore(until);
      LockSupport.parkNanos(Duration.ofMillis(50).toNanos());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {V4, V6})
  void o3AConnectionFromBeforeTheRulesIsCutAndForgotten(String service) throws Exception {
    // Rules like these of every CNI plugin make the kernel track connections at all.
    for (String command : List.of("iptables", "ip6tables")) {
      run(in(node, command, "-w", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED"));
    }
    Process before = connection(service);
    var lines =
        new BufferedReader(new InputStreamReader(before.getInputStream(), StandardCharsets.UTF_8));
    assertThat(lines.readLine()).isEqualTo("the node's own");
    String family = service.equals(V4) ? "ipv4" : "ipv6";
    String tracked = run(in(node, "conntrack", "-L", "-f", family, "-p", "tcp"));
    assertThat(addresses(tracked)).contains(address(service));

    proxy("0.0.0.0:8181", "cni0");

    String left = run(in(node, "conntrack", "-L", "-f", family, "-p", "tcp"));
    assertThat(addresses(left)).doesNotContain(address(service));
    before.getOutputStream().write('\n');
    before.getOutputStream().flush();
    assertThat(lines.lines().toList()).doesNotContain("the node's own");
  }

  @Test
  void o4MetadataOverIpv6IsLedToTheProxyToo() throws Exception {
    Process proxy = proxy("0.0.0.0:8181", "cni0");

    assertThat(fromPod(V6, 80, LISTING)).endsWith("\r\n\r\nreader");
    assertRefused(V6);

    proxy.destroyForcibly().waitFor();
    assertThat(fromPod(V6, 80, LISTING)).contains("Connection refused");
    assertRefused(V6);
  }

  @Test
  void o4OfAProxyOnIpv4AloneIpv6IsRefused() throws Exception {
    proxy("10.88.0.1:8181", "cni0");

    assertThat(fromPod(V4, 80, LISTING)).endsWith("\r\n\r\nreader");
    assertThat(bash(pod, 2, request(V6, 80, "/"))).doesNotContain("the node's own", "HTTP/1.1");
    assertRefused(V6);
  }

  @ParameterizedTest
  @ValueSource(strings = {"cni0", "cni+", "!eth9", "auto", "!eth9,!eth8", "eni+,cni+"})
  void o5APatternLeadsThePodsOfItsInterfaces(String patterns) throws Exception {
    proxy("0.0.0.0:8181", patterns);

    assertThat(fromPod(V4, 80, LISTING)).endsWith("\r\n\r\nreader");
    assertThat(fromPod(V6, 80, LISTING)).endsWith("\r\n\r\nreader");
  }

  @ParameterizedTest
  @ValueSource(strings = {"eni+", "!cni0", "!cni+", "docker0"})
  void o5APodOfAnotherInterfaceIsRefused(String patterns) throws Exception {
    proxy("0.0.0.0:8181", patterns);

    for (String service : List.of(V4, V6)) {
      assertThat(bash(pod, 2, request(service, 80, LISTING)))
          .doesNotContain("the node's own", "HTTP/1.1");
    }
  }

  @Test
  void o5AnInterfaceWithoutAnAddressIsLedToTheNodes() throws Exception {
    ip(node, "addr del 10.88.0.1/24 dev cni0");
    ip(node, "route add 10.88.0.2/32 dev cni0");
    run(in(node, "sysctl", "-qw", "net.ipv4.conf.cni0.proxy_arp=1"));
    proxy("0.0.0.0:8181", "cni0");

    assertThat(run(in(node, "iptables-save", "-t", "nat")))
        .contains("-j DNAT --to-destination 10.99.0.1:8181");
    assertThat(fromPod(V4, 80, LISTING)).endsWith("\r\n\r\nreader");
  }

  @Test
  void onlyTheCommandTakesTheRulesAway() throws Exception {
    proxy("0.0.0.0:8181", "cni0").destroyForcibly().waitFor();

    String said = run(inJava(node, Main.class, "interception", "remove"));
    assertThat(said).contains("removed iptables-nft -t mangle -A NODEWARD -j DROP");
    assertThat(reachable(pod, V4, 80)).contains("the node's own");
    assertThat(run(inJava(node, Main.class, "interception", "remove")))
        .contains("there were no rules");
  }

  /** Neither other ports nor other protocols reach the service. */
  private void assertRefused(String service) throws Exception {
    for (int port : List.of(8080, 443)) {
      assertThat(fromPod(service, port, "/")).doesNotContain("the node's own", "HTTP/1.1");
    }
    String datagram = "exec 3<>/dev/udp/%s/80 && printf x >&3 && head -c 1 <&3".formatted(service);
    assertThat(bash(pod, 1, datagram)).doesNotContain("y");
  }

  private static Destination at(String address) {
    return new Destination.At(Address.parse(address));
  }

  private static void install(Iptables iptables, Destination v4, String... interfaces)
      throws IOException {
    Destination v6 =
        switch (v4) {
          case Destination.At at -> new Destination.At(Address.parse("[fd88::1]:8181"));
          case Destination other -> other;
        };
    var interception =
        new Interception(
            List.of(interfaces),
            List.of(),
            List.of(
                new Service(Interception.METADATA, v4),
                new Service(Interception.METADATA_IPV6, v6)));
    for (Family family : Family.values()) {
      iptables.install(interception, family);
    }
  }

  private void kubeletUses(String kind) throws Exception {
    for (String command : List.of("iptables-", "ip6tables-")) {
      run(in(node, command + kind, "-w", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT"));
    }
  }

  private String rules(String kind) throws Exception {
    return (run(in(node, "iptables-" + kind + "-save"))
            + run(in(node, "ip6tables-" + kind + "-save")))
        .replaceAll("\\[\\d+:\\d+]", "")
        .replaceAll("(?m)^#.*\n", "");
  }

  /** The keeper and the proxy as the agent has them, in a process of its own on the node. */
  private Process proxy(String listen, String patterns) throws Exception {
    return java(node, "proxy", listen, patterns);
  }

  private Process java(String namespace, String... arguments) throws Exception {
    Process process =
        new ProcessBuilder(inJava(namespace, InterceptionE2eTest.class, arguments))
            .redirectErrorStream(true)
            .start();
    started.add(process);
    var lines =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    var all = new StringBuilder();
    for (String line = lines.readLine(); ; line = lines.readLine()) {
      assertThat(line).as("end of %s after %s", Arrays.toString(arguments), all).isNotNull();
      all.append(line).append('\n');
      if (line.equals("listening")) {
        Thread.startVirtualThread(() -> lines.lines().forEach(l -> {}));
        return process;
      }
    }
  }

  private static List<String> inJava(String namespace, Class<?> main, String... arguments) {
    var command =
        in(
            namespace,
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("java.class.path"),
            main.getName());
    command.addAll(List.of(arguments));
    return command;
  }

  private String fromPod(String host, int port, String path) throws Exception {
    return bash(pod, port == 80 ? 20 : 2, request(host, port, path));
  }

  private String reachable(String namespace, String host, int port) throws Exception {
    return bash(namespace, 20, request(host, port, "/"));
  }

  private static String request(String host, int port, String path) {
    return "exec 3<>/dev/tcp/%s/%d && printf 'GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3"
        .formatted(host, port, path, host.contains(":") ? "[" + host + "]" : host);
  }

  /** A connection that asks once, then again for each line that it reads. */
  private Process connection(String host) throws IOException {
    String script =
        "exec 3<>/dev/tcp/%s/80; ask() { printf 'GET /\\r\\n' >&3; answer=; read -t 3 answer <&3; echo \"$answer\"; }; ask; read line; ask"
            .formatted(host);
    Process process =
        new ProcessBuilder(in(pod, "timeout", "60", "bash", "-c", script))
            .redirectErrorStream(true)
            .start();
    started.add(process);
    return process;
  }

  private static String bash(String namespace, int seconds, String script) throws Exception {
    Process process =
        new ProcessBuilder(
                in(namespace, "timeout", Integer.toString(seconds), "bash", "-c", script))
            .redirectErrorStream(true)
            .start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return out;
  }

  private static InetAddress address(String literal) {
    return InetAddress.ofLiteral(literal);
  }

  /** The destinations that the conntrack tool printed. */
  private static List<InetAddress> addresses(String printed) {
    return Arrays.stream(printed.split("\\s+"))
        .filter(word -> word.startsWith("dst="))
        .map(word -> InetAddress.ofLiteral(word.substring(4)))
        .toList();
  }

  private static List<String> in(String namespace, String... command) {
    var all = new ArrayList<>(List.of("ip", "netns", "exec", namespace));
    all.addAll(List.of(command));
    return all;
  }

  private static void ip(String namespace, String command) throws Exception {
    var all = new ArrayList<>(List.of("ip", "-n", namespace));
    all.addAll(List.of(command.split(" ")));
    run(all);
  }

  private static String run(List<String> command) throws Exception {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as("%s: %s", command, out).isZero();
    return out;
  }

  /** What runs in the namespaces. */
  public static void main(String... arguments) throws Exception {
    if (arguments[0].equals("cloud")) {
      serve(80);
      serve(8080);
      serve(443);
      var echo = new DatagramSocket(new InetSocketAddress("::", 80));
      Thread.startVirtualThread(() -> echo(echo));
    } else {
      proxyOfOnePod(Address.parse(arguments[1]), List.of(arguments[2].split(",")));
    }
    System.out.println("listening");
    Thread.currentThread().join();
  }

  /** Answers each line with what a pod must never read. */
  private static void serve(int port) throws IOException {
    var server = new ServerSocket(port);
    Thread.startVirtualThread(
        () -> {
          while (true) {
            try {
              Socket client = server.accept();
              Thread.startVirtualThread(() -> answer(client));
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          }
        });
  }

  private static void answer(Socket client) {
    try (client) {
      var lines =
          new BufferedReader(
              new InputStreamReader(client.getInputStream(), StandardCharsets.US_ASCII));
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (line.startsWith("GET")) {
          client.getOutputStream().write("the node's own\n".getBytes(StandardCharsets.US_ASCII));
        }
        if (line.isEmpty()) {
          return;
        }
      }
    } catch (IOException e) {
      System.out.println("cloud: " + e.getMessage());
    }
  }

  private static void echo(DatagramSocket socket) {
    try {
      var packet = new DatagramPacket(new byte[16], 16);
      while (true) {
        socket.receive(packet);
        packet.setData("y".getBytes(StandardCharsets.US_ASCII));
        socket.send(packet);
      }
    } catch (IOException e) {
      System.out.println("cloud: " + e.getMessage());
    }
  }

  private static void proxyOfOnePod(Address listen, List<String> patterns) throws IOException {
    var fake = new FakeNode("node-1").register();
    var base =
        FakeNode.annotated(
            FakeNode.pod("shop", "web", "10.88.0.2"), "iam.amazonaws.com/role", "reader");
    fake.put(withAddresses(base, List.of(address("10.88.0.2"), address("fd88::2"))));
    var config =
        new Config.Metadata(
            true,
            listen,
            "arn:aws:iam::123456789012:role/",
            "",
            Duration.ofHours(1),
            Duration.ofMinutes(30),
            patterns,
            List.of(),
            false,
            Config.Metadata.RestrictionFormat.GLOB,
            false,
            List.of(),
            false,
            new Config.Metadata.PodLimits(64, 32),
            new Config.Metadata.Container(List.of(), "nodeward.dev"));
    var keeper =
        new InterceptionKeeper(
            config, new Iptables(), new CollectorRegistry(), Time.SYSTEM, Duration.ofSeconds(4));
    var proxy =
        new MetadataProxy(
            config,
            new MetadataProxy.Ports(
                fake.asPods(),
                new FakeSandboxes(),
                new FakeRoleCredentials(Time.SYSTEM),
                Optional::empty,
                new FakeNamespaces(),
                (told, type, reason, message) -> {},
                path -> Optional.empty(),
                (token, audience) -> new TokenReviews.Verdict.Refused("not asked for here")),
            new CollectorRegistry(),
            Time.SYSTEM);
    keeper.start();
    proxy.start();
  }

  private static Pod withAddresses(Pod p, List<InetAddress> addresses) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        p.phase(),
        addresses,
        p.hostNetwork(),
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        p.owners(),
        p.labels(),
        p.annotations());
  }
}
