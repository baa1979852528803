package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.component.Time;
import nodeward.metadata.Namespaces;
import nodeward.node.Changed;
import nodeward.node.Condition;
import nodeward.node.DaemonSetView;
import nodeward.node.Evicted;
import nodeward.node.NodeChange;
import nodeward.node.NodeEvents;
import nodeward.node.NodeView;
import nodeward.node.Placement;
import nodeward.node.Pod;
import nodeward.node.Taint;
import nodeward.readiness.ClosedNodes;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What Nodeward needs from an API server, through the real adapter. It runs against {@link
 * FakeApiServer} and against kube-apiserver; where they differ the fake is wrong. Nothing but the
 * API server runs: no controller, no scheduler, no kubelet.
 */
abstract class ApiServerContract {
  private static final AtomicInteger TESTS = new AtomicInteger();
  private static final Taint GATE =
      new Taint("readiness.k8s.io/nodeward", "pending", "NoSchedule", "");
  private static final Taint FOREIGN =
      new Taint("example.com/foreign", "kept-as-it-is", "NoExecute", "2026-11-21T07:59:59Z");

  // Of this test alone: the API server is shared by all.
  private final String nodeName = "node-" + TESTS.incrementAndGet();
  private final List<AutoCloseable> opened = new ArrayList<>();
  private KubeClient admin;
  private KubeClient kube;
  private OwnNode node;

  /** With the rights of an administrator. */
  abstract Path kubeconfig() throws IOException;

  /** Ends the API server without a goodbye. */
  abstract void killApiServer() throws IOException;

  abstract void startApiServer() throws IOException;

  @BeforeEach
  void connect() throws IOException {
    kube = open(client("contract"));
    admin = open(client("admin"));
    node = open(new OwnNode(kube, nodeName, Time.SYSTEM));
  }

  @AfterEach
  void disconnect() throws Exception {
    for (AutoCloseable each : opened.reversed()) {
      each.close();
    }
  }

  // --- reading and watching

  @Test
  void aMissingNodeReadsAsEmpty() throws IOException {
    assertThat(node.read()).isEmpty();
    assertThat(node.change(anyChangeOf(nodeName))).isEqualTo(new Changed.Absent());
    assertThat(node.writeConditions(List.of(condition(Condition.Status.TRUE))))
        .isEqualTo(new Changed.Absent());
  }

  @Test
  void theWatchSeesTheNodeComeChangeAndGo() throws IOException {
    node.start();
    Await.until("the watch is open", node::watching);
    assertThat(node.current()).isEmpty();
    assertThat(node.health().toString()).contains(nodeName + " is not registered");

    createNode();
    Await.until("the node came", () -> node.current().isPresent());
    NodeView came = node.current().orElseThrow();
    assertThat(came.bootId()).isEqualTo("boot-1");
    assertThat(came.providerId()).isEqualTo("aws:///eu-west-1a/i-0123456789abcdef0");
    assertThat(came.uid()).isNotEmpty();
    assertThat(node.health().isHealthy()).isTrue();

    setTaints("[%s]".formatted(json(FOREIGN)));
    Await.until("the taint came", () -> node.current().orElseThrow().taints().contains(FOREIGN));

    request("DELETE", nodePath(), "");
    Await.until("the node went", () -> node.current().isEmpty());
  }

  @Test
  void theWatchSeesThePodsOfThisNodeAlone() throws IOException {
    var pods = open(new OwnPods(kube, nodeName));
    var changes = new AtomicInteger();
    pods.onChange(changes::incrementAndGet);
    pods.start();
    Await.until("the watch is open", pods::watching);

    createPod(nodeName + "-a", nodeName);
    createPod(nodeName + "-b", "elsewhere");
    Await.until("the pod came", () -> pods.current().size() == 1);
    Pod came = pods.current().getFirst();
    assertThat(came.fullName()).isEqualTo("default/" + nodeName + "-a");
    assertThat(came.ready()).isFalse();
    assertThat(came.phase()).isEqualTo(Pod.Phase.PENDING);
    assertThat(came.grace()).isEqualTo(Duration.ofSeconds(30));

    runPod(nodeName + "-a");
    Await.until("the pod is ready", () -> pods.current().getFirst().ready());
    Pod ready = pods.current().getFirst();
    assertThat(ready.readySince()).isEqualTo(Instant.parse("2026-11-21T08:00:00Z"));
    assertThat(ready.addresses()).extracting(Object::toString).containsExactly("/10.1.2.3");

    int before = changes.get();
    request("DELETE", podPath(nodeName + "-a") + "?gracePeriodSeconds=0", "");
    Await.until("the pod went", () -> pods.current().isEmpty());
    Await.until("the listener was told", () -> changes.get() > before);
  }

  @Test
  void textThatIsNotAsciiSurvivesTheWatch() throws IOException {
    String text = "café 日本語 🚀 ".repeat(500);
    createNode();
    node.start();
    Await.until("the node came", () -> node.current().isPresent());

    merge(
        nodePath(), "{\"metadata\":{\"annotations\":{\"example.com/t\":\"%s\"}}}".formatted(text));
    Await.until(
        "the text came", () -> node.current().orElseThrow().annotations().containsValue(text));

    setTaints("[%s]".formatted(json(FOREIGN)));
    Await.until("the watch goes on", () -> node.current().orElseThrow().taints().contains(FOREIGN));
  }

