package nodeward.aws;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.autoscaling.model.AutoScalingInstanceDetails;

/**
 * This instance at Auto Scaling, and the one lifecycle hook of its group that is the agent's: the
 * configured one, else the group's only one of the transition, since hooks of others must not be
 * completed. For one thread; asks nothing before the first call. Several hooks without a configured
 * name are an {@link IOException} that names them and the key to set.
 */
final class InstanceHooks {
  /** The end of an instance's life that hooks hold, and the key that names the agent's hook. */
  enum Transition {
    LAUNCHING("launch", "gate.launchHook.name"),
    TERMINATING("termination", "termination.autoScaling.hookName");

    private final String word;
    private final String key;

    Transition(String word, String key) {
      this.word = word;
      this.key = key;
    }

    private String text() {
      return "autoscaling:EC2_INSTANCE_" + name();
    }
  }

  /** The group of this instance, and its state there in AWS's word, also one we do not know. */
  record Membership(String group, String lifecycleState) {}

  record Hook(
      String group,
      String name,
      Duration heartbeatTimeout,
      Duration globalTimeout,
      String metadata) {}

  private static final Duration DEFAULT_HEARTBEAT = Duration.ofHours(1);
  private static final Duration MOST_GLOBAL = Duration.ofDays(2);

  private final AwsClients clients;
  private final Imds imds;
  private final Transition transition;
  private final Choice choice;
  private Optional<String> instanceId = Optional.empty();
  private Optional<Hook> found = Optional.empty();

  /** Which of a group's hooks is the agent's. Without any word it is the only one. */
  record Choice(String name, String prefix, String metadata) {
    static Choice named(String name) {
      return new Choice(name, "", "");
    }

    private boolean isOnly() {
      return name.isEmpty() && prefix.isEmpty() && metadata.isEmpty();
    }

    private boolean fits(Hook hook) {
      return (name.isEmpty() || hook.name().equals(name))
          && hook.name().startsWith(prefix)
          && (metadata.isEmpty() || hook.metadata().equals(metadata));
    }

    @Override
    public String toString() {
      return !prefix.isEmpty()
          ? "with prefix \"" + prefix + "\""
          : !metadata.isEmpty() ? "with that notification metadata" : "\"" + name + "\"";
    }
  }

  InstanceHooks(AwsClients clients, Imds imds, Transition transition, Choice choice) {
    this.clients = clients;
    this.imds = imds;
    this.transition = transition;
    this.choice = choice;
  }

  /** Asks each time; empty when the instance is in no group. */
  Optional<Membership> membership() throws IOException {
    String instance = instanceId();
    Optional<AutoScalingInstanceDetails> details;
    try {
      details =
          clients
              .autoScaling()
              .describeAutoScalingInstances(r -> r.instanceIds(instance))
              .autoScalingInstances()
              .stream()
              .filter(i -> instance.equals(i.instanceId()))
              .findFirst();
    } catch (SdkException e) {
      throw clients.failed("autoscaling: DescribeAutoScalingInstances instance=" + instance, e);
    }
    if (details.isEmpty()) {
      return Optional.empty();
    }
    String group = details.get().autoScalingGroupName();
    String state = details.get().lifecycleState();
    if (group == null || state == null) {
      throw new IOException(
          "autoscaling: DescribeAutoScalingInstances instance="
              + instance
              + ": the answer names no group or no state");
    }
    return Optional.of(new Membership(group, state));
  }

  /** The agent's hook of the group, asked for until there is one; empty when the group has none. */
  Optional<Hook> hook(String group) throws IOException {
    Optional<Hook> known = found.filter(h -> h.group().equals(group));
    if (known.isEmpty()) {
      known = choose(group, describe(group));
      found = known;
    }
    return known;
  }

  /** Why there is no action that could be kept alive; empty when it is kept alive now. */
  Optional<String> heartbeat(String group, String hook) throws IOException {
    String instance = instanceId();
    return act(
        "RecordLifecycleActionHeartbeat",
        group,
        hook,
        () ->
            clients
                .autoScaling()
                .recordLifecycleActionHeartbeat(
                    r ->
                        r.autoScalingGroupName(group)
                            .lifecycleHookName(hook)
                            .instanceId(instance)));
  }

