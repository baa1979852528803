package nodeward.metadata;

import java.io.IOException;
import java.util.Optional;

/** The instance's own metadata. Nothing of a pod's request goes there but the path. */
@FunctionalInterface
public interface InstanceMetadata {
  /** The text at a path like {@code /latest/meta-data/instance-id}; empty where there is none. */
  Optional<String> get(String path) throws IOException;
}
