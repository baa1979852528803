package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import nodeward.component.FakeTime;
import nodeward.conntrack.FakeFlows.Kind;
import nodeward.conntrack.Holders.By;
import nodeward.conntrack.Holders.Holder;
import nodeward.node.FakeNode;
import nodeward.node.Owner;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;

class FlowCountTest {
  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1");
  private final FakeFlows flows = new FakeFlows();
  private final FlowCount count = new FlowCount(flows, node.asPods(), time);

  @Test
  void aPodHoldsWhatItBeganAndWhatItAnswers() throws IOException {
    node.put(FakeNode.pod("shop", "cart", "10.2.0.7"));
    node.put(FakeNode.pod("shop", "web", "10.2.0.8"));
    flows.add(3, "10.2.0.7", "1.1.1.1", Kind.UNREPLIED);
    flows.add(2, "10.9.9.9", "10.3.0.1", "10.2.0.8", 80, Kind.TIME_WAIT); // DNAT to web
    flows.add(4, "10.0.0.1", "10.0.0.2", Kind.REPLIED);

    Holders holders = count.now();

    assertThat(holders.flows()).isEqualTo(9);
    assertThat(holders.unreplied()).isEqualTo(3);
    assertThat(holders.timeWait()).isEqualTo(2);
    assertThat(holders.by(By.POD))
        .containsExactly(
            new Holder("host", "host", 4, 0, 0, 0),
            new Holder("shop/cart", "shop/cart", 3, 0, 3, 0),
            new Holder("shop/web", "shop/web", 0, 2, 0, 2));
  }

  @Test
  void aFlowBetweenTwoPodsOfTheNodeCountsOnceForItsClient() throws IOException {
    node.put(FakeNode.pod("shop", "cart", "10.2.0.7"));
    node.put(FakeNode.pod("shop", "web", "10.2.0.8"));
    flows.add(5, "10.2.0.7", "10.2.0.8", Kind.REPLIED);

    assertThat(count.now().pods())
        .containsExactly(new Holder("shop/cart", "shop/cart", 5, 0, 0, 0));
  }

  @Test
  void podsOfBothFamiliesAreFound() throws IOException {
    Pod pod = FakeNode.pod("shop", "cart", "10.2.0.7");
    node.put(addressed(pod, "10.2.0.7", "fd00::7"));
    flows.add(1, "10.2.0.7", "1.1.1.1", Kind.REPLIED);
    flows.add(2, "fd00::7", "2606::1", Kind.REPLIED);

    assertThat(count.now().pods()).singleElement().extracting(Holder::flows).isEqualTo(3L);
    assertThat(count.now().destinations())
        .extracting(Holders.Destination::name)
        .containsExactly("[2606:0:0:0:0:0:0:1]:443/tcp", "1.1.1.1:443/tcp");
  }

  @Test
  void podsThatEndedOrShareTheNodesAddressOwnNothing() throws IOException {
    Pod job = FakeNode.pod("shop", "job", "10.2.0.7");
    node.put(FakeNode.inPhase(job, Pod.Phase.SUCCEEDED));
    node.put(FakeNode.pod("shop", "cart", "10.2.0.7")); // got the address after it
    node.put(FakeNode.pod("kube-system", "proxy", ""));
    flows.add(2, "10.2.0.7", "1.1.1.1", Kind.REPLIED);

    assertThat(count.now().pods()).extracting(Holder::name).containsExactly("shop/cart");
  }

  @Test
  void workloadsAreSummedUp() throws IOException {
    var replicas = new Owner("apps/v1", "ReplicaSet", "cart-7d4b9c", "rs", true);
    node.put(labelled(FakeNode.pod("shop", "cart-a", "10.2.0.7"), replicas, "7d4b9c"));
    node.put(labelled(FakeNode.pod("shop", "cart-b", "10.2.0.8"), replicas, "7d4b9c"));
    flows.add(1, "10.2.0.7", "1.1.1.1", Kind.REPLIED);
    flows.add(2, "10.2.0.8", "1.1.1.1", Kind.UNREPLIED);

    assertThat(count.now().by(By.WORKLOAD))
        .contains(new Holder("shop/cart", "shop/cart", 3, 0, 2, 0));
  }

