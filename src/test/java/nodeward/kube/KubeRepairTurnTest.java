package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import nodeward.component.FakeTime;
import nodeward.runtime.RepairTurn.Answer.Denied;
import nodeward.runtime.RepairTurn.Answer.Granted;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KubeRepairTurnTest {
  @TempDir Path directory;
  private final FakeTime time = new FakeTime();
  private Scene scene;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory);
    scene.api.put("{kind: Namespace, metadata: {name: nodeward}}");
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void oneNodeAtATimeHasTheTurn() throws IOException {
    assertThat(turn("one").take(0.9)).isEqualTo(new Granted());
    assertThat(turn("two").take(0.9)).isEqualTo(new Denied("node one is being mended"));
    assertThat(turn("one").take(0.9)).isEqualTo(new Granted());

    turn("two").release(); // another's, which stays
    assertThat(turn("two").take(0.9)).isInstanceOf(Denied.class);
    turn("one").release();
    assertThat(turn("two").take(0.9)).isEqualTo(new Granted());
  }

  @Test
  void aTurnThatIsNotTakenAgainEndsAfterFifteenMinutes() throws IOException {
    turn("one").take(0);
    time.advance(Duration.ofMinutes(15));
    assertThat(turn("two").take(0)).isInstanceOf(Denied.class);

    time.advance(Duration.ofSeconds(1));
    assertThat(turn("two").take(0)).isEqualTo(new Granted());
  }

  @Test
  void withTooFewHealthyNodesItIsDeniedAndTheTurnGivenBack() throws IOException {
    node("one", "True", "True");
    for (int i = 0; i < 8; i++) {
      node("well-" + i, "True", "False");
    }
    node("sick", "True", "True");
    node("gone", "Unknown", "False");

    assertThat(turn("one").take(0.9))
        .isEqualTo(new Denied("only 80 % of the other nodes are healthy"));
    assertThat(turn("one").take(0.8)).isEqualTo(new Granted());
  }

  @Test
  void aNodeAloneMayMendItself() throws IOException {
    node("one", "True", "True");

    assertThat(turn("one").take(1)).isEqualTo(new Granted());
  }

  @Test
  void releasingWhatNobodyTookIsNothing() throws IOException {
    turn("one").release();

    assertThat(scene.api.requests()).extracting(r -> r.method()).containsOnly("GET");
  }

  @Test
  void withoutTheNamespaceItFails() throws IOException {
    var elsewhere = new KubeRepairTurn(scene.kube, "one", "nowhere", time);

    assertThatThrownBy(() -> elsewhere.take(0)).isInstanceOf(IOException.class);
  }

  private void node(String name, String ready, String unhealthy) {
    scene.api.put(
        """
        kind: Node
        metadata: {name: %s}
        status:
          conditions:
          - {type: Ready, status: "%s"}
          - {type: ContainerRuntimeUnhealthy, status: "%s"}
        """
            .formatted(name, ready, unhealthy));
  }

  private KubeRepairTurn turn(String node) {
    return new KubeRepairTurn(scene.kube, node, time);
  }
}
