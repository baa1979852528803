package nodeward.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import nodeward.kube.FakeApiServer;
import nodeward.kube.FakeApiServer.Request;

/**
 * The commands that drain, run in this process against a fake API server with node "node"; pods
 * that are to end do so at once unless told otherwise.
 */
final class DrainScene implements AutoCloseable {
  /** A command that has ended. */
  record Ended(int code, List<String> out, List<String> err) {}

  /** How pods end. */
  enum Kubelet {
    ENDS_PODS,
    IS_STUCK
  }

  static final String NODE = "node";

  final FakeApiServer api = FakeApiServer.start();
  private final Path kubeconfig;
  private volatile Kubelet kubelet = Kubelet.ENDS_PODS;

  DrainScene(Path directory) throws IOException {
    kubeconfig = Files.writeString(directory.resolve("kubeconfig"), api.kubeconfig());
    api.put("{kind: Node, metadata: {name: node}}");
    api.put("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds}}");
    api.onChange(
        change -> {
          if (kubelet == Kubelet.ENDS_PODS
              && change.resource().equals("pods")
              && !change.type().equals("DELETED")
              && change.object().at("/metadata").has("deletionTimestamp")) {
            end(change.object());
          }
        });
    api.clearRequests();
  }

  void kubelet(Kubelet how) {
    kubelet = how;
  }

  /** A pod default/NAME on the node; the rest is YAML of its metadata, spec and status. */
  JsonNode pod(String name, String metadata, String spec, String status) {
    return api.put(
        "{kind: Pod, metadata: {namespace: default, name: %s, %s}, spec: {nodeName: node, %s}, status: {%s}}"
            .formatted(name, metadata, spec, status));
  }

  /** A running pod of a ReplicaSet, with label app of its own name. */
  JsonNode pod(String name) {
    return pod(name, owner("apps/v1", "ReplicaSet", "rs") + labels(name), "", RUNNING);
  }

  static final String RUNNING =
      "phase: Running, conditions: [{type: Ready, status: 'True', lastTransitionTime:"
          + " '2026-01-01T00:00:00Z'}]";

  static String owner(String apiVersion, String kind, String name) {
    return "ownerReferences: [{apiVersion: %s, kind: %s, name: %s, uid: u-%3$s, controller: true}],"
        .formatted(apiVersion, kind, name);
  }

  static String labels(String app) {
    return "labels: {app: " + app + "},";
  }

  /** A budget that selects the pods of label app and allows so many disruptions. */
  void budget(String name, String app, int allowed) {
    api.put(
        """
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {namespace: default, name: %s, generation: 1}
        spec: {minAvailable: 1, selector: {matchLabels: {app: %s}}}
        status: {observedGeneration: 1, desiredHealthy: 1, currentHealthy: 1, disruptionsAllowed: %d}
        """
            .formatted(name, app, allowed));
  }

  /** As after {@code kubectl delete} that long ago with a grace of 1 s. */
  void terminating(String pod, Duration ago) {
    api.edit(
        "pods",
        "default",
        pod,
        p ->
            p.withObject("/metadata")
                .put(
                    "deletionTimestamp",
                    Instant.now().minus(ago).truncatedTo(ChronoUnit.SECONDS).toString())
                .put("deletionGracePeriodSeconds", 1));
  }

  void end(JsonNode pod) {
    // Another of the same name may stand there by now.
    String name = pod.at("/metadata/name").asText();
    String namespace = pod.at("/metadata/namespace").asText();
    api.get("pods", namespace, name)
        .filter(p -> p.at("/metadata/uid").equals(pod.at("/metadata/uid")))
        .ifPresent(_ -> api.delete("pods", namespace, name));
  }

  boolean has(String pod) {
    return api.get("pods", "default", pod).isPresent();
  }

  boolean unschedulable() {
    return api.get("nodes", "", NODE).orElseThrow().at("/spec/unschedulable").asBoolean();
  }

  void unschedulable(String node, boolean is) {
    api.edit("nodes", "", node, (ObjectNode n) -> n.withObject("/spec").put("unschedulable", is));
  }

  List<Request> requests(String method, String ending) {
    return api.requests().stream()
        .filter(r -> r.method().equals(method) && r.path().endsWith(ending))
        .toList();
  }

  Ended run(String... args) {
    var all = new ArrayList<>(List.of(args));
    all.addAll(List.of("--kubeconfig", kubeconfig.toString()));
    var out = new StringWriter();
    var err = new StringWriter();
    String[] given = all.toArray(String[]::new);
    var line = Cli.commandLine(given);
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    int code = line.execute(given);
    return new Ended(code, out.toString().lines().toList(), err.toString().lines().toList());
  }

  CompletableFuture<Ended> start(String... args) {
    var ended = new CompletableFuture<Ended>();
    Thread.ofVirtual()
        .start(
            () -> {
              try {
                ended.complete(run(args));
              } catch (RuntimeException e) {
                ended.completeExceptionally(e);
              }
            });
    return ended.orTimeout(60, TimeUnit.SECONDS);
  }

  static void eventually(String what, BooleanSupplier condition) {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("not in time: " + what);
      }
      try {
        Thread.sleep(10);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new AssertionError(e);
      }
    }
  }

  @Override
  public void close() throws IOException {
    api.close();
  }
}
