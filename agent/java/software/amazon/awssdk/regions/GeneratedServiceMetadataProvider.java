package software.amazon.awssdk.regions;

import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.regions.servicemetadata.AutoscalingServiceMetadata;
import software.amazon.awssdk.regions.servicemetadata.StsServiceMetadata;

/**
 * Stands before the SDK's own class of this name on the class path. Each SDK client asks it for the
 * signing region of its service; the SDK's own loads the tables of all 350 services for the answer,
 * which took a tenth of the agent's memory. For a service that is not here the SDK takes the region
 * itself.
 */
public final class GeneratedServiceMetadataProvider implements ServiceMetadataProvider {
  @Override
  public @Nullable ServiceMetadata serviceMetadata(String endpointPrefix) {
    return switch (endpointPrefix) {
      case "sts" -> new StsServiceMetadata();
      case "autoscaling" -> new AutoscalingServiceMetadata();
      default -> null;
    };
  }
}
