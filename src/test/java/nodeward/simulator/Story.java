package nodeward.simulator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import nodeward.aws.FakeImds;
import nodeward.linux.FakeUnixServer.Behaviour;
import nodeward.simulator.SimulatedKubelet.Workload;

/**
 * The stories that {@code make run} tells. Each line is printed when the thing it says has been
 * seen from outside the agent: on the Node, at AWS's fakes, at the pod that asked, in the agent's
 * own status. A thing that does not come within its time ends the story as failed.
 */
final class Story {
  /** The stories by name. */
  enum Scenario {
    TOUR,
    BOOT,
    SPOT,
    ASG_TERMINATE,
    MAINTENANCE,
    REBOOT,
    RUNTIME_HANG;

    static Optional<Scenario> named(String name) {
      for (Scenario scenario : values()) {
        if (scenario.text().equals(name)) {
          return Optional.of(scenario);
        }
      }
      return Optional.empty();
    }

    String text() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** A step that was not seen in its time. */
  static final class NotSeen extends Exception {
    private static final long serialVersionUID = 1;

    final String moment;

    NotSeen(String moment, String message) {
      super(message);
      this.moment = moment;
    }
  }

  private static final String GATE_TAINT = "readiness.k8s.io/nodeward=pending:NoSchedule";
  private static final String TERMINATING = "nodeward.dev/terminating";
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final Duration SOON = Duration.ofSeconds(10);
  private static final List<Workload> WORKLOADS =
      List.of(
          new Workload("shop", "cart", "shop-cart", Duration.ofMillis(700)),
          new Workload("shop", "web", "", Duration.ofMillis(400)),
          new Workload("shop", "orders", "shop-orders", Duration.ofMillis(1200)),
          new Workload("shop", "ledger", "", Duration.ofMillis(500)));

  private final SimulatedNode node;
  private final Terminal terminal;

  Story(SimulatedNode node, Terminal terminal) {
    this.node = node;
    this.terminal = terminal;
  }

  /** Tells the story; returns when its last step was seen. */
  void tell(Scenario scenario) throws IOException, NotSeen, InterruptedException {
    boot();
    switch (scenario) {
      case TOUR -> {
        credentials();
        spot();
        hook();
      }
      case BOOT -> credentials();
      case SPOT -> spot();
      case ASG_TERMINATE -> {
        asgNotice();
        hook();
      }
      case MAINTENANCE -> maintenance();
      case REBOOT -> reboot();
      case RUNTIME_HANG -> runtimeHang();
    }
  }

  private void boot() throws IOException, NotSeen {
    String bootId = node.powerOn();
    long pid = node.startAgent();
    terminal.world("boot", "the node powers on; the agent starts before the kubelet, pid " + pid);
    see("ready", "the agent serves: pods can never reach the node's own role", SOON, this::agentUp);
    node.kubelet.register(bootId, FakeImds.INSTANCE_ID);
    terminal.world(
        "register", "the kubelet registers " + SimulatedNode.NAME + " with " + GATE_TAINT);
    node.kubelet.schedule(WORKLOADS);
    seeGate("closed", "kube-proxy (no pod yet)", "kube2iam (no pod yet)");
    node.kubelet.daemonPod("kube-proxy", Duration.ofMillis(900));
    node.kubelet.daemonPod("kube2iam", Duration.ofMillis(1800));
    terminal.world("pods", "the DaemonSet pods start");
    seeGate("closed", "kube-proxy (not Ready)", "kube2iam (not Ready)");
    seeGate("closed", "kube2iam (not Ready)");
    openGate();
    see(
        "workloads",
        "%d pods arrive; no pod was bound before".formatted(WORKLOADS.size()),
        SOON,
        () -> node.kubelet.workloadsHere().size() == WORKLOADS.size());
    see(
        "conditions",
        "ConntrackPressure=False, ContainerRuntimeUnhealthy=False on the Node",
        SOON,
        () ->
            conditionIs("ConntrackPressure", "False")
                && conditionIs("ContainerRuntimeUnhealthy", "False"));
  }

  private boolean agentUp() {
    return node.status().path("components").has("gate");
  }

  /** The gate's state and what it misses, as the agent says it; the taint must agree. */
  private void seeGate(String state, String... missing) throws NotSeen {
    see(
        "gate",
        state + ": missing " + String.join(", ", missing),
        SOON,
        () -> {
          JsonNode gate = node.status().path("components").path("gate");
          var words = new ArrayList<String>();
          gate.path("missing")
              .properties()
              .forEach(
                  e ->
                      words.add(
                          e.getKey().replace("kube-system/", "")
                              + " ("
                              + e.getValue().asText()
                              + ")"));
          return gate.path("state").asText().equals(state)
              && words.equals(List.of(missing))
              && node.taints().contains(GATE_TAINT);
        });
  }

