package nodeward.metadata;

import static nodeward.node.FakeNode.annotated;
import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import nodeward.component.FakeTime;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What {@code agent explain} and the Events on pods say, through the whole proxy. */
class RoleExplainerTest {
  private static final String BASE = "arn:aws:iam::123456789012:role/";

  private final FakeTime time = new FakeTime();
  private final FakeNamespaces namespaces = new FakeNamespaces();
  private final FakeNode node = new FakeNode("node-1").register();
  private final FakeRoleCredentials sts = new FakeRoleCredentials(time);
  private final AtomicReference<Optional<String>> base = new AtomicReference<>(Optional.of(BASE));
  private final List<String> events = new CopyOnWriteArrayList<>();
  private final Pod web = FakeNode.pod("shop", "web", "10.0.0.5");
  private Optional<MetadataProxy> proxy = Optional.empty();
  private List<Address> container = List.of();

  @AfterEach
  void stop() {
    proxy.ifPresent(MetadataProxy::close);
  }

  @Test
  void aPodWithItsRoleIsToldHowItCameToIt() throws IOException {
    node.put(annotated(annotated(web, RolePolicy.ROLE, "reader"), RolePolicy.EXTERNAL_ID, "hush"));
    start(false, "");

    SequencedMap<String, Object> steps = await("gets " + BASE + "reader");

    assertThat(steps)
        .containsEntry("pod", "shop/web, uid uid-shop-web, running")
        .containsEntry("address", List.of("10.0.0.5"))
        .containsEntry("annotation", "iam.amazonaws.com/role: reader")
        .containsEntry("base", BASE + " (instance profile)")
        .containsEntry("namespace", "not restricted")
        .containsEntry("role", BASE + "reader, listed as reader")
        .containsEntry("session", "shop.web, 60 min, external id given")
        .containsEntry("credentials", "held, they end at 2026-11-21T09:00:00Z");
    assertThat(steps.toString()).doesNotContain("hush", "secret", "token+");
    assertThat(steps.lastEntry().getKey()).isEqualTo("verdict");
  }

  @Test
  void whatHasNotHappenedYetIsSaid() throws IOException {
    base.set(Optional.empty());
    CountDownLatch latch = sts.hang();
    node.put(annotated(web, RolePolicy.ROLE, "reader"));
    start(false, "");

    assertThat(explain("shop", "web"))
        .containsEntry("base", "not known yet: instance metadata has not told the instance profile")
        .containsEntry("verdict", "gets nothing yet: the account of the node is not known yet");
    node.put(annotated(web, RolePolicy.ROLE, BASE + "reader"));
    await("gets " + BASE + "reader as soon as STS has answered");
    latch.countDown();
    await("gets " + BASE + "reader");
  }

  @Test
  void aPodThatIsNotHereAndOneOfALostWatch() throws IOException {
    start(false, "");

    assertThat(explain("shop", "web"))
        .containsEntry("verdict", "gets nothing here: no such pod is bound to this node");
    node.watching(FakeNode.Watch.LOST);
    assertThat(explain("shop", "web").get("verdict").toString()).startsWith("not known: ");
  }

  @Test
  void podsWithoutARole() throws IOException {
    node.put(web);
    node.put(annotated(FakeNode.pod("shop", "bad", "10.0.0.6"), RolePolicy.ROLE, "a b"));
    node.put(annotated(FakeNode.pod("shop", "empty", "10.0.0.7"), RolePolicy.ROLE, ""));
    start(false, "");

    assertThat(explain("shop", "web"))
        .containsEntry(
            "annotation", "iam.amazonaws.com/role is not there, and there is no default role")
        .containsEntry("verdict", "gets nothing: it has no role");
    assertThat(explain("shop", "bad").get("verdict").toString())
        .startsWith("gets nothing: iam.amazonaws.com/role \"a b\" is neither");
    assertThat(explain("shop", "empty"))
        .containsEntry("annotation", "iam.amazonaws.com/role is empty");
    poll(() -> !events.isEmpty());
    assertThat(events).hasSize(1).first().asString().startsWith("shop/bad RoleDenied ");
  }

  @Test
  void addressesThatAreNotThePodsOwn() throws IOException {
    node.put(annotated(web, RolePolicy.ROLE, "reader"));
    node.put(FakeNode.pod("shop", "twin", "10.0.0.5"));
    node.put(
        FakeNode.inPhase(
            annotated(FakeNode.pod("shop", "job", "10.0.0.9"), RolePolicy.ROLE, "reader"),
            Pod.Phase.SUCCEEDED));
    start(false, "");

    assertThat(explain("shop", "web"))
        .containsEntry(
            "address", List.of("10.0.0.5 is claimed by several pods: shop/web shop/twin"))
        .containsEntry("verdict", "gets nothing: its address is not its own alone, see above");
    assertThat(explain("shop", "job"))
        .containsEntry("address", List.of("10.0.0.9 is no pod's"))
        .containsEntry("verdict", "gets nothing: it has ended");
  }