  /** Why there is no action that could be completed; empty when it is completed now. */
  Optional<String> complete(String group, String hook, String result) throws IOException {
    String instance = instanceId();
    return act(
        "CompleteLifecycleAction",
        group,
        hook,
        () ->
            clients
                .autoScaling()
                .completeLifecycleAction(
                    r ->
                        r.autoScalingGroupName(group)
                            .lifecycleHookName(hook)
                            .instanceId(instance)
                            .lifecycleActionResult(result)));
  }

  /** A heartbeat for an action that does not exist; it is refused, but not for want of a right. */
  Optional<String> heartbeatOf(String group, String hook, String token) throws IOException {
    return act(
        "RecordLifecycleActionHeartbeat",
        group,
        hook,
        () ->
            clients
                .autoScaling()
                .recordLifecycleActionHeartbeat(
                    r ->
                        r.autoScalingGroupName(group)
                            .lifecycleHookName(hook)
                            .lifecycleActionToken(token)));
  }

  /** The same of a completion. */
  Optional<String> completionOf(String group, String hook, String token) throws IOException {
    return act(
        "CompleteLifecycleAction",
        group,
        hook,
        () ->
            clients
                .autoScaling()
                .completeLifecycleAction(
                    r ->
                        r.autoScalingGroupName(group)
                            .lifecycleHookName(hook)
                            .lifecycleActionToken(token)
                            .lifecycleActionResult("CONTINUE")));
  }

  /** A call of the SDK. */
  @FunctionalInterface
  private interface Call {
    Object send() throws IOException;
  }

  private Optional<String> act(String operation, String group, String hook, Call call)
      throws IOException {
    String what =
        "autoscaling: %s group=%s hook=%s instance=%s"
            .formatted(operation, group, hook, instanceId());
    try {
      call.send();
      return Optional.empty();
    } catch (AwsServiceException e) {
      String why = AwsClients.why(e);
      if (why.toLowerCase(Locale.ROOT).contains("no active lifecycle action")) {
        return Optional.of(why);
      }
      if (AwsClients.code(e).equals("ValidationError")) {
        // The hook or the group is not what it was: the next hook() asks again.
        found = Optional.empty();
      }
      throw clients.failed(what, e);
    } catch (SdkException e) {
      throw clients.failed(what, e);
    }
  }

  private List<Hook> describe(String group) throws IOException {
    try {
      return clients
          .autoScaling()
          .describeLifecycleHooks(r -> r.autoScalingGroupName(group))
          .lifecycleHooks()
          .stream()
          .filter(h -> transition.text().equals(h.lifecycleTransition()))
          .map(h -> hook(group, h))
          .toList();
    } catch (SdkException e) {
      throw clients.failed("autoscaling: DescribeLifecycleHooks group=" + group, e);
    }
  }

  private static Hook hook(
      String group, software.amazon.awssdk.services.autoscaling.model.LifecycleHook h) {
    Integer heartbeat = h.heartbeatTimeout();
    Integer global = h.globalTimeout();
    Duration beat = heartbeat == null ? DEFAULT_HEARTBEAT : Duration.ofSeconds(heartbeat);
    Duration hundred = beat.multipliedBy(100);
    Duration most = hundred.compareTo(MOST_GLOBAL) < 0 ? hundred : MOST_GLOBAL;
    String metadata = h.notificationMetadata() == null ? "" : h.notificationMetadata();
    return new Hook(
        group,
        h.lifecycleHookName(),
        beat,
        global == null ? most : Duration.ofSeconds(global),
        metadata);
  }

  private Optional<Hook> choose(String group, List<Hook> hooks) throws IOException {
    List<String> names = hooks.stream().map(Hook::name).sorted().toList();
    List<Hook> fitting = hooks.stream().filter(choice::fits).toList();
    if (fitting.isEmpty() && !choice.isOnly()) {
      throw new IOException(
          "autoscaling: group=%s has no %s hook %s (%s); it has %s"
              .formatted(group, transition.word, choice, transition.key, names));
    }
    if (fitting.size() > 1) {
      throw new IOException(
          "autoscaling: group=%s has several %s hooks %s: set %s to the agent's own"
              .formatted(group, transition.word, names, transition.key));
    }
    return fitting.stream().findFirst();
  }

  private String instanceId() throws IOException {
    if (instanceId.isEmpty()) {
      instanceId = Optional.of(imds.instanceId());
    }
    return instanceId.get();
  }
}
