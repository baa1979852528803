package nodeward.e2e;

import static nodeward.e2e.TerminationScene.SOON;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Map;
import java.util.Optional;
import nodeward.LastDrain;
import nodeward.aws.FakeImds;
import nodeward.cluster.ControlPlane;
import nodeward.config.ConfigReader;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** The API server goes away while the node does; each test ends a control plane of its own. */
@Tag("e2e")
final class TerminationOutageE2eTest {
  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private TerminationScene scene;

  @BeforeEach
  void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"), ControlPlane.Part.KWOK);
    AgentIdentity.grant(plane);
  }

  @AfterEach
  void stop() {
    if (scene != null) {
      scene.close();
    }
    if (plane != null) {
      plane.close();
    }
  }

  @Test
  void theHookIsCompletedAtTheDeadlineThoughTheApiServerIsAwayFromNoticeToDeadline()
      throws Exception {
    scene = new TerminationScene(plane, directory, "autoScaling: {deadline: 12s}");
    scene.pods(1).start();
    plane.killApiServer();
    Instant begun = Instant.now();
    scene.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);

    scene.imds.targetState("Terminated");
    scene.agent.await("the hook is completed", SOON, () -> scene.completions().size() == 1);

    assertThat(Instant.now()).isAfter(begun.plusSeconds(11));
    assertThat(scene.completions()).containsExactly("CONTINUE");
    assertThat(scene.autoScaling.heartbeats()).isNotEmpty();
  }

  @Test
  void anApiServerThatComesBackBeforeTheDeadlineFindsTheNodeDrained() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(2).start();
    plane.killApiServer();
    scene.imds.spotNotice("terminate", Instant.now().plusSeconds(120));
    scene.awaitState("noticed");
    scene.awaitLooks(5);

    plane.startApiServer();

    scene.awaitNoPods();
    scene.awaitState("completed");
    assertThat(scene.cordoned()).isTrue();
  }

  /** What the drain's unit does at a shutdown when no daemon answers, and the boot after it. */
  @Test
  void withoutADaemonTheLastDrainIsTheSameAndTheNextBootUndoesIt() throws Exception {
    scene = new TerminationScene(plane, directory, "").pods(2);
    var config =
        ConfigReader.read(Optional.of(scene.directory.resolve("config.yaml")), Map.of(), Map.of());
    var told = new ArrayList<String>();

    LastDrain.run(config, "e2e", Map.of(), Instant.now().plusSeconds(60), told::add);

    assertThat(told).contains("draining");
    assertThat(scene.podsLeft()).isZero();
    assertThat(scene.cordoned()).isTrue();
    assertThat(scene.taints()).contains("nodeward.dev/terminating=shutdown:NoSchedule");
    scene.boot("11111111-2222-4333-8444-000000000002");
    scene.agent.start();
    scene.awaitAsBefore();
    scene.awaitState("in service");

    PackagedAgent.Ended noShutdown = scene.agent.run("drain", "--on-shutdown");
    assertThat(noShutdown.code()).isZero();
    assertThat(noShutdown.out().toString()).contains("nothing is drained");
    assertThat(scene.cordoned()).isFalse();
  }
}