  @Test
  void podsAreReadInPages() throws IOException {
    for (int i = 0; i < 7; i++) {
      createPod(nodeName + "-" + i, i == 3 ? "elsewhere" : nodeName);
    }

    List<Pod> pods = open(new OwnPods(kube, nodeName, 2)).read();

    assertThat(pods)
        .extracting(Pod::name)
        .containsExactlyInAnyOrderElementsOf(
            List.of("0", "1", "2", "4", "5", "6").stream().map(i -> nodeName + "-" + i).toList());
  }

  @Test
  void theWatchesRecoverFromARestartAndSeeWhatChangedMeanwhile() throws IOException {
    createNode();
    createPod(nodeName + "-a", nodeName);
    var pods = open(new OwnPods(kube, nodeName));
    node.start();
    pods.start();
    Await.until("both came", () -> node.current().isPresent() && pods.current().size() == 1);

    killApiServer();
    Await.until("the loss is noticed", () -> !node.watching() && !pods.watching());
    Await.until("a reason is told", () -> node.health().toString().contains("cannot watch nodes"));
    assertThat(node.current()).as("what was seen last stays").isPresent();
    startApiServer();
    setTaints("[%s]".formatted(json(FOREIGN)));
    request("DELETE", podPath(nodeName + "-a") + "?gracePeriodSeconds=0", "");
    createPod(nodeName + "-b", nodeName);

    Await.until(
        "the node's change is seen", () -> node.current().orElseThrow().taints().contains(FOREIGN));
    Await.until(
        "the pods' change is seen",
        () -> pods.current().stream().map(Pod::name).toList().equals(List.of(nodeName + "-b")));
    Await.until("both watch", () -> node.watching() && pods.watching());
    assertThat(node.health().isHealthy()).isTrue();
  }

  @Test
  void namespacesAreFollowedByTheirNames() throws Exception {
    String one = nodeName + "-one";
    String two = nodeName + "-two";
    createNamespace(one);
    createNamespace(two);
    var namespaces = open(new KubeNamespaces(kube));
    namespaces.start();

    assertThat(namespaces.await(one, Await.LIMIT)).isEqualTo(new Namespaces.Answer.Found(Map.of()));
    merge(
        "/api/v1/namespaces/" + one,
        "{\"metadata\":{\"annotations\":{\"iam.amazonaws.com/permitted\":\".*\"}}}");
    Await.until(
        "the edit came",
        () ->
            namespaces
                .find(one)
                .equals(new Namespaces.Answer.Found(Map.of("iam.amazonaws.com/permitted", ".*"))));
    assertThat(namespaces.await(two, Await.LIMIT)).isEqualTo(new Namespaces.Answer.Found(Map.of()));
    assertThat(namespaces.await(nodeName + "-three", Await.LIMIT))
        .isEqualTo(new Namespaces.Answer.Absent());
  }

  // --- changing the node

  @Test
  void aForeignTaintAddedInBetweenMakesTheChangeStaleAndSurvivesTheNext() throws IOException {
    createNode();
    setTaints("[%s]".formatted(json(GATE)));
    NodeView seen = node.read().orElseThrow();
    setTaints("[%s,%s]".formatted(json(FOREIGN), json(GATE)));

    Changed first = node.change(NodeChange.of(seen).withoutTaint(GATE.key()));
    NodeView again = node.read().orElseThrow();
    Changed second = node.change(NodeChange.of(again).withoutTaint(GATE.key()));

    assertThat(first).isInstanceOf(Changed.Stale.class);
    assertThat(done(second).taints()).containsExactly(FOREIGN);
  }

  @Test
  void foreignTaintsStayAsTheyAreWhileOursComesAndGoes() throws IOException {
    Taint second = new Taint("example.com/second", "", "PreferNoSchedule", "");
    createNode();
    setTaints("[%s,%s]".formatted(json(FOREIGN), json(second)));
    NodeView seen = node.read().orElseThrow();
    // What kubelet does every few seconds; it must not make a change of taints stale.
    patchStatus(
        nodePath(), "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");

    NodeView with = done(node.change(NodeChange.of(seen).withTaint(GATE)));
    NodeView without = done(node.change(NodeChange.of(with).withoutTaint(GATE.key())));

    assertThat(with.taints()).containsExactly(FOREIGN, second, GATE);
    assertThat(without.taints()).containsExactly(FOREIGN, second);
    assertThat(done(node.change(NodeChange.of(without)))).as("nothing to write").isEqualTo(without);
  }

  @Test
  void theFirstTaintIsAddedAndTheLastRemoved() throws IOException {
    createNode();
    setTaints("null");

    NodeView with = done(node.change(NodeChange.of(node.read().orElseThrow()).withTaint(GATE)));
    NodeView without = done(node.change(NodeChange.of(with).withoutTaint(GATE.key())));

    assertThat(with.taints()).containsExactly(GATE);
    assertThat(without.taints()).isEmpty();
  }

