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
    String what = "autoscaling: SetInstanceHealth instance=" + instance;
    Optional<AutoScalingInstanceDetails> left;
    try {
      clients
          .autoScaling()
          .setInstanceHealth(
              r -> r.instanceId(instance).healthStatus("Unhealthy").shouldRespectGracePeriod(true));
      left =
          clients
              .autoScaling()
              .describeAutoScalingInstances(r -> r.instanceIds(instance))
              .autoScalingInstances()
              .stream()
              .findFirst();
    } catch (SdkException e) {
      throw clients.failed(what, e);
    }
    if (left.filter(AutoScalingReplacement::stays).isPresent()) {
      throw new IOException(
          what + ": it counts as healthy still, as one in the grace period of its group does");
    }
  }

  private static boolean stays(AutoScalingInstanceDetails instance) {
    return !"UNHEALTHY".equalsIgnoreCase(instance.healthStatus())
        && !String.valueOf(instance.lifecycleState()).startsWith("Terminat");
  }
}
