package nodeward.readiness;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.node.FakeNode;
import nodeward.node.NodeChange;
import nodeward.node.Pod;
import nodeward.node.Taint;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

class GateKeeperTest {
  private static final Taint OURS = Taint.parse("readiness.k8s.io/nodeward=pending:NoSchedule");
  private static final Taint FOREIGN = Taint.parse("example.com/other=x:NoExecute");

  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1");
  private final CollectorRegistry registry = new CollectorRegistry();
  private final GateKeeper keeper =
      new GateKeeper(
          new Config.Gate(
              true, List.of(OURS), List.of(new Config.Gate.Require("kube-system", "kube-proxy"))),
          new Boot("boot-1", time.now()),
          node,
          node.asPods(),
          node,
          time,
          registry);
  private final Pod proxy = FakeNode.daemonPod("kube-system", "kube-proxy");

  @Test
  void opensOnceAndTellsIt() throws IOException {
    node.register(OURS);
    keeper.pass(time.now());
    assertThat(keeper.status()).containsEntry("state", "closed");
    assertThat(registry.getSampleValue("nodeward_gate_open")).isZero();

    node.put(FakeNode.ready(proxy, time.advance(Duration.ofSeconds(12))));
    keeper.pass(time.now());
    keeper.pass(time.advance(Duration.ofSeconds(1)));

    assertThat(node.changes).hasSize(1);
    assertThat(node.current().orElseThrow().taints()).isEmpty();
    assertThat(node.events)
        .containsExactly(
            "Normal NodeGateClosed Workloads are kept away until these are Ready:"
                + " kube-system/kube-proxy (no pod yet)",
            "Normal NodeGateOpened System pods are Ready 12 s after boot; workloads may come");
    assertThat(registry.getSampleValue("nodeward_gate_open")).isEqualTo(1);
    assertThat(
            registry.getSampleValue(
                "nodeward_gate_missing",
                new String[] {"daemonset"},
                new String[] {"kube-system/kube-proxy"}))
        .isZero();
  }

  @Test
  void aForeignTaintThatComesBetweenReadAndWriteSurvives() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    node.beforeNextChange(() -> node.edit(c -> c.withTaint(FOREIGN)));

    keeper.pass(time.now());

    assertThat(node.current().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void decidesNothingWhileAWatchIsLost() throws IOException {
    node.register();
    node.watching(FakeNode.Watch.LOST);

    keeper.pass(time.now());

    assertThat(node.changes).isEmpty();
    assertThat(keeper.status()).containsEntry("state", "unregistered");
  }

  @Test
  void aFailedWriteIsThrownAndTriedAgain() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    node.failWith(Optional.of(new IOException("API server is away")));

    assertThatThrownBy(() -> keeper.pass(time.now())).hasMessage("API server is away");
    assertThat(keeper.status()).doesNotContainEntry("state", "open");

    node.failWith(Optional.empty());
    keeper.pass(time.now());
    assertThat(keeper.status()).containsEntry("state", "open");
  }

  @Test
  void aRestartedAgentFindsTheGateOpenAndSaysNothing() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    keeper.pass(time.now());
    node.events.clear();

    var restarted =
        new GateKeeper(
            new Config.Gate(
                true, List.of(OURS), List.of(new Config.Gate.Require("kube-system", "kube-proxy"))),
            new Boot("boot-1", time.now()),
            node,
            node.asPods(),
            node,
            time,
            new CollectorRegistry());
    restarted.pass(time.advance(Duration.ofMinutes(5)));

    assertThat(restarted.status()).containsEntry("state", "open");
    assertThat(node.changes).hasSize(1);
    assertThat(node.events).isEmpty();
  }

  @Test
  void aPodThatComesUpUnderOurEyesCountsThoughTheClockWasWrong() throws IOException {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now().minusSeconds(90)));
    keeper.pass(time.now());
    assertThat(keeper.status().get("missing").toString()).contains("not Ready since this boot");

    node.put(proxy);
    keeper.pass(time.now());
    node.put(FakeNode.ready(proxy, time.now().minusSeconds(60)));
    keeper.pass(time.now());

    assertThat(keeper.status()).containsEntry("state", "open");
  }

  @Test
  void waitsForANodeThatIsNotRegisteredYetAndTellsItOnce() throws IOException {
    var told = new ListAppender<ILoggingEvent>();
    told.start();
    var logger = (Logger) LoggerFactory.getLogger(GateKeeper.class);
    logger.setLevel(Level.INFO);
    logger.addAppender(told);
    try {
      keeper.pass(time.now());
      keeper.pass(time.advance(Duration.ofSeconds(30)));
    } finally {
      logger.detachAppender(told);
    }
    assertThat(keeper.status()).containsEntry("state", "unregistered");
    assertThat(told.list)
        .extracting(ILoggingEvent::getFormattedMessage)
        .containsExactly("gate: node=node-1 is not registered");

    node.register(OURS);
    keeper.pass(time.now());
    assertThat(keeper.status()).containsEntry("state", "closed");
  }

  @Test
  void aNodeThatChangesDuringEveryWriteIsAFailureOfThePass() {
    node.register(OURS);
    node.put(FakeNode.ready(proxy, time.now()));
    var count = new int[1];
    race(count);

    assertThatThrownBy(() -> keeper.pass(time.now()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("changed during each of 5 writes");
    assertThat(count[0]).isEqualTo(5);
  }

  private void race(int[] count) {
    node.beforeNextChange(
        () -> {
          count[0]++;
          node.edit(c -> relabelled(c, count[0]));
          if (count[0] < 5) {
            race(count);
          }
        });
  }

  private static NodeChange relabelled(NodeChange change, int n) {
    return change.withLabel("round", Integer.toString(n));
  }
}
