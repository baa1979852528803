package nodeward.metadata;

import java.util.EnumSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nodeward.config.Config;
import nodeward.config.Preset;
import nodeward.node.Pod;

/**
 * How open the instance metadata is to a pod: what the configuration says for all, and where that
 * allows it what the annotations of the pod's namespace add. A namespace that is not known yet adds
 * nothing but the need of a token. Never blocks; any thread may ask.
 */
final class Openness {
  /** Names of presets, with commas between; other names open nothing. */
  static final String OPEN = "nodeward.dev/metadata-open";

  /** {@code required} is the only value that counts. */
  static final String V2 = "nodeward.dev/metadata-v2";

  /** Whether a token is needed, and the presets that are open. */
  record Rules(boolean requireV2, Set<Preset> open) {}

  private final Rules ofAll;
  private final boolean byNamespace;
  private final Namespaces namespaces;

  Openness(Config.Metadata config, Namespaces namespaces) {
    this.ofAll = new Rules(config.requireV2(), Set.copyOf(config.open()));
    this.byNamespace = config.openByNamespace();
    this.namespaces = namespaces;
  }

  Rules of(Pod pod) {
    if (!byNamespace) {
      return ofAll;
    }
    return switch (namespaces.find(pod.namespace())) {
      case Namespaces.Answer.Found(Map<String, String> annotations) -> with(annotations);
      case Namespaces.Answer.Absent absent -> ofAll;
      case Namespaces.Answer.Unknown unknown -> new Rules(true, ofAll.open);
    };
  }

  /** Has the pod's namespace known by the time it asks. */
  void follow(Pod pod) {
    of(pod);
  }

  private Rules with(Map<String, String> annotations) {
    var open = EnumSet.noneOf(Preset.class);
    open.addAll(ofAll.open);
    for (String name : annotations.getOrDefault(OPEN, "").split(",", -1)) {
      Optional<Preset> preset = Preset.named(name.strip());
      preset.ifPresent(open::add);
    }
    return new Rules(ofAll.requireV2 || annotations.getOrDefault(V2, "").equals("required"), open);
  }
}
