package nodeward.aws;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import nodeward.termination.LifecycleHook;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.autoscaling.model.AutoScalingInstanceDetails;

/**
 * The termination hook of this instance at Auto Scaling: the configured one, else the group's only
 * one, since hooks of others must not be completed. Called by the loop of the termination alone,
 * after a notice; nothing is asked before. Several hooks without a configured name are an {@link
 * IOException} that names them and the key to set.
 */
public final class AutoScalingHook implements LifecycleHook {
  private static final String TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING";
  private static final String KEY = "termination.autoScaling.hookName";
  private static final Duration DEFAULT_HEARTBEAT = Duration.ofHours(1);
  private static final Duration MOST_GLOBAL = Duration.ofDays(2);

  private final AwsClients clients;
  private final Imds imds;
  private final String hookName;
  private Optional<String> instanceId = Optional.empty();
  private Optional<Hook> found = Optional.empty();

  /** An empty {@code hookName} means the group's only termination hook. */
  public AutoScalingHook(AwsClients clients, Imds imds, String hookName) {
    this.clients = clients;
    this.imds = imds;
    this.hookName = hookName;
  }

  @Override
  public Standing standing() throws IOException {
    Optional<AutoScalingInstanceDetails> instance = describeInstance();
    if (instance.isEmpty()) {
      return new Standing.NoGroup();
    }
    String group = instance.get().autoScalingGroupName();
    String state = instance.get().lifecycleState();
    if (group == null || state == null) {
      throw new IOException(
          "autoscaling: DescribeAutoScalingInstances instance="
              + instanceId()
              + ": the answer names no group or no state");
    }
    Optional<Hook> hook = found.filter(h -> h.group().equals(group));
    if (hook.isEmpty()) {
      hook = choose(group, terminationHooks(group));
      found = hook;
    }
    return hook.isPresent()
        ? new Standing.Hooked(hook.get(), state)
        : new Standing.NoHook(group, state);
  }

  @Override
  public Answer heartbeat(Hook hook) throws IOException {
    String instance = instanceId();
    return answer(
        "RecordLifecycleActionHeartbeat",
        hook,
        () ->
            clients
                .autoScaling()
                .recordLifecycleActionHeartbeat(
                    r ->
                        r.autoScalingGroupName(hook.group())
                            .lifecycleHookName(hook.name())
                            .instanceId(instance)));
  }

  @Override
  public Answer complete(Hook hook) throws IOException {
    String instance = instanceId();
    return answer(
        "CompleteLifecycleAction",
        hook,
        () ->
            clients
                .autoScaling()
                .completeLifecycleAction(
                    r ->
                        r.autoScalingGroupName(hook.group())
                            .lifecycleHookName(hook.name())
                            .instanceId(instance)
                            .lifecycleActionResult("CONTINUE")));
  }

  /** A call of the SDK. */
  @FunctionalInterface
  private interface Call {
    Object send() throws IOException;
  }

  private Answer answer(String operation, Hook hook, Call call) throws IOException {
    String what =
        "autoscaling: %s group=%s hook=%s instance=%s"
            .formatted(operation, hook.group(), hook.name(), instanceId());
    try {
      call.send();
      return new Answer.Done();
    } catch (AwsServiceException e) {
      String why = AwsClients.why(e);
      if (why.toLowerCase(Locale.ROOT).contains("no active lifecycle action")) {
        return new Answer.NoAction(why);
      }
      if (AwsClients.code(e).equals("ValidationError")) {
        // The hook or the group is not what it was: the next standing() asks again.
        found = Optional.empty();
      }
      throw clients.failed(what, e);
    } catch (SdkException e) {
      throw clients.failed(what, e);
    }
  }

  private Optional<AutoScalingInstanceDetails> describeInstance() throws IOException {
    String instance = instanceId();
    try {
      return clients
          .autoScaling()
          .describeAutoScalingInstances(r -> r.instanceIds(instance))
          .autoScalingInstances()
          .stream()
          .filter(i -> instance.equals(i.instanceId()))
          .findFirst();
    } catch (SdkException e) {
      throw clients.failed("autoscaling: DescribeAutoScalingInstances instance=" + instance, e);
    }
  }

  private List<Hook> terminationHooks(String group) throws IOException {
    try {
      return clients
          .autoScaling()
          .describeLifecycleHooks(r -> r.autoScalingGroupName(group))
          .lifecycleHooks()
          .stream()
          .filter(h -> TERMINATING.equals(h.lifecycleTransition()))
          .map(h -> hook(group, h.lifecycleHookName(), h.heartbeatTimeout(), h.globalTimeout()))
          .toList();
    } catch (SdkException e) {
      throw clients.failed("autoscaling: DescribeLifecycleHooks group=" + group, e);
    }
  }

  private static Hook hook(
      String group, String name, @Nullable Integer heartbeat, @Nullable Integer global) {
    Duration beat = heartbeat == null ? DEFAULT_HEARTBEAT : Duration.ofSeconds(heartbeat);
    Duration hundred = beat.multipliedBy(100);
    Duration most = hundred.compareTo(MOST_GLOBAL) < 0 ? hundred : MOST_GLOBAL;
    return new Hook(group, name, beat, global == null ? most : Duration.ofSeconds(global));
  }

  private Optional<Hook> choose(String group, List<Hook> hooks) throws IOException {
    List<String> names = hooks.stream().map(Hook::name).sorted().toList();
    if (!hookName.isEmpty()) {
      Optional<Hook> configured = hooks.stream().filter(h -> h.name().equals(hookName)).findFirst();
      if (configured.isEmpty()) {
        throw new IOException(
            "autoscaling: group=%s has no termination hook \"%s\" (%s); it has %s"
                .formatted(group, hookName, KEY, names));
      }
      return configured;
    }
    if (hooks.size() > 1) {
      throw new IOException(
          "autoscaling: group=%s has several termination hooks %s: set %s to the agent's own"
              .formatted(group, names, KEY));
    }
    return hooks.stream().findFirst();
  }

  private String instanceId() throws IOException {
    if (instanceId.isEmpty()) {
      instanceId = Optional.of(imds.instanceId());
    }
    return instanceId.get();
  }
}
