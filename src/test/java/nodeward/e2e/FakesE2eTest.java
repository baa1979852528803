package nodeward.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import nodeward.aws.FakeAutoScaling;
import nodeward.aws.FakeImds;
import nodeward.cluster.ControlPlane;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Our fakes of AWS as a client sees them that nobody here wrote: boto3, from its package. */
@Tag("e2e")
final class FakesE2eTest {
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final String NONE =
      "ValidationError: No active Lifecycle Action found with instance ID " + FakeImds.INSTANCE_ID;

  @Test
  void boto3FindsWhatItKnowsOfAws() throws Exception {
    try (FakeImds imds = FakeImds.start();
        FakeAutoScaling autoScaling =
            FakeAutoScaling.start()
                .hook(
                    "workers",
                    "drain",
                    FakeAutoScaling.Transition.TERMINATING,
                    Duration.ofMinutes(5))
                .hookMetadata("workers", "drain", "nodeward")
                .instance("workers", FakeImds.INSTANCE_ID)) {
      Process boto = start(imds, autoScaling);
      try (BufferedReader out = boto.inputReader(StandardCharsets.UTF_8);
          var in = boto.outputWriter(StandardCharsets.UTF_8)) {
        metadata(JSON.readTree(out.readLine()));
        group(JSON.readTree(out.readLine()));
        autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID).throttle(1);
        in.write("\n");
        in.flush();
        JsonNode over = JSON.readTree(out.readLine());
        assertThat(over.path("state").asText()).isEqualTo("Terminating:Wait");
        assertThat(over.path("heartbeat").asInt()).isEqualTo(200);
        assertThat(over.path("completed").asInt()).isEqualTo(200);
        assertThat(over.path("again").asText()).isEqualTo(NONE);

        autoScaling.grace("workers", Duration.ofHours(1)).instance("workers", FakeImds.INSTANCE_ID);
        in.write("\n");
        in.flush();
        JsonNode health = JSON.readTree(out.readLine());
        assertThat(health.path("kept").asInt()).isEqualTo(200);
        assertThat(health.path("healthy").asText()).isEqualTo("HEALTHY InService");
        assertThat(health.path("marked").asInt()).isEqualTo(200);
        assertThat(health.path("graced").asText()).isEqualTo("HEALTHY InService");
        assertThat(health.path("insisted").asInt()).isEqualTo(200);
        assertThat(health.path("unhealthy").asText()).isEqualTo("UNHEALTHY Terminating:Wait");

        autoScaling.deny("SetInstanceHealth");
        in.write("\n");
        in.flush();
        assertThat(JSON.readTree(out.readLine()).path("denied").asText())
            .startsWith("AccessDenied: User: arn:aws:sts::")
            .contains(" is not authorized to perform: autoscaling:SetInstanceHealth ");
      } finally {
        boto.destroyForcibly();
      }
    }
  }

  private static void metadata(JsonNode found) {
    assertThat(found.path("role").asText()).isEqualTo(FakeImds.NODE_ROLE);
    assertThat(found.path("key").asText()).isEqualTo(FakeImds.NODE_ACCESS_KEY);
    assertThat(found.path("region").asText()).isEqualTo(FakeImds.REGION);
    assertThat(found.path("noTtl").asInt()).isEqualTo(400);
    assertThat(found.path("badTtl").asInt()).isEqualTo(400);
    assertThat(found.path("forwarded").asInt()).isEqualTo(403);
    assertThat(found.path("noToken").asInt()).isEqualTo(401);
    assertThat(found.path("wrongToken").asInt()).isEqualTo(401);
    assertThat(found.path("left").asInt()).isBetween(1, 60);
    assertThat(found.path("date").asText()).endsWith(" GMT");
    assertThat(found.path("spot").asInt()).isEqualTo(404);
  }

  private static void group(JsonNode found) {
    assertThat(found.path("instances")).hasSize(1);
    assertThat(found.at("/instances/0/AutoScalingGroupName").asText()).isEqualTo("workers");
    assertThat(found.at("/instances/0/LifecycleState").asText()).isEqualTo("InService");
    assertThat(found.at("/hooks/0/LifecycleTransition").asText())
        .isEqualTo("autoscaling:EC2_INSTANCE_TERMINATING");
    assertThat(found.at("/hooks/0/HeartbeatTimeout").asInt()).isEqualTo(300);
    assertThat(found.at("/hooks/0/GlobalTimeout").asInt()).isEqualTo(30_000);
    assertThat(found.at("/hooks/0/NotificationMetadata").asText()).isEqualTo("nodeward");
    assertThat(found.path("early").asText()).isEqualTo(NONE);
    assertThat(found.path("noGroup").asText()).startsWith("ValidationError: AutoScalingGroup");
    assertThat(found.path("noHook").asText()).startsWith("ValidationError: No lifecycle hook");
    assertThat(found.path("nobody").asText())
        .isEqualTo(
            "ValidationError: Instance Id not found - No managed instance found for instance ID:"
                + " i-0000000000000000f");
    assertThat(found.path("badHealth").asText()).startsWith("ValidationError: ");
    assertThat(found.path("badResult").asText()).startsWith("ValidationError: ");
    assertThat(found.path("badToken").asText())
        .startsWith("ValidationError: No active Lifecycle Action found with token");
  }

  private static Process start(FakeImds imds, FakeAutoScaling autoScaling)
      throws IOException, InterruptedException {
    Path base = Path.of(System.getProperty("nodeward.basedir", "."));
    Process build =
        ControlPlane.exec(
            new ProcessBuilder(base.resolve("src/test/sdk/fakes/build").toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT));
    String fakes;
    try (BufferedReader out = build.inputReader(StandardCharsets.UTF_8)) {
      fakes = out.readLine();
    }
    assertThat(build.waitFor()).isZero();
    return ControlPlane.exec(
        new ProcessBuilder(
                "python3",
                Path.of(fakes, "ask.py").toString(),
                imds.endpoint().toString(),
                autoScaling.endpoint().toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT));
  }
}
