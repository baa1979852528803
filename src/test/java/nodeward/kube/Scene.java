package nodeward.kube;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nodeward.component.Time;
import nodeward.config.Config;

/** A fake API server with the adapter on it, for one test. */
final class Scene implements AutoCloseable {
  static final String NODE = "node-1";

  final FakeApiServer api = FakeApiServer.start();
  final CollectorRegistry metrics = new CollectorRegistry();
  final Path kubeconfig;
  final KubeClient kube;
  final OwnNode node;
  final OwnPods pods;
  private final List<AutoCloseable> opened = new ArrayList<>();

  Scene(Path directory) throws IOException {
    this(directory, Duration.ofSeconds(5), Duration.ofSeconds(5));
  }

  Scene(Path directory, Duration requestTimeout, Duration pingInterval) throws IOException {
    kubeconfig = directory.resolve("kubeconfig");
    Files.writeString(kubeconfig, api.kubeconfig());
    kube =
        open(
            client(
                config(kubeconfig.toString(), requestTimeout, pingInterval),
                "1.2.3",
                Map.of(),
                metrics));
    node = open(new OwnNode(kube, NODE, Time.SYSTEM));
    pods = open(new OwnPods(kube, NODE));
  }

  /** Reaches an API server by a kubeconfig. */
  static Config.Kubernetes config(
      String kubeconfig, Duration requestTimeout, Duration pingInterval) {
    return new Config.Kubernetes(
        kubeconfig,
        requestTimeout,
        pingInterval,
        Config.Kubernetes.Identity.AUTO,
        List.of(),
        "nodeward/nodeward");
  }

  /** A client that asks no kubelet for anything. */
  static KubeClient client(
      Config.Kubernetes config,
      String version,
      Map<String, String> environment,
      CollectorRegistry metrics) {
    return new KubeClient(config, NODE, (c, e) -> "", version, environment, metrics);
  }

  <T extends AutoCloseable> T open(T each) {
    opened.add(each);
    return each;
  }

  void putNode() {
    api.put("{kind: Node, metadata: {name: node-1}, status: {nodeInfo: {bootID: boot-1}}}");
  }

  void putPod(String name, String on) {
    api.put(
        """
        kind: Pod
        metadata: {namespace: default, name: %s, labels: {app: %s}}
        spec: {nodeName: %s}
        status: {phase: Running, podIPs: [{ip: 10.1.2.3}]}
        """
            .formatted(name, name, on));
  }

  double metric(String name, String label, String value) {
    Double sample = metrics.getSampleValue(name, new String[] {label}, new String[] {value});
    return sample == null ? -1 : sample;
  }

  @Override
  public void close() throws Exception {
    for (AutoCloseable each : opened.reversed()) {
      each.close();
    }
    api.close();
  }
}
