package nodeward.drain;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Optional;
import nodeward.drain.Cordon.Outcome;
import nodeward.node.FakeNode;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import org.junit.jupiter.api.Test;

final class CordonTest {
  private final FakeNode node = new FakeNode("node-1");
  private final Cordon cordon = new Cordon(node);

  @Test
  void cordonsASchedulableNode() throws Exception {
    node.register();

    assertThat(cordon.cordon()).isEqualTo(Outcome.CHANGED);
    assertThat(node.current().map(NodeView::unschedulable)).contains(true);
  }

  @Test
  void writesNothingToANodeThatIsCordonedAlready() throws Exception {
    node.register();
    node.edit(NodeChange::cordoned);

    assertThat(cordon.cordon()).isEqualTo(Outcome.ALREADY);
    assertThat(node.changes).isEmpty();
  }

  @Test
  void uncordons() throws Exception {
    node.register();
    node.edit(NodeChange::cordoned);

    assertThat(cordon.uncordon()).isEqualTo(Outcome.CHANGED);
    assertThat(cordon.uncordon()).isEqualTo(Outcome.ALREADY);
    assertThat(node.current().map(NodeView::unschedulable)).contains(false);
  }

  @Test
  void anAbsentNodeIsTold() throws Exception {
    assertThat(cordon.cordon()).isEqualTo(Outcome.ABSENT);
  }

  @Test
  void decidesAnewWhenSomebodyElseWroteFirst() throws Exception {
    node.register();
    node.beforeNextChange(() -> node.edit(n -> n.withLabel("theirs", "1")));

    assertThat(cordon.cordon()).isEqualTo(Outcome.CHANGED);
    assertThat(node.current().map(NodeView::unschedulable)).contains(true);
    assertThat(node.current().map(n -> n.labels().get("theirs"))).contains("1");
  }

  @Test
  void somebodyElsesCordonInBetweenIsFound() throws Exception {
    node.register();
    node.beforeNextChange(() -> node.edit(NodeChange::cordoned));

    assertThat(cordon.cordon()).isEqualTo(Outcome.ALREADY);
  }

  @Test
  void givesUpOnANodeThatIsWrittenAllTheTime() {
    node.register();
    rewriteBeforeEachChange();

    assertThatThrownBy(cordon::cordon)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("node-1")
        .hasMessageContaining("modified");
  }

  @Test
  void aFailedRequestIsThrown() {
    node.register();
    node.failWith(Optional.of(new IOException("connection refused")));

    assertThatThrownBy(cordon::cordon).hasMessage("connection refused");
  }

  @Test
  void onlyAFreshReadTellsThatNothingIsToBeDone() {
    node.register();
    node.edit(NodeChange::cordoned);
    node.failWith(Optional.of(new IOException("connection refused")));

    assertThatThrownBy(cordon::cordon).hasMessage("connection refused");
  }

  private void rewriteBeforeEachChange() {
    node.beforeNextChange(
        () -> {
          node.edit(n -> n.withLabel("theirs", String.valueOf(System.nanoTime())));
          rewriteBeforeEachChange();
        });
  }
}
