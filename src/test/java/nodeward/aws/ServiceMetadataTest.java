package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.regions.ServiceMetadata;
import software.amazon.awssdk.regions.servicemetadata.AutoscalingServiceMetadata;
import software.amazon.awssdk.regions.servicemetadata.Ec2ServiceMetadata;
import software.amazon.awssdk.regions.servicemetadata.StsServiceMetadata;

/** The SDK must find our short table of services, not its own, which takes ten MiB. */
class ServiceMetadataTest {
  @Test
  void theTwoServicesThatAreCalledHaveTheSdksOwnEndpoints() {
    assertThat(metadata("sts")).isInstanceOf(StsServiceMetadata.class);
    assertThat(metadata("autoscaling")).isInstanceOf(AutoscalingServiceMetadata.class);
    assertThat(ServiceMetadata.of("sts").signingRegion(Region.CN_NORTH_1))
        .isEqualTo(Region.CN_NORTH_1);
  }

  @Test
  void noOtherServiceIsLoaded() {
    assertThat(metadata("ec2")).isNotInstanceOf(Ec2ServiceMetadata.class);
    assertThat(ServiceMetadata.of("ec2").signingRegion(Region.EU_WEST_1))
        .isEqualTo(Region.EU_WEST_1);
  }

  private static ServiceMetadata metadata(String service) {
    return ServiceMetadata.of(service);
  }
}
