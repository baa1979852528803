package nodeward.metadata;

import java.util.Set;
import nodeward.config.Config;
import nodeward.config.Preset;
import nodeward.node.Pod;

/** How open the instance metadata is to a pod: by the configuration, for all of them the same. */
final class Openness {
  /** Whether a token is needed, and the presets that are open. */
  record Rules(boolean requireV2, Set<Preset> open) {}

  private final Rules ofAll;

  Openness(Config.Metadata config) {
    this.ofAll = new Rules(config.requireV2(), Set.copyOf(config.open()));
  }

  Rules of(Pod pod) {
    return ofAll;
  }
}