  private void openGate() throws NotSeen {
    var foreign = List.of("ebs.csi.aws.com/agent-not-ready:NoExecute");
    await("gate", "open", SOON, () -> node.taints().equals(foreign));
    terminal.agent(
        "gate",
        "open %d ms after the last system pod was Ready; the foreign taint %s stays"
            .formatted(node.kubelet.sinceReady().toMillis(), foreign.getFirst()));
    await("gate", "the agent says that it is open", SOON, () -> gateIs("open"));
  }

  private boolean gateIs(String state) {
    return node.status().path("components").path("gate").path("state").asText().equals(state);
  }

  private boolean conditionIs(String type, String status) {
    return node.condition(type).path("status").asText().equals(status);
  }

  private void credentials() throws IOException, NotSeen {
    String cart = node.kubelet.address("shop", "cart");
    var token =
        node.fromPod(
            cart,
            "PUT",
            "/latest/api/token",
            Map.of("X-aws-ec2-metadata-token-ttl-seconds", "21600"));
    expect("credentials", token.code() == 200, "token for shop/cart: " + token);
    var headers = Map.of("X-aws-ec2-metadata-token", token.body());
    var listing = node.fromPod(cart, "GET", "/latest/meta-data/iam/security-credentials/", headers);
    expect("credentials", listing.body().equals("shop-cart"), "role of shop/cart: " + listing);
    var answer =
        node.fromPod(cart, "GET", "/latest/meta-data/iam/security-credentials/shop-cart", headers);
    expect("credentials", answer.code() == 200, "credentials of shop/cart: " + answer.code());
    JsonNode json = JSON.readTree(answer.body());
    long minutes =
        Duration.between(Instant.now(), Instant.parse(json.path("Expiration").asText()))
            .toMinutes();
    terminal.agent(
        "credentials",
        "shop/cart at %s asks 169.254.169.254 and gets role shop-cart: %s, %d min of life"
            .formatted(cart, json.path("AccessKeyId").asText(), minutes));
    String web = node.kubelet.address("shop", "web");
    var none = node.fromPod(web, "GET", "/latest/meta-data/iam/security-credentials/", Map.of());
    expect("credentials", none.code() == 404, "shop/web without a role: " + none);
    var closed = node.fromPod(cart, "GET", "/latest/user-data", headers);
    expect("credentials", closed.code() == 404, "user data for shop/cart: " + closed);
    terminal.agent("credentials", "shop/web has no role: 404; the node's user data: 404");
  }

  private void spot() throws NotSeen {
    Instant at = Instant.now().plusSeconds(120).truncatedTo(ChronoUnit.SECONDS);
    node.imds.spotNotice("terminate", at);
    terminal.world("notice", "spot: EC2 terminates the instance at " + at);
    seeCordon("spot");
    seeDrain();
  }

  private void asgNotice() throws NotSeen {
    node.autoScaling.terminating(FakeImds.INSTANCE_ID, Duration.ofSeconds(2));
    node.imds.targetState("Terminated");
    terminal.world(
        "notice", "Auto Scaling group " + SimulatedNode.GROUP + " terminates the instance");
    seeCordon("autoscaling");
    seeDrain();
  }

  private void seeCordon(String kind) throws NotSeen {
    see(
        "cordon",
        "cordoned, taint " + TERMINATING + "=" + kind + ":NoSchedule, out of load balancers",
        SOON,
        () ->
            node.cordoned()
                && node.taints().contains(TERMINATING + "=" + kind + ":NoSchedule")
                && node.node()
                    .path("metadata")
                    .path("labels")
                    .has("node.kubernetes.io/exclude-from-external-load-balancers"));
  }

  /** Each pod that leaves is a line; the pods of DaemonSets must stay. */
  private void seeDrain() throws NotSeen {
    var here = new ArrayList<>(node.kubelet.workloadsHere());
    while (!here.isEmpty()) {
      int before = here.size();
      await("drain", "the next of " + here + " leaves", SOON, () -> here().size() < before);
      var gone = new ArrayList<>(here);
      here.retainAll(here());
      gone.removeAll(here);
      for (String pod : gone) {
        terminal.agent("drain", "%s evicted and gone, %d left".formatted(pod, here.size()));
      }
    }
    long daemons =
        node.api.list("pods").stream()
            .filter(p -> p.path("metadata").path("namespace").asText().equals("kube-system"))
            .count();
    expect("drain", daemons == 2, daemons + " DaemonSet pods are left of 2");
    terminal.agent("drain", "done; the pods of DaemonSets were left alone");
  }

  private List<String> here() {
    return node.kubelet.workloadsHere();
  }