  @Test
  void destinationsAreCounted() throws IOException {
    flows.add(7, "10.0.0.1", "10.3.0.10", "10.2.9.9", 53, Kind.UNREPLIED);
    flows.add(2, "10.0.0.1", "1.1.1.1", Kind.REPLIED);

    assertThat(count.now().destinations())
        .containsExactly(
            new Holders.Destination("10.3.0.10:53/tcp", 7, 0),
            new Holders.Destination("1.1.1.1:443/tcp", 2, 0));
  }

  @Test
  void aTornWalkIsRepeatedAndThenTakenAsItIs() throws IOException {
    flows.add(1, "10.0.0.1", "1.1.1.1", Kind.REPLIED);
    flows.tear(1);
    assertThat(count.now().torn()).isFalse();
    assertThat(count.now().flows()).isEqualTo(1);
    assertThat(flows.walks()).isEqualTo(2);

    time.advance(Duration.ofSeconds(2));
    flows.tear(9);
    assertThat(count.now().torn()).isTrue();
    assertThat(flows.walks()).isEqualTo(5);
  }

  @Test
  void whoAsksRightAfterAWalkGetsWhatItFound() throws IOException {
    count.now();
    count.now();
    assertThat(flows.walks()).isEqualTo(1);

    time.advance(Duration.ofSeconds(1));
    count.now();
    assertThat(flows.walks()).isEqualTo(2);
  }

  @Test
  void aFailureIsTheAskersAndTheNextWalkIsTried() throws IOException {
    flows.fail(new IOException("netlink: not permitted (EPERM)"));

    assertThatThrownBy(count::now).hasMessage("netlink: not permitted (EPERM)");
    assertThatThrownBy(count::now).hasMessage("netlink: not permitted (EPERM)");
    assertThat(flows.walks()).isEqualTo(2);
  }

  @Test
  void whatIsShownIsLimitedAndLeavesOutWhoHoldsNothing() throws IOException {
    node.put(FakeNode.pod("shop", "cart", "10.2.0.7"));
    node.put(FakeNode.pod("shop", "idle", "10.2.0.8"));
    flows.add(3, "10.2.0.7", "1.1.1.1", Kind.REPLIED);
    flows.add(1, "10.0.0.1", "1.1.1.1", Kind.REPLIED);

    assertThat((List<?>) count.now().shown(By.POD, 10).get("rows")).hasSize(2);
    assertThat(count.now().shown(By.POD, 1).get("rows"))
        .isEqualTo(
            List.of(
                Map.of(
                    "name", "shop/cart",
                    "flows", 3L,
                    "client", 3L,
                    "server", 0L,
                    "unreplied", 0L,
                    "timeWait", 0L)));
    assertThat(count.now().shown(By.DESTINATION, 10).get("rows"))
        .isEqualTo(List.of(Map.of("name", "1.1.1.1:443/tcp", "flows", 4L, "error", 0L)));
  }

  private static Pod addressed(Pod p, String... addresses) {
    return copy(p, p.owners(), p.labels(), List.of(addresses));
  }

  private static Pod labelled(Pod p, Owner owner, String hash) {
    var addresses = p.addresses().stream().map(InetAddress::getHostAddress).toList();
    return copy(p, List.of(owner), Map.of("pod-template-hash", hash), addresses);
  }

  private static Pod copy(
      Pod p, List<Owner> owners, Map<String, String> labels, List<String> addresses) {
    return new Pod(
        p.namespace(),
        p.name(),
        p.uid(),
        p.nodeName(),
        p.phase(),
        addresses.stream().map(InetAddress::ofLiteral).toList(),
        p.hostNetwork(),
        p.readySince(),
        p.deletion(),
        p.grace(),
        p.priority(),
        p.emptyDir(),
        p.serviceAccount(),
        owners,
        labels,
        p.annotations());
  }
}
