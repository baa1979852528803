package nodeward.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import nodeward.cluster.ControlPlane;

/**
 * A node with pods, disruption budgets and the flags of a drain, all drawn from a seed. {@link
 * #create} puts it on the API server under a name and in a namespace of its own, any number of
 * times.
 */
final class GeneratedNode {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<String> APPS = List.of("a", "b");

  private record Pod(
      String name,
      String app,
      String owner,
      boolean emptyDir,
      boolean mirror,
      boolean critical,
      String phase,
      boolean ready,
      int grace,
      boolean terminating,
      boolean stuck) {}

  private record Budget(
      String name,
      String selector,
      int wanted,
      int healthy,
      int allowed,
      boolean always,
      boolean stale) {}

  final long seed;
  final List<String> flags = new ArrayList<>();
  private final List<Pod> pods = new ArrayList<>();
  private final List<Budget> budgets = new ArrayList<>();
  private final boolean cordoned;
  private final Random random;

  GeneratedNode(long seed) {
    this.seed = seed;
    // Neighbouring seeds of java.util.Random begin alike.
    random = new Random(seed * 0x9E3779B97F4A7C15L);
    cordoned = chance(20);
    int count = random.nextInt(6);
    for (int i = 0; i < count; i++) {
      boolean terminating = chance(10);
      pods.add(
          new Pod(
              "p" + i,
              pick(APPS),
              pick(
                  List.of(
                      "", "rs", "rs", "rs", "rc", "job", "sts", "ds", "ds", "missing", "old",
                      "other")),
              chance(20),
              chance(7),
              chance(15),
              pick(List.of("Running", "Running", "Running", "Pending", "Succeeded", "Failed")),
              chance(75),
              chance(60) ? 0 : 30,
              terminating,
              terminating && chance(30)));
    }
    if (chance(45)) {
      int some = 1 + random.nextInt(2);
      for (int i = 0; i < some; i++) {
        budgets.add(
            new Budget(
                "b" + i,
                pick(
                    List.of(
                        "{\"matchLabels\":{\"app\":\"a\"}}",
                        "{\"matchLabels\":{\"app\":\"b\"}}",
                        "{}",
                        "{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"NotIn\",\"values\":[\"a\"]}]}",
                        "{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"Exists\"}]}")),
                random.nextInt(3),
                random.nextInt(4),
                // Never fewer than pods but some: which of them go would be a matter of luck.
                chance(50) ? 0 : 10,
                chance(30),
                chance(8)));
      }
    }
    draw(65, "--ignore-daemonsets");
    draw(55, "--force");
    draw(60, "--delete-emptydir-data");
    draw(15, "--disable-eviction");
    if (chance(25)) {
      flags.add(chance(60) ? "--grace-period=0" : "--grace-period=3");
    }
    draw(12, "--pod-selector=app=a");
    draw(12, "--skip-wait-for-delete-timeout=1");
    draw(15, "--chunk-size=2");
    if (chance(12)) {
      flags.add(chance(50) ? "--dry-run=client" : "--dry-run=server");
      if (flags.contains("--dry-run=server")) {
        // kubectl 1.34 then waits for the end of pods that nobody has deleted.
        flags.remove("--disable-eviction");
      }
    }
  }

  /** Whether some pod could take until the time limit. */
  boolean mayBlock() {
    return !budgets.isEmpty() || pods.stream().anyMatch(p -> p.stuck);
  }

  boolean isDry() {
    return flags.stream().anyMatch(f -> f.startsWith("--dry-run"));
  }

  void create(ControlPlane plane, String node) throws IOException {
    plane.post("/api/v1/namespaces", "{\"metadata\":{\"name\":\"%s\"}}".formatted(node));
    plane.post(
        "/api/v1/nodes",
        "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"unschedulable\":%b}}"
            .formatted(node, cordoned));
    plane.post(
        "/apis/apps/v1/namespaces/" + node + "/daemonsets",
        """
        {"metadata":{"name":"ds"},"spec":{"selector":{"matchLabels":{"x":"y"}},"template":{
          "metadata":{"labels":{"x":"y"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}
        """);
    for (Pod pod : pods) {
      create(plane, node, pod);
    }
    for (Budget budget : budgets) {
      create(plane, node, budget);
    }
  }