  @Test
  void theFirstTaintIsNotAddedOverOneThatCameInBetween() throws IOException {
    createNode();
    setTaints("null");
    NodeView seen = node.read().orElseThrow();
    setTaints("[%s]".formatted(json(FOREIGN)));

    Changed changed = node.change(NodeChange.of(seen).withTaint(GATE));

    assertThat(changed).isInstanceOf(Changed.Stale.class);
    assertThat(node.read().orElseThrow().taints()).containsExactly(FOREIGN);
  }

  @Test
  void taintAnnotationLabelAndCordonGoInOnePatch() throws IOException {
    createNode();
    setTaints("[%s,%s]".formatted(json(FOREIGN), json(GATE)));
    NodeView seen = node.read().orElseThrow();
    assertThat(seen.annotations()).isEmpty();

    // There is no map of annotations yet, then there is one: two kinds of patch.
    NodeView first =
        done(
            node.change(
                NodeChange.of(seen)
                    .withoutTaint(GATE.key())
                    .withAnnotation("nodeward.dev/gate", "{\"a\":1}")
                    .withLabel("example.com/l", "1")
                    .cordoned()));
    NodeView second =
        done(
            node.change(
                NodeChange.of(first)
                    .withTaint(GATE)
                    .withAnnotation("nodeward.dev/drain", "x")
                    .withoutAnnotation("nodeward.dev/gate")
                    .withLabel("example.com/l", "2")
                    .uncordoned()));

    assertThat(first.taints()).containsExactly(FOREIGN);
    assertThat(first.annotations()).containsEntry("nodeward.dev/gate", "{\"a\":1}");
    assertThat(first.labels()).containsEntry("example.com/l", "1");
    assertThat(first.unschedulable()).isTrue();
    assertThat(second.taints()).containsExactly(FOREIGN, GATE);
    assertThat(second.annotations())
        .containsEntry("nodeward.dev/drain", "x")
        .doesNotContainKey("nodeward.dev/gate");
    assertThat(second.labels()).containsEntry("example.com/l", "2");
    assertThat(second.unschedulable()).isFalse();
  }

  @Test
  void aCordonDecidedOnAnOldStateIsStale() throws IOException {
    createNode();
    NodeView seen = node.read().orElseThrow();
    merge(nodePath(), "{\"spec\":{\"unschedulable\":true}}");

    Changed changed = node.change(NodeChange.of(seen).cordoned());

    assertThat(changed).isInstanceOf(Changed.Stale.class);
    assertThat(((Changed.Stale) changed).why()).contains("the object has been modified");
  }

  @Test
  void aCordonWithATaintDecidedOnAnOldStateIsStale() throws IOException {
    createNode();
    setTaints("[%s]".formatted(json(FOREIGN)));
    NodeView seen = node.read().orElseThrow();
    merge(nodePath(), "{\"spec\":{\"unschedulable\":true}}");

    Changed changed = node.change(NodeChange.of(seen).cordoned().withTaint(GATE));

    assertThat(changed).isInstanceOf(Changed.Stale.class);
  }

  @Test
  void aNodeThatRegisteredAnewUnderItsNameIsNotTakenForTheOldOne() throws IOException {
    createNode();
    setTaints("[%s,%s]".formatted(json(FOREIGN), json(GATE)));
    NodeView seen = node.read().orElseThrow();
    request("DELETE", nodePath(), "");
    createNode();
    setTaints("[%s,%s]".formatted(json(FOREIGN), json(GATE)));

    Changed changed = node.change(NodeChange.of(seen).withoutTaint(GATE.key()));

    assertThat(changed).isInstanceOf(Changed.Stale.class);
  }

  @Test
  void whoWroteTheTaintsLastIsTheirManager() throws IOException {
    assertThat(node.taintManagers()).as("no node").isEmpty();
    createNode();
    setTaints("null");
    List<String> ofNone = node.taintManagers();
    merge(
        nodePath() + "?fieldManager=somebody",
        "{\"spec\":{\"taints\":[%s]}}".formatted(json(FOREIGN)));
    List<String> ofTheirs = node.taintManagers();
    merge(nodePath() + "?fieldManager=labeller", "{\"metadata\":{\"labels\":{\"l\":\"1\"}}}");
    List<String> afterALabel = node.taintManagers();
    NodeView ours = done(node.change(NodeChange.of(node.read().orElseThrow()).withTaint(GATE)));
    List<String> ofBoth = node.taintManagers();
    done(node.change(NodeChange.of(ours).withoutTaint(FOREIGN.key()).withoutTaint(GATE.key())));

    assertThat(ofNone).isEmpty();
    assertThat(ofTheirs).containsExactly("somebody");
    assertThat(afterALabel).containsExactly("somebody");
    assertThat(ofBoth).containsExactly("nodeward");
    assertThat(node.taintManagers()).isEmpty();
  }

