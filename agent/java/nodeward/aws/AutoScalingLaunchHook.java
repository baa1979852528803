package nodeward.aws;

import java.io.IOException;
import java.util.Optional;
import java.util.Set;
import nodeward.readiness.LaunchHook;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The launch hook of this instance at Auto Scaling. The group's hooks are asked for only while the
 * instance is on its way into service or into the warm pool, or rests there. Called by the loop of
 * the launch alone.
 *
 * <p>Protocol: "Use lifecycle hooks with a warm pool" in the EC2 Auto Scaling user guide.
 */
public final class AutoScalingLaunchHook implements LaunchHook {
  private static final Logger log = LoggerFactory.getLogger(AutoScalingLaunchHook.class);
  private static final Set<String> AHEAD = Set.of("Pending", "Warmed:Pending");
  private static final String WARM = "Warmed:";
  private static final Set<String> WAITING = Set.of("Pending:Wait", WARM + "Pending:Wait");
  private static final Set<String> RESTING =
      Set.of(WARM + "Pending:Proceed", WARM + "Running", WARM + "Stopped", WARM + "Hibernated");
  private static final String TARGET = "/latest/meta-data/autoscaling/target-lifecycle-state";

  private final InstanceHooks hooks;
  private final Imds imds;

  /** An empty {@code hookName} means the group's only launch hook. */
  public AutoScalingLaunchHook(AwsClients clients, Imds imds, String hookName) {
    this.imds = imds;
    this.hooks = new InstanceHooks(clients, imds, InstanceHooks.Transition.LAUNCHING, hookName);
  }

  @Override
  public Standing standing() throws IOException {
    Optional<InstanceHooks.Membership> here = hooks.membership();
    if (here.isEmpty()) {
      return new Standing.Nothing("the instance is in no Auto Scaling group");
    }
    String group = here.get().group();
    String state = here.get().lifecycleState();
    if (!AHEAD.contains(state) && !WAITING.contains(state) && !RESTING.contains(state)) {
      return new Standing.Nothing("the instance is %s in group %s".formatted(state, group));
    }
    Optional<InstanceHooks.Hook> hook = hooks.hook(group);
    if (hook.isEmpty()) {
      return new Standing.Nothing("group %s has no launch hook".formatted(group));
    }
    if (RESTING.contains(state)) {
      return new Standing.Resting(state);
    }
    Into into = state.startsWith(WARM) ? Into.WARM_POOL : Into.SERVICE;
    return WAITING.contains(state)
        ? new Standing.Waiting(group, hook.get().name(), hook.get().heartbeatTimeout(), into)
        : new Standing.NotYet(state);
  }

  @Override
  public boolean isResting() throws IOException {
    return imds.get(TARGET).filter(state -> state.strip().startsWith(WARM)).isPresent();
  }

  @Override
  public void heartbeat(Standing.Waiting waiting) throws IOException {
    hooks.heartbeat(waiting.group(), waiting.hook()).ifPresent(why -> over(waiting, why));
  }

  @Override
  public void complete(Standing.Waiting waiting, Result result) throws IOException {
    hooks
        .complete(waiting.group(), waiting.hook(), result.name())
        .ifPresent(why -> over(waiting, why));
  }

  private static void over(Standing.Waiting waiting, String why) {
    log.debug("autoscaling: no action of hook={} is active why=\"{}\"", waiting.hook(), why);
  }
}
