package nodeward.aws;

import java.io.IOException;
import java.util.Optional;
import nodeward.runtime.Replacement;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.autoscaling.model.AutoScalingInstanceDetails;

/**
 * Marks this instance as unhealthy at Auto Scaling, whose group then replaces it. The group's grace
 * period is respected: an instance in it stays healthy, which only a look afterwards tells. Blocks.
 */
public final class AutoScalingReplacement implements Replacement {
  private final AwsClients clients;
  private final Imds imds;

  public AutoScalingReplacement(AwsClients clients, Imds imds) {
    this.clients = clients;
    this.imds = imds;
  }

  @Override
  public void ask() throws IOException {
    String instance = imds.instanceId();
    mark(instance, "Unhealthy", Grace.RESPECTED);
    if (here(instance).filter(AutoScalingReplacement::stays).isPresent()) {
      throw new IOException(
          what(instance)
              + ": it counts as healthy still, as one in the grace period of its group does");
    }
  }

  /** Why {@link #rehearse} would tell nothing or do harm now; empty when it would not. */
  Optional<String> unfit() throws IOException {
    Optional<AutoScalingInstanceDetails> here = here(imds.instanceId());
    if (here.isEmpty()) {
      return Optional.of("the instance is in no group, so nobody would replace it");
    }
    String state = here.get().lifecycleState();
    String health = here.get().healthStatus();
    return "InService".equals(state) && "HEALTHY".equalsIgnoreCase(health)
        ? Optional.empty()
        : Optional.of("not tried on an instance that is %s and %s".formatted(state, health));
  }

  /**
   * Tries the right to {@link #ask}, for which there is no dry run: marks an instance that is
   * healthy as healthy. A call for an instance that does not exist would tell nothing, for the
   * right is one to the group, which Auto Scaling finds by the instance.
   */
  void rehearse() throws IOException {
    mark(imds.instanceId(), "Healthy", Grace.IGNORED);
  }

  private enum Grace {
    RESPECTED,
    IGNORED
  }

  private void mark(String instance, String health, Grace grace) throws IOException {
    try {
      clients
          .autoScaling()
          .setInstanceHealth(
              r ->
                  r.instanceId(instance)
                      .healthStatus(health)
                      .shouldRespectGracePeriod(grace == Grace.RESPECTED));
    } catch (SdkException e) {
      throw clients.failed(what(instance), e);
    }
  }

  private Optional<AutoScalingInstanceDetails> here(String instance) throws IOException {
    try {
      return clients
          .autoScaling()
          .describeAutoScalingInstances(r -> r.instanceIds(instance))
          .autoScalingInstances()
          .stream()
          .findFirst();
    } catch (SdkException e) {
      throw clients.failed("autoscaling: DescribeAutoScalingInstances instance=" + instance, e);
    }
  }

  private static String what(String instance) {
    return "autoscaling: SetInstanceHealth instance=" + instance;
  }

  private static boolean stays(AutoScalingInstanceDetails instance) {
    return !"UNHEALTHY".equalsIgnoreCase(instance.healthStatus())
        && !String.valueOf(instance.lifecycleState()).startsWith("Terminat");
  }
}
