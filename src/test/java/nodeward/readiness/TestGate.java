package nodeward.readiness;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nodeward.config.Config;
import nodeward.config.Config.Gate.IfMissing;
import nodeward.config.Config.Gate.Mode;
import nodeward.node.DaemonSetView;
import nodeward.node.DaemonSets;
import nodeward.node.Placement;
import nodeward.node.Placement.Affinity;
import nodeward.node.Placement.Toleration;
import nodeward.node.Taint;

/** Configurations and the in-memory world of the gate's tests. */
final class TestGate {
  private TestGate() {}

  static Config.Gate config(Taint... taints) {
    return config(Mode.BOOTSTRAP, List.of(taints), require("kube-proxy"));
  }

  static Config.Gate config(Mode mode, List<Taint> taints, Config.Gate.Require... required) {
    return new Config.Gate(
        true,
        mode,
        taints,
        List.of(required),
        Duration.ofMinutes(5),
        0.1,
        Duration.ofMinutes(15),
        new Config.Gate.LaunchHook(false, "", false));
  }

  static Config.Gate.Require require(String daemonSet) {
    return require(daemonSet, 0, IfMissing.WAIT);
  }

  static Config.Gate.Require require(String daemonSet, int minReadySeconds, IfMissing ifMissing) {
    return new Config.Gate.Require(
        "kube-system", daemonSet, "", minReadySeconds, Optional.empty(), ifMissing);
  }

  /** A DaemonSet that runs on every node; its UID is that of {@code FakeNode.daemonPod}'s owner. */
  static DaemonSetView everywhere(String name) {
    return new DaemonSetView(
        "kube-system",
        name,
        "ds-" + name,
        new Placement(
            "",
            Map.of(),
            Affinity.NONE,
            List.of(),
            List.of(new Toleration("", "Exists", "", "")),
            true));
  }

  /** The cluster's DaemonSets in memory; counts the reads. */
  static final class Sets implements DaemonSets {
    final Map<String, DaemonSetView> sets = new LinkedHashMap<>();
    final List<String> reads = new ArrayList<>();
    Optional<IOException> failure = Optional.empty();

    Sets(String... names) {
      for (String name : names) {
        sets.put(name, everywhere(name));
      }
    }

    @Override
    public Optional<DaemonSetView> read(String namespace, String name) throws IOException {
      reads.add(name);
      if (failure.isPresent()) {
        throw failure.get();
      }
      return Optional.ofNullable(sets.get(name));
    }

    @Override
    public List<DaemonSetView> select(String namespace, String labelSelector) throws IOException {
      reads.add(labelSelector);
      if (failure.isPresent()) {
        throw failure.get();
      }
      return List.copyOf(sets.values());
    }
  }
}