  @Test
  void aChangeThatTheApiServerFindsInvalidIsAnErrorWithItsReason() throws IOException {
    createNode();
    setTaints("[%s]".formatted(json(FOREIGN)));
    NodeView seen = node.read().orElseThrow();

    assertThatThrownBy(
            () -> node.change(NodeChange.of(seen).withTaint(new Taint("k", "", "Sometimes", ""))))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("patch node " + nodeName)
        .hasMessageContaining("Unsupported value: \"Sometimes\"")
        .hasMessageContaining("422");
    assertThatThrownBy(
            () ->
                node.change(NodeChange.of(seen).withTaint(new Taint("k", "a b", "NoExecute", ""))))
        .hasMessageContaining("Invalid value: \"a b\": a valid label must be");
  }

  @Test
  void conditionsOfOthersStayWhenOursAreWritten() throws IOException {
    createNode();
    patchStatus(
        nodePath(),
        "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"KubeletReady\"}]}}");

    NodeView written = done(node.writeConditions(List.of(condition(Condition.Status.TRUE))));
    NodeView again = done(node.writeConditions(List.of(condition(Condition.Status.FALSE))));

    assertThat(written.condition("Ready").orElseThrow().reason()).isEqualTo("KubeletReady");
    assertThat(written.condition("ConntrackPressure")).contains(condition(Condition.Status.TRUE));
    assertThat(again.conditions()).hasSize(2);
    assertThat(again.condition("ConntrackPressure")).contains(condition(Condition.Status.FALSE));
    JsonNode raw = get(nodePath());
    assertThat(raw.at("/status/conditions").findValuesAsText("lastHeartbeatTime"))
        .anySatisfy(t -> assertThat(Instant.parse(t)).isAfter(Instant.now().minusSeconds(60)));
  }

  @Test
  void conditionsThatAreRemovedLeaveThoseOfOthers() throws IOException {
    createNode();
    patchStatus(
        nodePath(),
        "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"KubeletReady\"}]}}");
    node.writeConditions(List.of(condition(Condition.Status.TRUE)));

    NodeView left = done(node.removeConditions(List.of("ConntrackPressure", "NotThere")));

    assertThat(left.conditions()).extracting(Condition::type).containsExactly("Ready");
    assertThat(done(node.removeConditions(List.of("ConntrackPressure"))).conditions()).hasSize(1);
  }

  // --- evictions

  @Test
  void anAcceptedEvictionEndsThePodInItsTime() throws IOException {
    Pod pod = runningPod(nodeName + "-a");
    var evictions = new KubeEvictions(kube);

    Evicted tried = evictions.tryEvict(pod);
    JsonNode untouched = get(podPath(pod.name()));
    Evicted evicted = evictions.evict(pod);

    assertThat(tried).isEqualTo(new Evicted.Accepted());
    assertThat(untouched.path("metadata").has("deletionTimestamp")).isFalse();
    assertThat(evicted).isEqualTo(new Evicted.Accepted());
    Pod ending = open(new OwnPods(kube, nodeName)).read().getFirst();
    assertThat(ending.terminating()).isTrue();
    assertThat(ending.deletion()).isAfter(Instant.now().plusSeconds(20));
    assertThat(evictions.evict(pod)).as("again").isEqualTo(new Evicted.Accepted());
    request("DELETE", podPath(pod.name()) + "?gracePeriodSeconds=0", "");
    assertThat(evictions.evict(pod)).as("when it has ended").isEqualTo(new Evicted.Gone());
  }

  @Test
  void anotherPodOfTheSameNameIsNotEvicted() throws IOException {
    Pod pod = runningPod(nodeName + "-a");
    request("DELETE", podPath(pod.name()) + "?gracePeriodSeconds=0", "");
    runningPod(nodeName + "-a");
    var evictions = new KubeEvictions(kube);

    assertThat(evictions.tryEvict(pod)).isEqualTo(new Evicted.Gone());
    assertThat(evictions.evict(pod)).isEqualTo(new Evicted.Gone());
    assertThat(get(podPath(pod.name())).path("metadata").has("deletionTimestamp")).isFalse();
  }

  @Test
  void aBudgetBlocksAnEvictionAndIsNamed() throws IOException {
    Pod pod = runningPod(nodeName + "-a");
    String budget = createBudget(nodeName + "-budget");
    var evictions = new KubeEvictions(kube);

    Evicted early = evictions.evict(pod);
    setBudget(budget, 0);
    Evicted blocked = evictions.evict(pod);
    Evicted tried = evictions.tryEvict(pod);
    setBudget(budget, 1);
    Evicted allowed = evictions.evict(pod);

    assertThat(early)
        .isEqualTo(
            new Evicted.Blocked(
                "The disruption budget " + budget + " is still being processed by the server.",
                Duration.ofSeconds(10)));
    var because =
        new Evicted.Blocked(
            "The disruption budget " + budget + " needs 1 healthy pods and has 1 currently",
            Duration.ZERO);
    assertThat(blocked).isEqualTo(because);
    assertThat(tried).isEqualTo(because);
    assertThat(allowed).isEqualTo(new Evicted.Accepted());
    assertThat(get(budgetPath(budget)).at("/status/disruptionsAllowed").asInt()).isZero();
  }

