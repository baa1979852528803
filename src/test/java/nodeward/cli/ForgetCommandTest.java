package nodeward.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ForgetCommandTest {
  private static final String STOPPED =
      "status: Unknown, reason: AgentStopped, message: the agent on this node was stopped,"
          + " lastTransitionTime: '2026-01-01T00:00:00Z'}";

  @TempDir private Path directory;
  private DrainScene scene;

  @BeforeEach
  void open() throws IOException {
    scene = new DrainScene(directory);
  }

  @AfterEach
  void close() throws IOException {
    scene.close();
  }

  @Test
  void everyMarkOfTheAgentGoesAndWhatOthersPutThereStays() throws IOException {
    scene.api.delete("nodes", "", DrainScene.NODE);
    scene.api.put(
        """
        kind: Node
        metadata:
          name: node
          labels: {team: shop, node.kubernetes.io/exclude-from-external-load-balancers: nodeward}
          annotations: {team/contact: shop, nodeward.dev/gate: '{}', nodeward.dev/drain: 'odd'}
        spec:
          taints:
          - {key: team, value: gpu, effect: NoSchedule}
          - {key: readiness.k8s.io/nodeward, value: pending, effect: NoSchedule}
          - {key: nodeward.dev/terminating, value: spot, effect: NoSchedule}
        status:
          conditions:
          - {type: Ready, status: 'True', reason: KubeletReady}
          - {type: KubeletUnhealthy, status: 'False', reason: KubeletIsHealthy}
          - {type: ConntrackPressure, %1$s
          - {type: ReadinessGateClosed, %1$s
        """
            .formatted(STOPPED));

    var ended = forget();

    assertThat(ended.err()).isEmpty();
    assertThat(ended.code()).isZero();
    JsonNode node = scene.api.get("nodes", "", DrainScene.NODE).orElseThrow();
    assertThat(node.at("/spec/taints").findValuesAsText("key")).containsExactly("team");
    assertThat(node.at("/metadata/annotations").fieldNames())
        .toIterable()
        .containsExactly("team/contact");
    assertThat(node.at("/metadata/labels").fieldNames()).toIterable().containsExactly("team");
    assertThat(node.at("/status/conditions").findValuesAsText("type"))
        .containsExactlyInAnyOrder("Ready", "KubeletUnhealthy");
    assertThat(ended.out())
        .contains(
            "node/node without taint nodeward.dev/terminating=spot:NoSchedule",
            "node/node without annotation nodeward.dev/gate",
            "node/node without condition ConntrackPressure");
  }

  @Test
  void aCordonOfSomebodyElseStays() {
    scene.unschedulable(DrainScene.NODE, true);

    var ended = forget();

    assertThat(ended.code()).isZero();
    assertThat(ended.out()).containsExactly("node/node carries no marks of the agent");
    assertThat(scene.unschedulable()).isTrue();
    assertThat(scene.requests("PATCH", "")).isEmpty();
  }

  @Test
  void theCordonOfAPlanOfTheAgentGoes() throws IOException {
    String plan =
        """
        {"version": 1, "node": "node", "state": "draining", "cordonedBy": "nodeward",
         "since": "2026-01-01T00:00:00Z", "deadline": "2026-01-01T00:02:00Z",
         "notices": [{"kind": "spot", "id": "s", "detail": "", "at": "2026-01-01T00:02:00Z"}]}
        """;
    scene.api.edit(
        "nodes",
        "",
        DrainScene.NODE,
        n -> n.withObject("/metadata").withObject("/annotations").put("nodeward.dev/drain", plan));
    scene.unschedulable(DrainScene.NODE, true);

    var ended = forget();

    assertThat(ended.out()).contains("node/node without cordon");
    assertThat(scene.unschedulable()).isFalse();
  }

  @Test
  void aNodeThatIsGoneNeedsNothing() {
    scene.api.delete("nodes", "", DrainScene.NODE);

    var ended = forget();

    assertThat(ended.code()).isZero();
    assertThat(ended.out()).containsExactly("node/node does not exist: nothing to forget");
  }

  @Test
  void whileTheAgentRunsItRefuses() throws IOException {
    Path socket = directory.resolve("control.sock");
    Path config =
        Files.writeString(
            directory.resolve("config.yaml"), "control: {socket: %s}".formatted(socket));
    try (var agent = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      agent.bind(UnixDomainSocketAddress.of(socket));
      Thread.ofVirtual().start(() -> answer(agent));

      var ended =
          scene.run("forget", "--node-name", DrainScene.NODE, "--config", config.toString());

      assertThat(ended.code()).isEqualTo(Cli.FAILED);
      assertThat(ended.err()).singleElement().asString().contains("stop it first");
    }
    assertThat(scene.requests("PATCH", "")).isEmpty();
  }

  private DrainScene.Ended forget() {
    return scene.run("forget", DrainScene.NODE, "--config", emptyConfig().toString());
  }

  private Path emptyConfig() {
    try {
      return Files.writeString(
          directory.resolve("empty.yaml"),
          "control: {socket: %s}".formatted(directory.resolve("nobody.sock")));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void answer(ServerSocketChannel agent) {
    try (var asked = agent.accept()) {
      asked.read(ByteBuffer.allocate(4096));
      asked.write(
          ByteBuffer.wrap(
              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                  .getBytes(StandardCharsets.UTF_8)));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }
}