  private void create(ControlPlane plane, String node, Pod pod) throws IOException {
    ObjectNode object = JSON.createObjectNode();
    ObjectNode meta = object.putObject("metadata").put("name", pod.name);
    meta.putObject("labels").put("app", pod.app).put("stuck", Boolean.toString(pod.stuck));
    String owner =
        switch (pod.owner) {
          case "rs" -> "apps/v1 ReplicaSet rs true";
          case "rc" -> "v1 ReplicationController rc true";
          case "job" -> "batch/v1 Job job true";
          case "sts" -> "apps/v1 StatefulSet sts true";
          case "ds" -> "apps/v1 DaemonSet ds true";
          case "missing" -> "apps/v1 DaemonSet missing true";
          case "old" -> "extensions/v1beta1 DaemonSet ds true";
          case "other" -> "apps/v1 ReplicaSet rs false";
          default -> "";
        };
    if (!owner.isEmpty()) {
      String[] o = owner.split(" ");
      meta.putArray("ownerReferences")
          .addObject()
          .put("apiVersion", o[0])
          .put("kind", o[1])
          .put("name", o[2])
          .put("uid", "00000000-0000-0000-0000-00000000000a")
          .put("controller", Boolean.parseBoolean(o[3]));
    }
    if (pod.mirror) {
      meta.putObject("annotations").put("kubernetes.io/config.mirror", "abc");
    }
    ObjectNode spec = object.putObject("spec").put("nodeName", node);
    spec.put("terminationGracePeriodSeconds", pod.grace);
    spec.putArray("containers").addObject().put("name", "c").put("image", "i");
    if (pod.critical) {
      spec.put("priorityClassName", "system-cluster-critical");
    }
    if (pod.emptyDir) {
      spec.putArray("volumes").addObject().put("name", "v").putObject("emptyDir");
    }
    String path = "/api/v1/namespaces/" + node + "/pods";
    plane.post(path, object.toString());
    plane.patch(
        path + "/" + pod.name + "/status",
        """
        {"status":{"phase":"%s","conditions":[
          {"type":"Ready","status":"%s","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}
        """
            .formatted(pod.phase, pod.ready ? "True" : "False"));
    if (pod.terminating) {
      // Grace 0 would remove it at once.
      plane.delete(path + "/" + pod.name + "?gracePeriodSeconds=1");
    }
  }

  private static void create(ControlPlane plane, String node, Budget budget) throws IOException {
    String path = "/apis/policy/v1/namespaces/" + node + "/poddisruptionbudgets";
    plane.post(
        path,
        """
        {"metadata":{"name":"%s"},"spec":{"minAvailable":1,"selector":%s%s}}
        """
            .formatted(
                budget.name,
                budget.selector,
                budget.always ? ",\"unhealthyPodEvictionPolicy\":\"AlwaysAllow\"" : ""));
    plane.patch(
        path + "/" + budget.name + "/status",
        """
        {"status":{"observedGeneration":%d,"desiredHealthy":%d,"currentHealthy":%d,
          "expectedPods":4,"disruptionsAllowed":%d}}
        """
            .formatted(budget.stale ? 0 : 1, budget.wanted, budget.healthy, budget.allowed));
  }

  /** Ends the pods that are to end, once, as a kubelet does. */
  static void endPods(ControlPlane plane, String node) throws IOException {
    String path = "/api/v1/namespaces/" + node + "/pods";
    for (JsonNode pod : plane.get(path).path("items")) {
      if (pod.path("metadata").has("deletionTimestamp")
          && !pod.at("/metadata/labels/stuck").asText().equals("true")) {
        end(plane, path + "/" + pod.at("/metadata/name").asText());
      }
    }
  }

  private static void end(ControlPlane plane, String pod) throws IOException {
    try {
      plane.delete(pod + "?gracePeriodSeconds=0");
    } catch (IOException e) {
      // The drain itself may have removed it since it was listed.
      if (!String.valueOf(e.getMessage()).contains("\"reason\":\"NotFound\"")) {
        throw e;
      }
    }
  }

  /** The names of the pods that are there and not on their way out. */
  static Set<String> standing(ControlPlane plane, String node) throws IOException {
    var names = new TreeSet<String>();
    for (JsonNode pod : plane.get("/api/v1/namespaces/" + node + "/pods").path("items")) {
      if (!pod.path("metadata").has("deletionTimestamp")) {
        names.add(pod.at("/metadata/name").asText());
      }
    }
    return names;
  }

  /** Without the lines of pods that were ending from the start. */
  Set<String> lasting(Set<String> lines) {
    var left = new TreeSet<>(lines);
    pods.stream()
        .filter(Pod::terminating)
        .map(pod -> Pattern.compile("/" + Pattern.quote(pod.name()) + "\\b"))
        .forEach(named -> left.removeIf(line -> named.matcher(line).find()));
    return left;
  }

  @Override
  public String toString() {
    return "seed=%d cordoned=%b flags=%s pods=%s budgets=%s"
        .formatted(seed, cordoned, flags, pods, budgets);
  }

  private void draw(int percent, String flag) {
    if (chance(percent)) {
      flags.add(flag);
    }
  }

  private boolean chance(int percent) {
    return random.nextInt(100) < percent;
  }

  private <T> T pick(List<T> of) {
    return of.get(random.nextInt(of.size()));
  }
}