  @Test
  void podsOfTheHostsNetworkAreToldOfTheirDoor() throws IOException {
    node.put(
        annotated(
            IdentityConformanceTest.onHostNetwork(FakeNode.pod("shop", "web", "10.0.0.1")),
            RolePolicy.ROLE,
            "reader"));
    start(false, "");

    assertThat(explain("shop", "web"))
        .containsEntry(
            "verdict",
            "gets nothing: on the host's network no pod is told from another by its address, and"
                + " metadata.container.listen is empty");

    stop();
    container = List.of(Address.parse("127.0.0.1:0"));
    start(false, "");
    assertThat(await("gets " + BASE + "reader"))
        .containsEntry(
            "asks", "the container credentials endpoint, with its ServiceAccount's token");
  }

  @Test
  void theNamespacesRuleIsTold() throws IOException {
    node.put(web);
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"other\"]"));
    start(true, "reader");

    assertThat(explain("shop", "web"))
        .containsEntry("annotation", "iam.amazonaws.com/role is not there: the default role reader")
        .containsEntry(
            "verdict",
            "gets nothing: namespace shop: iam.amazonaws.com/allowed-roles does not allow "
                + BASE
                + "reader");
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"reader\"]"));
    assertThat(await("gets " + BASE + "reader")).containsEntry("namespace", "shop allows the role");
    namespaces.lose("the API server is away");
    assertThat(explain("shop", "web"))
        .containsEntry("verdict", "gets nothing yet: the API server is away");
  }

  @Test
  void whatStsSaidIsToldHereAndNotInTheEvent() throws IOException {
    sts.deny("AccessDenied (403): node-role may not assume reader");
    node.put(annotated(web, RolePolicy.ROLE, "reader"));
    start(false, "");

    await("gets nothing: STS denies the role: AccessDenied (403): node-role may not assume reader");
    poll(() -> !events.isEmpty());
    assertThat(events)
        .containsExactly(
            "shop/web RoleNotAssumable role "
                + BASE
                + "reader does not exist, does not trust the role of this node, or wants another"
                + " external id");

    node.put(annotated(FakeNode.pod("shop", "next", "10.0.0.6"), RolePolicy.ROLE, BASE + "reader"));
    poll(() -> events.size() == 2);
    assertThat(events.getLast()).startsWith("shop/next RoleNotAssumable ");
  }

  @Test
  void anEventIsToldOnceForEachReasonAndAgainAfterHalfAnHour() {
    var teller =
        new RoleTeller((pod, type, reason, message) -> events.add(reason + " " + message), time);

    teller.denied(web, "a");
    teller.denied(web, "a");
    assertThat(events).hasSize(1);
    teller.denied(web, "b");
    assertThat(events).hasSize(2);
    time.advance(Duration.ofMinutes(29));
    teller.denied(web, "b");
    assertThat(events).hasSize(2);
    time.advance(Duration.ofMinutes(2));
    teller.denied(web, "b");
    assertThat(events).hasSize(3);
    teller.well(web);
    teller.denied(web, "b");
    assertThat(events).hasSize(4);
    teller.keep(List.of());
    teller.denied(web, "b");
    assertThat(events).hasSize(5);
  }

  private SequencedMap<String, Object> await(String verdict) {
    poll(() -> verdict.equals(explain("shop", "web").get("verdict")));
    return explain("shop", "web");
  }

  private void poll(java.util.function.BooleanSupplier holds) {
    Instant until = Instant.now().plusSeconds(20);
    while (!holds.getAsBoolean()) {
      assertThat(Instant.now()).as("%s, events %s", explain("shop", "web"), events).isBefore(until);
      LockSupport.parkNanos(Duration.ofMillis(10).toNanos());
    }
  }

  private SequencedMap<String, Object> explain(String namespace, String pod) {
    return proxy.orElseThrow().explain(namespace, pod);
  }

  private void start(boolean restricted, String defaultRole) throws IOException {
    var config =
        new Config.Metadata(
            true,
            Address.parse("127.0.0.1:0"),
            "",
            defaultRole,
            Duration.ofHours(1),
            Duration.ofMinutes(30),
            List.of(),
            List.of(),
            restricted,
            Config.Metadata.RestrictionFormat.GLOB,
            false,
            List.of(),
            false,
            new Config.Metadata.PodLimits(64, 32),
            new Config.Metadata.Container(container, "nodeward.dev"));
    var started =
        new MetadataProxy(
            config,
            new MetadataProxy.Ports(
                node.asPods(),
                new FakeSandboxes(),
                sts,
                base::get,
                namespaces,
                (pod, type, reason, message) ->
                    events.add(pod.fullName() + " " + reason + " " + message),
                path -> Optional.empty(),
                (token, audience) -> new TokenReviews.Verdict.Refused("not asked for here")),
            new CollectorRegistry(),
            time);
    proxy = Optional.of(started);
    started.start();
  }
}
