package nodeward.aws;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import nodeward.config.Config;
import nodeward.termination.Permissions;

/**
 * The node's rights at Auto Scaling: the Describe calls are made, and where all is to be tried a
 * heartbeat and a completion are sent for an action that does not exist, whose refusal tells
 * whether they would be allowed.
 */
public final class HookPermissions implements Permissions {
  private final InstanceHooks hooks;

  /** How far the rights are tried. */
  public enum Extent {
    /** Only reads: what an agent may do at each start on each node. */
    READS,
    /** A heartbeat and a completion of an action that does not exist too, when somebody asks. */
    ALL
  }

  private final Extent extent;

  public HookPermissions(
      AwsClients clients, Imds imds, Config.Termination.AutoScaling config, Extent extent) {
    this.extent = extent;
    var choice =
        new InstanceHooks.Choice(config.hookName(), config.hookPrefix(), config.hookMetadata());
    this.hooks = new InstanceHooks(clients, imds, InstanceHooks.Transition.TERMINATING, choice);
  }

  @Override
  public String name() {
    return "aws";
  }

  /** A call that is tried. */
  private interface Call<T> {
    T make() throws IOException;
  }

  @Override
  public List<Check> check() {
    var checks = new ArrayList<Check>();
    Optional<InstanceHooks.Membership> here =
        tried("autoscaling:DescribeAutoScalingInstances", checks, hooks::membership)
            .flatMap(m -> m);
    if (here.isEmpty()) {
      return checks;
    }
    String group = here.get().group();
    Optional<InstanceHooks.Hook> hook =
        tried("autoscaling:DescribeLifecycleHooks", checks, () -> hooks.hook(group))
            .flatMap(h -> h);
    if (hook.isPresent() && extent == Extent.ALL) {
      String name = hook.get().name();
      String nobody = UUID.randomUUID().toString();
      tried(
          "autoscaling:RecordLifecycleActionHeartbeat",
          checks,
          () -> hooks.heartbeatOf(group, name, nobody));
      tried(
          "autoscaling:CompleteLifecycleAction",
          checks,
          () -> hooks.completionOf(group, name, nobody));
    }
    return checks;
  }

  private static <T> Optional<T> tried(String action, List<Check> checks, Call<T> call) {
    try {
      T got = call.make();
      checks.add(new Check(action, Verdict.GRANTED, ""));
      return Optional.of(got);
    } catch (IOException e) {
      checks.add(failed(action, e));
      return Optional.empty();
    }
  }

  /** What the failure of an action tells of the right to it. */
  static Check failed(String action, IOException e) {
    String why = String.valueOf(e.getMessage());
    boolean denied = why.contains("AccessDenied") || why.contains("UnauthorizedOperation");
    return denied
        ? new Check(action, Verdict.MISSING, "allow it in the policy of the node's role")
        : new Check(action, Verdict.UNKNOWN, why);
  }
}
