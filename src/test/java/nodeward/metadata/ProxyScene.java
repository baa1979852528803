package nodeward.metadata;

import static nodeward.node.FakeNode.annotated;
import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.metadata.PodClient.Response;
import nodeward.node.FakeNode;
import nodeward.node.Pod;

/** The proxy over real HTTP on a fake node; pods are loopback addresses. */
final class ProxyScene implements AutoCloseable {
  static final String BASE = "arn:aws:iam::123456789012:role/";
  static final String LISTING = "/latest/meta-data/iam/security-credentials";

  final FakeTime time = new FakeTime();
  final FakeNode node = new FakeNode("node-1").register();
  final FakeSandboxes runtime = new FakeSandboxes();
  final FakeRoleCredentials sts = new FakeRoleCredentials(time);
  final CollectorRegistry registry = new CollectorRegistry();
  final MetadataProxy proxy;

  private ProxyScene(Config.Metadata config, Duration hold) throws IOException {
    this.proxy =
        new MetadataProxy(
            config,
            new MetadataProxy.Ports(
                node.asPods(),
                runtime,
                sts,
                Optional::empty,
                new FakeNamespaces(),
                (pod, type, reason, message) -> {},
                path -> Optional.empty(),
                (token, audience) -> new TokenReviews.Verdict.Refused("not asked for here")),
            new Grants.Patience(hold, Duration.ofSeconds(20)),
            PodServer.Limits.of(128, 128),
            registry,
            time);
  }

  static ProxyScene start() throws IOException {
    return start("", Duration.ofSeconds(20));
  }

  static ProxyScene start(String defaultRole, Duration hold) throws IOException {
    return start(config(defaultRole), hold, scene -> {});
  }

  /** What is to be there before the proxy starts. */
  interface Before {
    void prepare(ProxyScene scene);
  }

  static ProxyScene start(Config.Metadata config, Duration hold, Before before) throws IOException {
    var scene = new ProxyScene(config, hold);
    before.prepare(scene);
    scene.proxy.start();
    return scene;
  }

  static Config.Metadata config(String defaultRole, Config.Metadata.SessionTag... tags) {
    return new Config.Metadata(
        true,
        Address.parse("127.0.0.1:0"),
        BASE,
        defaultRole,
        Duration.ofHours(1),
        Duration.ofMinutes(30),
        List.of(),
        List.of(tags),
        false,
        Config.Metadata.RestrictionFormat.GLOB,
        false,
        List.of(),
        false,
        new Config.Metadata.PodLimits(64, 32),
        new Config.Metadata.Container(List.of(), "nodeward.dev"));
  }

  /** A pod that the watch knows. */
  Pod pod(String name, String address, String role) {
    Pod pod = withRole(FakeNode.pod("shop", name, address), role);
    node.put(pod);
    return pod;
  }

  static Pod withRole(Pod pod, String role) {
    return annotated(pod, RolePolicy.ROLE, role);
  }

  Response ask(String source, String method, String path, String... headers) throws IOException {
    try (var client = new PodClient(source, proxy.address())) {
      return client.send(method, path, headers);
    }
  }

  /** Status and role's name. */
  String roleOf(String source) throws IOException {
    Response response = ask(source, "GET", LISTING);
    return response.status() + " " + response.body().strip();
  }

  interface Check {
    boolean holds() throws Exception;
  }

  static void await(Check check) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!check.holds()) {
      assertThat(System.nanoTime()).as("deadline").isLessThan(end);
      Thread.sleep(10);
    }
  }

  @Override
  public void close() {
    proxy.close();
  }
}
