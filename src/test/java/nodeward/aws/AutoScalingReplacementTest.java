package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import nodeward.component.Time;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AutoScalingReplacementTest {
  private static final String ID = FakeImds.INSTANCE_ID;
  private static final String GROUP = "workers";

  private FakeAws aws;
  private FakeAutoScaling server;
  private AutoScalingReplacement replacement;

  @BeforeEach
  void start() throws IOException {
    aws = new FakeAws(Time.SYSTEM);
    server = aws.autoScaling;
    replacement = new AutoScalingReplacement(aws.clients, aws.imds);
  }

  @AfterEach
  void close() {
    aws.close();
  }

  @Test
  void theInstanceIsGivenUpByItsGroup() throws IOException {
    server
        .hook(GROUP, "drain", FakeAutoScaling.Transition.TERMINATING, Duration.ofMinutes(5))
        .instance(GROUP, "i-0aaaaaaaaaaaaaaaa")
        .instance(GROUP, ID);

    replacement.ask();

    assertThat(server.health(ID)).isEqualTo("UNHEALTHY");
    assertThat(server.state(ID)).isEqualTo("Terminating:Wait");
    assertThat(server.health("i-0aaaaaaaaaaaaaaaa")).isEqualTo("HEALTHY");
  }

  @Test
  void anInstanceThatGoesAlreadyMayBeMarkedOnceMore() throws IOException {
    server.instance(GROUP, ID);

    replacement.ask();
    replacement.ask();

    assertThat(server.calls("SetInstanceHealth")).isEqualTo(2);
  }

  @Test
  void theGracePeriodOfTheGroupIsRespectedAndTold() {
    server.grace(GROUP, Duration.ofMinutes(5)).instance(GROUP, ID);

    assertThatThrownBy(replacement::ask)
        .isInstanceOf(IOException.class)
        .hasMessage(
            "autoscaling: SetInstanceHealth instance=%s: it counts as healthy still, as one in the"
                + " grace period of its group does",
            ID);
    assertThat(server.state(ID)).isEqualTo("InService");
  }

  @Test
  void anInstanceOutsideAnyGroupIsToldByAws() {
    assertThatThrownBy(replacement::ask)
        .hasMessageContaining("SetInstanceHealth instance=" + ID + ": ValidationError (400): ")
        .hasMessageContaining("No managed instance found");
  }

  @Test
  void aMissingRightIsTold() {
    server.instance(GROUP, ID).refuse(1, 403, "AccessDenied", "not authorized");

    assertThatThrownBy(replacement::ask).hasMessageContaining("AccessDenied (403): not authorized");
  }
}