  private void hook() throws NotSeen {
    if (node.autoScaling.state(FakeImds.INSTANCE_ID).equals("InService")) {
      node.autoScaling.terminating(FakeImds.INSTANCE_ID, Duration.ofSeconds(1));
      node.imds.targetState("Terminated");
      terminal.world(
          "notice", "the Auto Scaling group replaces the instance, its hook waits for us");
    }
    see(
        "hook",
        "CompleteLifecycleAction CONTINUE for hook " + SimulatedNode.HOOK,
        SOON,
        () ->
            node.autoScaling.completions().stream()
                .anyMatch(a -> a.hook().equals(SimulatedNode.HOOK) && a.outcome().equals("done")));
    expect(
        "hook",
        node.autoScaling.state(FakeImds.INSTANCE_ID).equals("Terminating:Proceed"),
        "the instance is " + node.autoScaling.state(FakeImds.INSTANCE_ID));
    see(
        "completed",
        "the plan is done; the instance may go",
        SOON,
        () -> terminationIs("completed"));
  }

  private boolean terminationIs(String state) {
    return node.status()
        .path("components")
        .path("termination")
        .path("state")
        .asText()
        .equals(state);
  }

  private void maintenance() throws NotSeen {
    Instant at = Instant.now().plus(Duration.ofMinutes(10));
    var when =
        java.time.format.DateTimeFormatter.ofPattern("d MMM yyyy HH:mm:ss 'GMT'", Locale.ENGLISH)
            .withZone(java.time.ZoneOffset.UTC);
    node.imds.maintenance(
        """
        [{"NotBefore":"%s","Code":"system-reboot","Description":"scheduled reboot",
          "EventId":"instance-event-0d59937288b749b32","NotAfter":"","State":"active"}]\
        """
            .formatted(when.format(at)));
    terminal.world("notice", "maintenance: EC2 reboots the instance not before " + when.format(at));
    seeCordon("maintenance");
    seeDrain();
    node.imds.maintenance("[]");
    terminal.world("notice", "the event is cancelled");
    see(
        "return",
        "uncordoned, taint and label gone: only what the agent did is undone",
        SOON,
        () ->
            !node.cordoned()
                && node.taints().equals(List.of("ebs.csi.aws.com/agent-not-ready:NoExecute")));
  }

  private void reboot() throws IOException, NotSeen, InterruptedException {
    // Kubernetes times are whole seconds: the pods' being Ready must lie before the new boot.
    Instant readied = Instant.now();
    see("workloads", "run for a while", SOON, () -> Instant.now().isAfter(readied.plusSeconds(3)));
    node.killAgent();
    terminal.world(
        "reboot", "the power fails and comes back; pods still look Ready to the API server");
    String bootId = node.powerOn();
    node.startAgent();
    see("ready", "the agent serves again", SOON, this::agentUp);
    node.kubelet.registerAgain(bootId);
    terminal.world("register", "the kubelet is back; it does not put the gate taint on again");
    see(
        "gate",
        "closed again by the agent: the pods were Ready in the last boot, not in this one",
        SOON,
        () -> node.taints().contains(GATE_TAINT) && gateIs("closed"));
    node.kubelet.restartDaemonPod("kube-proxy", Duration.ofMillis(700));
    node.kubelet.restartDaemonPod("kube2iam", Duration.ofMillis(1400));
    terminal.world("pods", "the DaemonSet pods restart");
    openGate();
  }

  private void runtimeHang() throws IOException, NotSeen {
    node.docker.behave(Behaviour.SILENT);
    terminal.world("docker", "docker freezes: it takes connections and never answers");
    see(
        "condition",
        "ContainerRuntimeUnhealthy=True, reason DockerHung",
        SOON,
        () ->
            conditionIs("ContainerRuntimeUnhealthy", "True")
                && node.condition("ContainerRuntimeUnhealthy")
                    .path("reason")
                    .asText()
                    .equals("DockerHung"));
    expect("condition", agentUp(), "the agent itself must stay well");
    node.docker.behave(Behaviour.WELL);
    terminal.world("docker", "docker answers again");
    see(
        "condition",
        "ContainerRuntimeUnhealthy=False",
        SOON,
        () -> conditionIs("ContainerRuntimeUnhealthy", "False"));
  }

  // --- seeing

  /** Something that can be looked at. */
  @FunctionalInterface
  interface Look {
    boolean seen();
  }

  private void see(String moment, String text, Duration limit, Look look) throws NotSeen {
    await(moment, text, limit, look);
    terminal.agent(moment, text);
  }

  private void await(String moment, String text, Duration limit, Look look) throws NotSeen {
    long end = System.nanoTime() + limit.toNanos();
    while (!look.seen()) {
      if (!node.agentRuns()) {
        throw new NotSeen(moment, "the agent has ended; waited for: " + text);
      }
      if (System.nanoTime() > end) {
        throw new NotSeen(moment, "not seen within %d s: %s".formatted(limit.toSeconds(), text));
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(10));
    }
  }

  private static void expect(String moment, boolean holds, String otherwise) throws NotSeen {
    if (!holds) {
      throw new NotSeen(moment, otherwise);
    }
  }
}
