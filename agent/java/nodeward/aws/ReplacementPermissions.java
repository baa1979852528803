package nodeward.aws;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import nodeward.termination.Permissions;

/** Whether the node may have itself replaced, tried without being replaced. */
public final class ReplacementPermissions implements Permissions {
  private static final String LOOK = "autoscaling:DescribeAutoScalingInstances";
  private static final String MARK = "autoscaling:SetInstanceHealth";

  private final AutoScalingReplacement replacement;

  public ReplacementPermissions(AwsClients clients, Imds imds) {
    this.replacement = new AutoScalingReplacement(clients, imds);
  }

  @Override
  public String name() {
    return "aws";
  }

  @Override
  public List<Check> check() {
    Optional<String> unfit;
    try {
      unfit = replacement.unfit();
    } catch (IOException e) {
      return List.of(HookPermissions.failed(LOOK, e));
    }
    if (unfit.isPresent()) {
      return List.of(new Check(MARK, Verdict.UNKNOWN, unfit.get()));
    }
    try {
      replacement.rehearse();
      return List.of(new Check(MARK, Verdict.GRANTED, ""));
    } catch (IOException e) {
      return List.of(HookPermissions.failed(MARK, e));
    }
  }
}
