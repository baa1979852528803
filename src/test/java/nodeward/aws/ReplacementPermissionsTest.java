package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.time.Duration;
import nodeward.component.FakeTime;
import nodeward.termination.Permissions.Check;
import nodeward.termination.Permissions.Verdict;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ReplacementPermissionsTest {
  private static final String ID = FakeImds.INSTANCE_ID;
  private static final String GROUP = "workers";
  private static final String MARK = "autoscaling:SetInstanceHealth";

  private FakeAws aws;
  private ReplacementPermissions permissions;

  @BeforeEach
  void start() throws IOException {
    aws = new FakeAws(new FakeTime());
    permissions = new ReplacementPermissions(aws.clients, aws.imds);
  }

  @AfterEach
  void close() {
    aws.close();
  }

  @Test
  void theRightIsFoundAndTheInstanceStaysAsItWas() {
    // In its grace period too, in which Auto Scaling leaves out marks.
    aws.autoScaling.grace(GROUP, Duration.ofHours(1)).instance(GROUP, ID);

    assertThat(permissions.check()).containsExactly(new Check(MARK, Verdict.GRANTED, ""));

    assertThat(aws.autoScaling.health(ID)).isEqualTo("HEALTHY");
    assertThat(aws.autoScaling.state(ID)).isEqualTo("InService");
  }

  @Test
  void aRightThatIsDeniedIsMissing() {
    aws.autoScaling.instance(GROUP, ID).deny("SetInstanceHealth");

    assertThat(permissions.check())
        .containsExactly(
            new Check(MARK, Verdict.MISSING, "allow it in the policy of the node's role"));
  }

  @Test
  void withoutALookAtTheInstanceNothingIsTried() {
    aws.autoScaling.instance(GROUP, ID).deny("DescribeAutoScalingInstances");

    assertThat(permissions.check())
        .containsExactly(
            new Check(
                "autoscaling:DescribeAutoScalingInstances",
                Verdict.MISSING,
                "allow it in the policy of the node's role"));
    assertThat(aws.autoScaling.calls("SetInstanceHealth")).isZero();
  }

  @Test
  void anInstanceThatIsGivenUpIsNotMarkedAsHealthy() {
    aws.autoScaling
        .hook(GROUP, "drain", FakeAutoScaling.Transition.TERMINATING, Duration.ofMinutes(5))
        .instance(GROUP, ID)
        .unhealthy(ID);

    assertThat(permissions.check())
        .containsExactly(
            new Check(
                MARK,
                Verdict.UNKNOWN,
                "not tried on an instance that is Terminating:Wait and UNHEALTHY"));
    assertThat(aws.autoScaling.health(ID)).isEqualTo("UNHEALTHY");
  }

  @Test
  void anInstanceOfNoGroupCannotBeReplaced() {
    assertThat(permissions.check())
        .containsExactly(
            new Check(
                MARK, Verdict.UNKNOWN, "the instance is in no group, so nobody would replace it"));
  }
}