  @Test
  void aBudgetIsLookedAtBeforeTheUid() throws IOException {
    Pod pod = runningPod(nodeName + "-a");
    request("DELETE", podPath(pod.name()) + "?gracePeriodSeconds=0", "");
    runningPod(nodeName + "-a");
    setBudget(createBudget(nodeName + "-budget"), 0);

    assertThat(new KubeEvictions(kube).evict(pod)).isInstanceOf(Evicted.Blocked.class);
  }

  @Test
  void twoBudgetsBlockAnEviction() throws IOException {
    Pod pod = runningPod(nodeName + "-a");
    setBudget(createBudget(nodeName + "-1"), 5);
    setBudget(createBudget(nodeName + "-2"), 5);

    Evicted evicted = new KubeEvictions(kube).evict(pod);

    assertThat(evicted)
        .isEqualTo(
            new Evicted.Blocked(
                Evicted.By.BUDGETS,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource"
                    + " does not support.",
                Duration.ZERO));
  }

  @Test
  void aPodThatHasEndedOrNeverRanIsNoBusinessOfABudget() throws IOException {
    String name = nodeName + "-a";
    createPod(name, nodeName);
    Pod pod = open(new OwnPods(kube, nodeName)).read().getFirst();
    setBudget(createBudget(nodeName + "-budget"), 0);

    assertThat(new KubeEvictions(kube).evict(pod)).isEqualTo(new Evicted.Accepted());
  }

  @Test
  void aNamespaceThatIsEndingBlocksAnEviction() throws IOException {
    String namespace = nodeName + "-ending";
    request("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"%s\"}}".formatted(namespace));
    request("POST", "/api/v1/namespaces/" + namespace + "/pods", pod("a", nodeName));
    Pod pod = open(new OwnPods(kube, nodeName)).read().getFirst();
    request("DELETE", "/api/v1/namespaces/" + namespace, "");

    Await.until(
        "the API server has noticed",
        () ->
            new KubeEvictions(kube).evict(pod)
                    instanceof Evicted.Blocked(Evicted.By by, String why, Duration retryAfter)
                && by == Evicted.By.NAMESPACE
                && why.equals("namespace " + namespace + " is being terminated")
                && retryAfter.isZero());
  }

  @Test
  void aFinishedPodIsGoneAtOnce() throws IOException {
    Pod pod = runningPod(nodeName + "-a");
    patchStatus(podPath(pod.name()), "{\"status\":{\"phase\":\"Succeeded\"}}");

    assertThat(new KubeEvictions(kube).evict(pod)).isEqualTo(new Evicted.Accepted());
    assertThat(open(new OwnPods(kube, nodeName)).read()).isEmpty();
  }

  // --- events

  @Test
  void anEventIsOnTheNodeAndCountedUpWhenItComesAgain() throws IOException {
    var events = open(new KubeEvents(kube, nodeName, Time.SYSTEM));
    events.start();

    events.tell(NodeEvents.Type.WARNING, "SpotInterruption", "the instance ends");
    events.tell(NodeEvents.Type.WARNING, "SpotInterruption", "the instance ends");
    events.tell(NodeEvents.Type.NORMAL, "Drained", "no pod left");

    String path =
        "/api/v1/namespaces/default/events?fieldSelector="
            + KubeClient.segment("involvedObject.kind=Node,involvedObject.uid=" + nodeName);
    Await.until("both are there", () -> get(path).path("items").size() == 2);
    JsonNode items = get(path).path("items");
    JsonNode first = items.get(items.get(0).path("reason").asText().equals("Drained") ? 1 : 0);
    assertThat(first.path("type").asText()).isEqualTo("Warning");
    assertThat(first.path("message").asText()).isEqualTo("the instance ends");
    assertThat(first.path("count").asInt()).isEqualTo(2);
    assertThat(first.at("/source/component").asText()).isEqualTo("nodeward");
    assertThat(first.at("/involvedObject/name").asText()).isEqualTo(nodeName);
  }

  // --- DaemonSets

  @Test
  void aDaemonSetIsReadWithItsPlacement() throws IOException {
    String uid =
        createDaemonSet(
                nodeName + "-a",
                """
                "hostNetwork": true,
                "nodeName": "n1",
                "nodeSelector": {"gpu": "true"},
                "tolerations": [
                  {"operator": "Exists", "effect": "NoExecute"},
                  {"key": "team", "value": "a"}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                  "nodeSelectorTerms": [
                    {"matchExpressions": [
                       {"key": "cpus", "operator": "Gt", "values": ["4"]},
                       {"key": "zone", "operator": "In", "values": ["a", "b"]},
                       {"key": "old", "operator": "DoesNotExist"}]},
                    {"matchFields": [
                       {"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]}}},
                """)
            .at("/metadata/uid")
            .asText();
    var daemonSets = new KubeDaemonSets(kube);

    Await.until("it is in the cache", () -> readDaemonSet(nodeName + "-a").isPresent());
    assertThat(readDaemonSet(nodeName + "-a"))
        .contains(
            new DaemonSetView(
                "default",
                nodeName + "-a",
                uid,
                new Placement(
                    "n1",
                    Map.of("gpu", "true"),
                    Placement.Affinity.REQUIRED,
                    List.of(
                        new Placement.Term(
                            List.of(
                                new Placement.Expression("cpus", "Gt", List.of("4")),
                                new Placement.Expression("zone", "In", List.of("a", "b")),
                                new Placement.Expression("old", "DoesNotExist", List.of())),
                            List.of()),
                        new Placement.Term(
                            List.of(),
                            List.of(
                                new Placement.Expression("metadata.name", "In", List.of("n1"))))),
                    List.of(
                        new Placement.Toleration("", "Exists", "", "NoExecute"),
                        new Placement.Toleration("team", "Equal", "a", "")),
                    true)));
    assertThat(daemonSets.read("default", nodeName + "-missing")).isEmpty();
    assertThat(daemonSets.read("no-such-namespace", nodeName + "-a")).isEmpty();
  }

