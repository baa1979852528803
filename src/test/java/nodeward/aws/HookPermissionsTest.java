package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.time.Duration;
import nodeward.aws.FakeAutoScaling.Transition;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.termination.Permissions.Check;
import nodeward.termination.Permissions.Verdict;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class HookPermissionsTest {
  private FakeAws aws;
  private HookPermissions permissions;

  @BeforeEach
  void start() throws IOException {
    aws = new FakeAws(new FakeTime());
    aws.autoScaling
        .hook("workers", "drain", Transition.TERMINATING, Duration.ofMinutes(5))
        .instance("workers", FakeImds.INSTANCE_ID);
    permissions = permissions(HookPermissions.Extent.ALL);
  }

  private HookPermissions permissions(HookPermissions.Extent extent) {
    return new HookPermissions(
        aws.clients,
        aws.imds,
        new Config.Termination.AutoScaling(true, Duration.ofMinutes(15), "", "", "", false),
        extent);
  }

  @AfterEach
  void stop() {
    aws.close();
  }

  @Test
  void allRightsAreFoundWithoutTouchingAnAction() {
    aws.autoScaling.terminating(FakeImds.INSTANCE_ID).waiting(FakeImds.INSTANCE_ID);

    assertThat(permissions.check()).hasSize(4).allMatch(c -> c.verdict() == Verdict.GRANTED);

    assertThat(aws.autoScaling.state(FakeImds.INSTANCE_ID)).isEqualTo("Terminating:Wait");
    assertThat(aws.autoScaling.completions()).noneMatch(a -> a.outcome().equals("done"));
    assertThat(aws.autoScaling.heartbeats()).noneMatch(a -> a.outcome().equals("done"));
  }

  @Test
  void anAgentThatStartsOnlyReads() {
    assertThat(permissions(HookPermissions.Extent.READS).check())
        .extracting(Check::what)
        .containsExactly(
            "autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeLifecycleHooks");

    assertThat(aws.autoScaling.completions()).isEmpty();
    assertThat(aws.autoScaling.heartbeats()).isEmpty();
  }

  @Test
  void aRightThatIsDeniedIsMissing() {
    aws.autoScaling.refuse(1, 403, "AccessDenied", "not authorized to perform");

    assertThat(permissions.check())
        .containsExactly(
            new Check(
                "autoscaling:DescribeAutoScalingInstances",
                Verdict.MISSING,
                "allow it in the policy of the node's role"));
  }

  @Test
  void whatCannotBeAskedIsUnknown() {
    aws.autoScaling.fail(Integer.MAX_VALUE);

    assertThat(permissions.check())
        .singleElement()
        .satisfies(c -> assertThat(c.verdict()).isEqualTo(Verdict.UNKNOWN));
  }

  @Test
  void anInstanceOfNoGroupNeedsNoMore() {
    aws.autoScaling.terminated(FakeImds.INSTANCE_ID);

    assertThat(permissions.check())
        .extracting(Check::what)
        .containsExactly("autoscaling:DescribeAutoScalingInstances");
  }
}
