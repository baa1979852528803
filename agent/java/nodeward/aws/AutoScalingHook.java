package nodeward.aws;

import java.io.IOException;
import java.util.Optional;
import nodeward.config.Config;
import nodeward.termination.LifecycleHook;

/**
 * The termination hook of this instance at Auto Scaling. Called by the loop of the termination
 * alone, after a notice; nothing is asked before.
 */
public final class AutoScalingHook implements LifecycleHook {
  private final InstanceHooks hooks;

  public AutoScalingHook(AwsClients clients, Imds imds, Config.Termination.AutoScaling config) {
    var choice =
        new InstanceHooks.Choice(config.hookName(), config.hookPrefix(), config.hookMetadata());
    this.hooks = new InstanceHooks(clients, imds, InstanceHooks.Transition.TERMINATING, choice);
  }

  @Override
  public Standing standing() throws IOException {
    Optional<InstanceHooks.Membership> here = hooks.membership();
    if (here.isEmpty()) {
      return new Standing.NoGroup();
    }
    String group = here.get().group();
    String state = here.get().lifecycleState();
    Optional<InstanceHooks.Hook> hook = hooks.hook(group);
    return hook.isPresent()
        ? new Standing.Hooked(hook(hook.get()), state)
        : new Standing.NoHook(group, state);
  }

  @Override
  public Answer heartbeat(Hook hook) throws IOException {
    return answer(hooks.heartbeat(hook.group(), hook.name()));
  }

  @Override
  public Answer complete(Hook hook, Result result) throws IOException {
    return answer(hooks.complete(hook.group(), hook.name(), result.name()));
  }

  private static Hook hook(InstanceHooks.Hook hook) {
    return new Hook(hook.group(), hook.name(), hook.heartbeatTimeout(), hook.globalTimeout());
  }

  private static Answer answer(Optional<String> noAction) {
    return noAction.isPresent() ? new Answer.NoAction(noAction.get()) : new Answer.Done();
  }
}