  @Test
  void daemonSetsAreSelectedByLabelInPages() throws IOException {
    for (String each : List.of("a", "b", "c")) {
      createDaemonSet(nodeName + "-" + each, "");
    }
    var daemonSets = new KubeDaemonSets(kube, 2);

    assertThat(daemonSets.select("default", "app=" + nodeName))
        .extracting(DaemonSetView::fullName)
        .containsExactlyInAnyOrder(
            "default/" + nodeName + "-a",
            "default/" + nodeName + "-b",
            "default/" + nodeName + "-c");
    assertThat(daemonSets.select("default", "app in (x, " + nodeName + "),!other")).hasSize(3);
    assertThat(daemonSets.select("default", "app=" + nodeName + ",other")).isEmpty();
    assertThat(daemonSets.select("no-such-namespace", "app=" + nodeName)).isEmpty();
    assertThatThrownBy(() -> daemonSets.select("default", "app=a=b"))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "list daemonsets of namespace default with app=a=b:"
                + " found '=', expected: ',' or 'end of string' (400)");
  }

  // --- closed nodes

  @Test
  void oneNodeMayCloseWhateverTheShareAndGivesItsPlaceBack() throws IOException {
    createNode();
    String namespace = createNamespace();
    var one = new KubeClosedNodes(kube, "one", namespace, Time.SYSTEM);
    var two = new KubeClosedNodes(kube, "two", namespace, Time.SYSTEM);

    one.release();
    assertThat(one.take(0)).isEqualTo(ClosedNodes.Place.TAKEN);
    assertThat(one.take(0)).as("again").isEqualTo(ClosedNodes.Place.TAKEN);
    assertThat(two.take(0)).isEqualTo(ClosedNodes.Place.FULL);
    two.release();
    assertThat(two.take(0)).isEqualTo(ClosedNodes.Place.FULL);
    one.release();
    assertThat(two.take(0)).isEqualTo(ClosedNodes.Place.TAKEN);
    assertThat(one.take(0)).isEqualTo(ClosedNodes.Place.FULL);
  }

  @Test
  void allNodesAreCountedThoughOneIsRead() throws IOException {
    createNode();
    for (int i = 0; i < 3; i++) {
      request(
          "POST", "/api/v1/nodes", "{\"metadata\":{\"name\":\"%s-%d\"}}".formatted(nodeName, i));
    }
    String namespace = createNamespace();

    for (int i = 0; i < 4; i++) {
      assertThat(new KubeClosedNodes(kube, "n" + i, namespace, Time.SYSTEM).take(1))
          .isEqualTo(ClosedNodes.Place.TAKEN);
    }
  }

  @Test
  void ofManyThatCloseAtOnceOnlyTheShareDoes() throws Exception {
    String namespace = createNamespace();

    List<ClosedNodes.Place> places = takeAtOnce(namespace, 8);

    assertThat(places).filteredOn(ClosedNodes.Place.TAKEN::equals).hasSize(1);
    JsonNode lease =
        get("/apis/coordination.k8s.io/v1/namespaces/%s/leases/nodeward-gate".formatted(namespace));
    String closed = lease.at("/metadata/annotations").path("nodeward.dev/closed").asText();
    assertThat(new ObjectMapper().readTree(closed).properties())
        .singleElement()
        .satisfies(
            e ->
                assertThat(Instant.parse(e.getValue().asText()))
                    .isAfter(Instant.now().minusSeconds(60)));
  }

  @Test
  void withoutItsNamespaceClosedNodesCannotBeCounted() {
    var closed = new KubeClosedNodes(kube, "one", "no-such-namespace", Time.SYSTEM);

    assertThatThrownBy(() -> closed.take(1))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "create lease no-such-namespace/nodeward-gate of closed nodes:"
                + " namespaces \"no-such-namespace\" not found (404)");
  }

  // --- tokens of service accounts

  @Test
  void aTokenIsBoundToAPodOfItsServiceAccountAndEndsWithIt() throws Exception {
    String namespace = createNamespace(nodeName + "-tokens");
    String other = createPodWithAccount(namespace, "stranger", "other");
    String uid = createPodWithAccount(namespace, "identity", "agent");

    Answer noAccount = requestToken(namespace, "missing", "identity", uid, 3600);
    assertThat(noAccount.code()).isEqualTo(404);
    assertThat(noAccount.message()).isEqualTo("serviceaccounts \"missing\" not found");
    Answer noPod = requestToken(namespace, "agent", "missing", uid, 3600);
    assertThat(noPod.code()).isEqualTo(404);
    assertThat(noPod.message()).isEqualTo("pods \"missing\" not found");
    Answer ofOther = requestToken(namespace, "agent", "stranger", other, 3600);
    assertThat(ofOther.code()).isEqualTo(400);
    assertThat(ofOther.message()).contains("to pod running with different serviceaccount name");
    Answer wrongUid = requestToken(namespace, "agent", "identity", other, 3600);
    assertThat(wrongUid.code()).isEqualTo(409);
    assertThat(wrongUid.message()).contains("does not match the UID in record");
    Answer tooShort = requestToken(namespace, "agent", "identity", uid, 60);
    assertThat(tooShort.code()).isEqualTo(422);
    assertThat(tooShort.message()).contains("may not specify a duration less than 10 minutes");

    Answer issued = requestToken(namespace, "agent", "identity", uid, 3600);
    assertThat(issued.code()).isEqualTo(201);
    assertThat(issued.json().at("/spec/expirationSeconds").asLong()).isEqualTo(3600);
    assertThat(Instant.parse(issued.json().at("/status/expirationTimestamp").asText()))
        .isBetween(Instant.now().plusSeconds(3500), Instant.now().plusSeconds(3610));
    String token = issued.json().at("/status/token").asText();
    assertThat(asked(token)).isNotEqualTo(401);
    assertThat(asked(token)).isNotEqualTo(401);

    request(
        "DELETE",
        "/api/v1/namespaces/%s/pods/identity".formatted(namespace),
        "{\"gracePeriodSeconds\":0}");
    Await.until("the token is refused", Duration.ofSeconds(30), () -> asked(token) == 401);
  }

  private String createPodWithAccount(String namespace, String name, String account)
      throws IOException {
    request(
        "POST",
        "/api/v1/namespaces/%s/serviceaccounts".formatted(namespace),
        "{\"metadata\":{\"name\":\"%s\"}}".formatted(account));
    return request(
            "POST",
            "/api/v1/namespaces/%s/pods".formatted(namespace),
            """
            {"metadata": {"name": "%s"},
             "spec": {"serviceAccountName": "%s", "nodeName": "%s",
               "containers": [{"name": "c", "image": "i"}]}}
            """
                .formatted(name, account, nodeName))
        .at("/metadata/uid")
        .asText();
  }

  private Answer requestToken(String namespace, String account, String pod, String uid, int seconds)
      throws IOException {
    return admin.send(
        "request a token",
        "POST",
        "/api/v1/namespaces/%s/serviceaccounts/%s/token".formatted(namespace, account),
        KubeClient.JSON,
        """
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
         "spec": {"expirationSeconds": %d, "boundObjectRef":
           {"apiVersion": "v1", "kind": "Pod", "name": "%s", "uid": "%s"}}}
        """
            .formatted(seconds, pod, uid));
  }

  /** The code that the API server answers to whoever shows the token. */
  private int asked(String token) throws IOException {
    var config = io.fabric8.kubernetes.client.Config.fromKubeconfig(kubeconfig().toFile());
    var plain = io.fabric8.kubernetes.client.Config.empty();
    plain.setMasterUrl(config.getMasterUrl());
    plain.setCaCertData(config.getCaCertData());
    plain.setOauthToken(token);
    try (var client =
        new io.fabric8.kubernetes.client.KubernetesClientBuilder().withConfig(plain).build()) {
      var http = client.getHttpClient();
      return http.sendAsync(
              http.newHttpRequestBuilder()
                  .uri(config.getMasterUrl().replaceAll("/$", "") + nodePath())
                  .build(),
              String.class)
          .get()
          .code();
    } catch (InterruptedException | java.util.concurrent.ExecutionException e) {
      throw new IOException(e);
    }
  }

  // --- the scene

  private Optional<DaemonSetView> readDaemonSet(String name) throws IOException {
    return new KubeDaemonSets(kube).read("default", name);
  }

  private JsonNode createDaemonSet(String name, String podSpec) throws IOException {
    return request(
        "POST",
        "/apis/apps/v1/namespaces/default/daemonsets",
        """
        {"apiVersion": "apps/v1", "kind": "DaemonSet",
         "metadata": {"name": "%s", "labels": {"app": "%s"}},
         "spec": {"selector": {"matchLabels": {"app": "%2$s"}},
           "template": {"metadata": {"labels": {"app": "%2$s"}},
             "spec": {%s "containers": [{"name": "c", "image": "i"}]}}}}
        """
            .formatted(name, nodeName, podSpec));
  }

  private String createNamespace() throws IOException {
    return createNamespace(nodeName + "-gate");
  }

  private String createNamespace(String namespace) throws IOException {
    request("POST", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"%s\"}}".formatted(namespace));
    return namespace;
  }

  private List<ClosedNodes.Place> takeAtOnce(String namespace, int nodes) throws Exception {
    var takes = new ArrayList<Callable<ClosedNodes.Place>>();
    for (int i = 0; i < nodes; i++) {
      var closed = new KubeClosedNodes(kube, "n" + i, namespace, Time.SYSTEM);
      takes.add(() -> closed.take(0));
    }
    var places = new ArrayList<ClosedNodes.Place>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      for (Future<ClosedNodes.Place> each : threads.invokeAll(takes)) {
        places.add(each.get());
      }
    }
    return places;
  }

  private KubeClient client(String version) throws IOException {
    return Scene.client(
        Scene.config(kubeconfig().toString(), Duration.ofSeconds(10), Duration.ofSeconds(1)),
        version,
        Map.of(),
        new CollectorRegistry());
  }

  private <T extends AutoCloseable> T open(T each) {
    opened.add(each);
    return each;
  }

  private JsonNode get(String path) throws IOException {
    Answer answer = admin.get("GET " + path, path);
    if (!answer.accepted()) {
      throw answer.failure();
    }
    return answer.json();
  }

  private JsonNode request(String method, String path, String body) throws IOException {
    return request(method, path, KubeClient.JSON, body);
  }

  private JsonNode request(String method, String path, String type, String body)
      throws IOException {
    Answer answer = admin.send(method + " " + path, method, path, type, body);
    if (!answer.accepted()) {
      throw answer.failure();
    }
    return answer.json();
  }

  private void merge(String path, String patch) throws IOException {
    request("PATCH", path, NodePatch.MERGE_PATCH, patch);
  }

  private void patchStatus(String path, String patch) throws IOException {
    request("PATCH", path + "/status", "application/strategic-merge-patch+json", patch);
  }

  private void createNode() throws IOException {
    request(
        "POST",
        "/api/v1/nodes",
        """
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "%s"},
         "spec": {"providerID": "aws:///eu-west-1a/i-0123456789abcdef0"},
         "status": {"nodeInfo": {"bootID": "boot-1"}}}
        """
            .formatted(nodeName));
  }

  /** The API server adds node.kubernetes.io/not-ready to what is created. */
  private void setTaints(String list) throws IOException {
    merge(nodePath(), "{\"spec\":{\"taints\":%s}}".formatted(list));
  }

  private void createPod(String name, String on) throws IOException {
    request("POST", "/api/v1/namespaces/default/pods", pod(name, on));
  }

  private String pod(String name, String on) {
    return """
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "%s", "labels": {"app": "%s"}},
     "spec": {"nodeName": "%s", "containers": [{"name": "c", "image": "i"}]}}
    """
        .formatted(name, nodeName, on);
  }

  private void runPod(String name) throws IOException {
    patchStatus(
        podPath(name),
        """
        {"status": {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}],
          "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T08:00:00Z"}]}}
        """);
  }

  private Pod runningPod(String name) throws IOException {
    createPod(name, nodeName);
    runPod(name);
    return open(new OwnPods(kube, nodeName)).read().stream()
        .filter(p -> p.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  /** For the pods of this test. */
  private String createBudget(String name) throws IOException {
    request(
        "POST",
        "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
        """
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "%s"},
         "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "%s"}}}}
        """
            .formatted(name, nodeName));
    return name;
  }

  /** What the disruption controller would write. */
  private void setBudget(String name, int allowed) throws IOException {
    request(
        "PATCH",
        budgetPath(name) + "/status",
        NodePatch.MERGE_PATCH,
        """
        {"status": {"observedGeneration": 1, "disruptionsAllowed": %d, "currentHealthy": 1,
          "desiredHealthy": 1, "expectedPods": 1}}
        """
            .formatted(allowed));
  }

  private String nodePath() {
    return "/api/v1/nodes/" + nodeName;
  }

  private static String podPath(String name) {
    return "/api/v1/namespaces/default/pods/" + name;
  }

  private static String budgetPath(String name) {
    return "/apis/policy/v1/namespaces/default/poddisruptionbudgets/" + name;
  }

  private static String json(Taint taint) {
    ObjectNode json = new ObjectMapper().createObjectNode();
    json.put("key", taint.key()).put("effect", taint.effect());
    if (!taint.value().isEmpty()) {
      json.put("value", taint.value());
    }
    if (!taint.timeAdded().isEmpty()) {
      json.put("timeAdded", taint.timeAdded());
    }
    return json.toString();
  }

  private static Condition condition(Condition.Status status) {
    return new Condition(
        "ConntrackPressure",
        status,
        "ConntrackNearFull",
        "91 % of the table",
        Instant.parse("2026-11-21T08:00:00Z"));
  }

  private static NodeChange anyChangeOf(String name) {
    return NodeChange.of(
            new NodeView(name, "uid", "1", "", "", false, List.of(), Map.of(), Map.of(), List.of()))
        .cordoned();
  }

  private static NodeView done(Changed changed) {
    assertThat(changed).isInstanceOf(Changed.Done.class);
    return ((Changed.Done) changed).node();
  }
}
