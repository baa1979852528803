package nodeward.metadata;

import static nodeward.node.FakeNode.inPhase;
import static nodeward.node.FakeNode.terminating;
import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import nodeward.metadata.PodDirectory.Asker;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PodDirectoryTest {
  private static final Instant NOW = Instant.parse("2026-11-21T08:00:00Z");
  private final FakeNode node = new FakeNode("node-1").register();
  private final PodDirectory directory = new PodDirectory(node.asPods(), () -> {});

  @BeforeEach
  void start() {
    directory.start();
  }

  @Test
  void i1APodIsFoundByItsAddress() {
    Pod pod = FakeNode.pod("shop", "web", "10.0.0.5");
    node.put(pod);

    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Known(pod));
    assertThat(find("10.0.0.6")).isEqualTo(new Asker.Unknown());
  }

  @Test
  void i9APodIsFoundByBothOfItsAddresses() {
    Pod pod = withAddresses(FakeNode.pod("shop", "web", "10.0.0.5"), "10.0.0.5", "fd00::5");
    node.put(pod);

    assertThat(find("10.0.0.5")).isEqualTo(find("fd00::5")).isEqualTo(new Asker.Known(pod));
    assertThat(find("::ffff:10.0.0.5")).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i5AFinishedPodLeavesItsAddressToTheNextOne() {
    Pod done = FakeNode.pod("shop", "job", "10.0.0.5");
    node.put(inPhase(done, Pod.Phase.SUCCEEDED));
    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Unknown());

    Pod next = FakeNode.pod("shop", "web", "10.0.0.5");
    node.put(next);

    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Known(next));
  }

  @Test
  void i7OfTwoPodsTheTerminatingOneLoses() {
    Pod old = terminating(FakeNode.pod("shop", "old", "10.0.0.5"), NOW);
    Pod young = FakeNode.pod("shop", "young", "10.0.0.5");
    node.put(young);
    node.put(old);

    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Known(young));
  }

  @Test
  void i7TwoLivePodsGetNothing() {
    node.put(FakeNode.pod("shop", "one", "10.0.0.5"));
    Pod two = FakeNode.pod("shop", "two", "10.0.0.5");
    node.put(two);

    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Contested("shop/one shop/two"));

    node.remove(two);
    assertThat(find("10.0.0.5")).isInstanceOf(Asker.Known.class);
  }

  @Test
  void i8PodsOfTheHostNetworkAreNeverMatchedByAddress() {
    Pod host = onHostNetwork(FakeNode.pod("kube-system", "kube-proxy", "10.0.0.1"));
    node.put(host);
    assertThat(find("10.0.0.1")).isEqualTo(new Asker.Host());

    node.put(FakeNode.pod("shop", "liar", "10.0.0.1"));

    assertThat(find("10.0.0.1")).isEqualTo(new Asker.Host());
    assertThat(directory.pods()).extracting(Pod::name).containsExactly("liar");
  }

  @Test
  void i15ATerminatingPodIsServedUntilItIsGone() {
    Pod pod = terminating(FakeNode.pod("shop", "web", "10.0.0.5"), NOW);
    node.put(pod);
    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Known(pod));

    node.remove(pod);

    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Unknown());
  }

  @Test
  void theLastStateCountsWhileTheApiServerIsAway() {
    Pod pod = FakeNode.pod("shop", "web", "10.0.0.5");
    node.put(pod);

    node.watching(FakeNode.Watch.LOST);

    assertThat(find("10.0.0.5")).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i10AWaitEndsWhenThePodBecomesKnown() throws Exception {
    Pod pod = FakeNode.pod("shop", "web", "10.0.0.5");
    var asker =
        CompletableFuture.supplyAsync(
            () -> {
              try {
                return directory.await(InetAddress.ofLiteral("10.0.0.5"), Duration.ofSeconds(20));
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            });

    node.put(FakeNode.pod("shop", "other", "10.0.0.6"));
    node.put(pod);

    assertThat(asker.get(10, TimeUnit.SECONDS)).isEqualTo(new Asker.Known(pod));
  }

  @Test
  void i10AWaitEndsAtItsLimit() throws Exception {
    assertThat(directory.await(InetAddress.ofLiteral("10.0.0.5"), Duration.ofMillis(20)))
        .isEqualTo(new Asker.Unknown());
  }

  private Asker find(String address) {
    return directory.find(InetAddress.ofLiteral(address));
  }

  static Pod onHostNetwork(Pod p) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        p.phase(),
        p.addresses(),
        true,
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

  static Pod withAddresses(Pod p, String... addresses) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        p.phase(),
        List.of(addresses).stream().map(InetAddress::ofLiteral).toList(),
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
