package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.config.Preset;
import nodeward.metadata.PodClient.Response;
import nodeward.node.FakeNode;
import nodeward.node.Pod;

/** A proxy on loopback with everything around it fake: pods, STS, instance metadata, reviews. */
final class TestProxy implements AutoCloseable {
  static final String BASE = "arn:aws:iam::123456789012:role/";
  static final String LISTING = "/latest/meta-data/iam/security-credentials";
  static final String AUDIENCE = "nodeward.dev";

  final FakeTime time = new FakeTime();
  final FakeNamespaces namespaces = new FakeNamespaces();
  final FakeNode node = new FakeNode("node-1").register();
  final FakeSandboxes runtime = new FakeSandboxes();
  final FakeRoleCredentials sts = new FakeRoleCredentials(time);
  final ConcurrentHashMap<String, String> instance = new ConcurrentHashMap<>();
  final List<String> instanceAsked = new CopyOnWriteArrayList<>();
  volatile boolean instanceDown;
  final ConcurrentHashMap<String, TokenReviews.Verdict> tokens = new ConcurrentHashMap<>();
  final List<String> reviewed = new CopyOnWriteArrayList<>();
  volatile boolean reviewsDown;
  CollectorRegistry registry = new CollectorRegistry();
  private final List<MetadataProxy> made = new ArrayList<>();
  private MetadataProxy proxy;

  /** What is set apart from the defaults. */
  static final class Settings {
    boolean requireV2;
    List<Config.Metadata.SessionTag> tags = List.of();
    List<Preset> open = List.of();
    boolean openByNamespace;
    String defaultRole = "";
    String listen = "127.0.0.1:0";
    List<Address> container = List.of();
    Duration hold = Duration.ofSeconds(20);
    PodServer.Limits limits = PodServer.Limits.of(64, 32);

    Settings requireV2() {
      requireV2 = true;
      return this;
    }

    Settings tags(Config.Metadata.SessionTag... tags) {
      this.tags = List.of(tags);
      return this;
    }

    Settings defaultRole(String role) {
      defaultRole = role;
      return this;
    }

    Settings open(Preset... presets) {
      open = List.of(presets);
      return this;
    }

    Settings openByNamespace() {
      openByNamespace = true;
      return this;
    }

    Settings container(String... addresses) {
      container = List.of(addresses).stream().map(Address::parse).toList();
      return this;
    }

    Settings hold(Duration limit) {
      hold = limit;
      return this;
    }

    Settings limits(PodServer.Limits of) {
      limits = of;
      return this;
    }

    Config.Metadata config() {
      return new Config.Metadata(
          true,
          Address.parse(listen),
          BASE,
          defaultRole,
          Duration.ofHours(1),
          Duration.ofMinutes(30),
          List.of(),
          tags,
          false,
          Config.Metadata.RestrictionFormat.GLOB,
          requireV2,
          open,
          openByNamespace,
          new Config.Metadata.PodLimits(64, 32),
          new Config.Metadata.Container(container, AUDIENCE));
    }
  }

  static TestProxy started(Settings settings) throws IOException {
    return new TestProxy().start(settings);
  }

  TestProxy start(Settings settings) throws IOException {
    made.forEach(MetadataProxy::close);
    registry = new CollectorRegistry();
    proxy =
        new MetadataProxy(
            settings.config(),
            new MetadataProxy.Ports(
                node.asPods(),
                runtime,
                sts,
                () -> Optional.of(BASE),
                namespaces,
                (pod, type, reason, message) -> {},
                this::page,
                this::review),
            new Grants.Patience(settings.hold, Duration.ofSeconds(20)),
            settings.limits,
            registry,
            time);
    made.add(proxy);
    proxy.start();
    return this;
  }

  MetadataProxy proxy() {
    return proxy;
  }

  /** A pod at a loopback address that has a role. */
  Pod pod(String name, String address, String role) {
    Pod pod = withRole(FakeNode.pod("shop", name, address), role);
    node.put(pod);
    return pod;
  }

  static Pod withRole(Pod pod, String role) {
    return FakeNode.annotated(pod, RolePolicy.ROLE, role);
  }

  /** The status of the listing, and the role's name. */
  String roleOf(String source) throws IOException {
    Response response = ask(source, "GET", LISTING);
    return response.status() + " " + response.body().strip();
  }

  PodClient client(String source) throws IOException {
    return new PodClient(source, proxy.address());
  }

  Response ask(String source, String method, String path, String... headers) throws IOException {
    try (var client = client(source)) {
      return client.send(method, path, headers);
    }
  }

  double requests(String outcome) {
    Double value =
        registry.getSampleValue(
            "nodeward_metadata_requests_total", new String[] {"outcome"}, new String[] {outcome});
    return value == null ? 0 : value;
  }

  /** Something that becomes true. */
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

  private Optional<String> page(String path) throws IOException {
    instanceAsked.add(path);
    if (instanceDown) {
      throw new IOException("instance metadata: no answer");
    }
    return Optional.ofNullable(instance.get(path));
  }

  private TokenReviews.Verdict review(String token, String audience) throws IOException {
    reviewed.add(token);
    if (reviewsDown) {
      throw new IOException("review a ServiceAccount token: connection refused");
    }
    assertThat(audience).isEqualTo(AUDIENCE);
    return tokens.getOrDefault(token, new TokenReviews.Verdict.Refused("not known"));
  }

  @Override
  public void close() {
    made.forEach(MetadataProxy::close);
  }
}
