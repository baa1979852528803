package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;
import nodeward.aws.FakeImds;
import nodeward.cluster.AuditEntry;
import nodeward.cluster.ControlPlane;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * What the agent with its usual intervals costs an API server on which nothing happens. It only
 * waits, so it runs beside the other tests.
 */
@Tag("e2e")
@Execution(ExecutionMode.CONCURRENT)
final class IdleE2eTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final Duration IDLE = Duration.ofMinutes(5);
  private static final int METADATA_REQUESTS_PER_MINUTE = 48;

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  private Path directory;

  private ControlPlane plane;
  private FakeImds imds;
  private HandMadeNode node;
  private PackagedAgent agent;

  @BeforeEach
  void start() throws IOException {
    plane = ControlPlane.start(directory.resolve("plane"));
    imds = FakeImds.start();
    node = new HandMadeNode(plane, "idle");
    AgentIdentity.grant(plane);
    int adminPort;
    int proxyPort;
    try (var one = new ServerSocket(0);
        var other = new ServerSocket(0)) {
      adminPort = one.getLocalPort();
      proxyPort = other.getLocalPort();
    }
    Path config =
        Files.writeString(
            directory.resolve("config.yaml"),
            """
            node: {name: %s}
            kubernetes: {kubeconfig: "%s"}
            aws: {metadataEndpoint: "%s"}
            metadata: {listen: "127.0.0.1:%d"}
            runtime:
              dockerSocket: %5$s/docker.sock
              dockerPidFile: %5$s/docker.pid
              containerdSocket: %5$s/containerd.sock
            admin: {listen: "127.0.0.1:%6$d"}
            control: {socket: %5$s/control.sock}
            state: {directory: %5$s/state}
            """
                .formatted(
                    node.name(),
                    plane.kubeconfig(AgentIdentity.USER, AgentIdentity.GROUPS),
                    imds.endpoint(),
                    proxyPort,
                    directory,
                    adminPort));
    agent = PackagedAgent.here(config, adminPort);
  }

  @AfterEach
  void stop() {
    if (agent != null) {
      agent.close();
    }
    if (imds != null) {
      imds.close();
    }
    if (plane != null) {
      plane.close();
    }
  }

  @Test
  void anIdleAgentHoldsTwoWatchesAndPollsNothing() throws IOException {
    node.register();
    node.bindKubeProxy();
    node.kubeProxyIsReady("True");
    agent.start();
    agent.await("the gate is open", SOON, () -> !node.isGated());
    agent.await(
        "both conditions are on the Node",
        SOON,
        () -> Stream.of("ConntrackPressure", "ContainerRuntimeUnhealthy").allMatch(this::isKnown));
    agent.await("ready", SOON, agent::isReady);
    agent.await(
        "the open gate is in its condition", SOON, () -> is("ReadinessGateClosed", "False"));
    agent.await("the gate's Event is sent", SOON, () -> events().contains("NodeGateOpened"));

    Instant from = Instant.now();
    Instant until = from.plus(IDLE);
    int metadataBefore = imds.requests();
    agent.await("time passes", IDLE.plus(SOON), () -> Instant.now().isAfter(until));
    int metadataRequests = imds.requests() - metadataBefore;

    // For a moment there is one less while it is opened anew.
    agent.await("two watches are open", SOON, () -> openWatches().size() == 2);
    assertThat(openWatches())
        .extracting(AuditEntry::uri)
        .satisfiesExactlyInAnyOrder(
            uri -> assertThat(uri).contains("/nodes?", "fieldSelector=metadata.name%3Didle&"),
            uri -> assertThat(uri).contains("/pods?", "fieldSelector=spec.nodeName%3Didle&"));
    List<AuditEntry> idle =
        plane.audit(AgentIdentity.USER_AGENT).stream()
            .filter(e -> e.received().isAfter(from) && e.received().isBefore(until))
            // Once for each start, within its first five minutes.
            .filter(e -> !e.resource().equals("selfsubjectaccessreviews"))
            .toList();
    // fabric8 opens each watch anew after 5 to 10 minutes; the heartbeat comes after 4 to 6.
    assertThat(idle)
        .extracting(e -> e.verb() + " " + e.resource() + "/" + e.subresource())
        .doesNotHaveDuplicates()
        .isSubsetOf("watch nodes/", "watch pods/", "patch nodes/status");

    assertThat(metadataRequests)
        .isLessThanOrEqualTo(Math.toIntExact(METADATA_REQUESTS_PER_MINUTE * IDLE.toMinutes()));
    assertThat(imds.connections()).isEqualTo(1);
  }

  private List<AuditEntry> openWatches() throws IOException {
    return plane.audit(AgentIdentity.USER_AGENT).stream()
        .filter(e -> e.verb().equals("watch") && e.stage() == AuditEntry.Stage.ResponseStarted)
        .toList();
  }

  private String events() throws IOException {
    return plane.get("/api/v1/namespaces/default/events").toString();
  }

  private boolean isKnown(String type) {
    return !status(type).isEmpty();
  }

  private boolean is(String type, String status) {
    return status(type).equals(status);
  }

  private String status(String type) {
    try {
      for (JsonNode condition : node.read().at("/status/conditions")) {
        if (condition.path("type").asText().equals(type)) {
          return condition.path("status").asText();
        }
      }
      return "";
    } catch (IOException e) {
      return "";
    }
  }
}
