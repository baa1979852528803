package nodeward.e2e;

import static nodeward.e2e.TerminationScene.SOON;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import nodeward.cluster.ControlPlane;
import nodeward.component.Time;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/**
 * What stands on the Node of a real API server when the agent, the Node or the API server goes and
 * comes again; of a containerd that takes connections and never answers.
 */
@Tag("e2e")
final class ConditionsE2eTest {
  private static final String TYPE = "ContainerRuntimeUnhealthy";

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private static Path directory;

  private static ControlPlane plane;

  private TerminationScene scene;
  private Path socket;
  private ServerSocketChannel containerd;

  @BeforeAll
  static void startPlane() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"), ControlPlane.Part.KWOK);
    AgentIdentity.grant(plane);
  }

  @AfterAll
  static void stopPlane() {
    if (plane != null) {
      plane.close();
    }
  }

  @BeforeEach
  void begin() throws IOException {
    socket = Files.createTempDirectory(directory, "run").resolve("containerd.sock");
    listen();
    String runtime =
        """
        interval: 300ms, timeout: 1s, failures: 2, kubeletHealth: "", dockerPidFile: /nowhere,
          dockerUnit: "", containerdSocket: %s\
        """
            .formatted(socket);
    scene = new TerminationScene(plane, directory, Time.SYSTEM, "", runtime).start();
    await("True", "ContainerdUnhealthy");
  }

  @AfterEach
  void end() throws IOException {
    scene.close();
    containerd.close();
  }

  @Test
  void theNextAgentKeepsTheTimeOfAConditionThatIsAsItWas() throws Exception {
    Instant since = time("lastTransitionTime");
    // A killed agent tells nothing more, and the Event comes after the condition.
    scene.agent.await("the Event is told", SOON, () -> unhealthyEvents() == 1);
    scene.agent.kill();
    Instant killed = Instant.now();

    scene.agent.start();

    scene.agent.await(
        "the next agent has written", SOON, () -> time("lastHeartbeatTime").isAfter(killed));
    assertThat(time("lastTransitionTime")).isEqualTo(since);
    assertThat(condition().path("status").asText()).isEqualTo("True");
    assertThat(unhealthyEvents()).isOne();
  }

  private long unhealthyEvents() throws IOException {
    return scene.events().stream().filter(e -> e.startsWith("ContainerdUnhealthy: ")).count();
  }

  @Test
  void anAgentThatStopsLeavesNoOldTruthBehind() throws Exception {
    scene.agent.stop();

    assertThat(condition().path("status").asText()).isEqualTo("Unknown");
    assertThat(condition().path("reason").asText()).isEqualTo("AgentStopped");

    scene.agent.start();
    await("True", "ContainerdUnhealthy");
  }

  @Test
  void aNodeThatIsMadeAnewGetsThemAtOnce() throws Exception {
    String uid = scene.read().at("/metadata/uid").asText();

    plane.delete("/api/v1/nodes/" + scene.node);
    plane.addFakeNode(scene.node);

    await("True", "ContainerdUnhealthy");
    assertThat(scene.read().at("/metadata/uid").asText()).isNotEqualTo(uid);
  }

  @Test
  void anOutageOfTheApiServerEndsInOnePatchOfTheLastState() throws Exception {
    plane.killApiServer();
    close();
    awaitToldAs("Unknown NoContainerRuntime");
    listen();
    awaitToldAs("True ContainerdUnhealthy");
    close();
    awaitToldAs("Unknown NoContainerRuntime");
    int before = patches();

    plane.startApiServer();

    await("Unknown", "NoContainerRuntime");
    assertThat(patches() - before).isEqualTo(1);
    // Nothing was left to be written: the next change is the next patch.
    listen();
    await("True", "ContainerdUnhealthy");
    assertThat(patches() - before).isEqualTo(2);
  }

  // --- what a test does

  private void listen() throws IOException {
    containerd = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    containerd.bind(UnixDomainSocketAddress.of(socket));
  }

  private void close() throws IOException {
    containerd.close();
    Files.delete(socket);
  }

  private void await(String status, String reason) throws IOException {
    scene.agent.await(
        TYPE + " is " + status + " " + reason,
        SOON,
        () ->
            condition().path("status").asText().equals(status)
                && condition().path("reason").asText().equals(reason));
  }

  private void awaitToldAs(String beginning) throws IOException {
    scene.agent.await(
        "the agent says " + beginning,
        SOON,
        () -> scene.agent.part("conditions").path(TYPE).asText().startsWith(beginning));
  }

  private JsonNode condition() throws IOException {
    for (JsonNode condition : scene.read().at("/status/conditions")) {
      if (condition.path("type").asText().equals(TYPE)) {
        return condition;
      }
    }
    return scene.read().path("no such condition");
  }

  private Instant time(String field) throws IOException {
    return Instant.parse(condition().path(field).asText());
  }

  /** The agent's status patches of this Node that the API server took. */
  private int patches() throws IOException {
    return (int)
        plane.audit(AgentIdentity.USER_AGENT).stream()
            .filter(e -> e.verb().equals("patch") && e.subresource().equals("status"))
            .filter(e -> e.name().equals(scene.node) && e.code() == 200)
            .count();
  }
}
