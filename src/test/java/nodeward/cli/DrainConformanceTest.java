package nodeward.cli;

import static nodeward.cli.DrainScene.RUNNING;
import static nodeward.cli.DrainScene.eventually;
import static nodeward.cli.DrainScene.labels;
import static nodeward.cli.DrainScene.owner;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import nodeward.cli.DrainScene.Ended;
import nodeward.cli.DrainScene.Kubelet;
import nodeward.kube.FakeApiServer.Request;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What kubectl's own tests ask of drain, by their numbers in the conformance tables, and what they
 * do not ask. Where Nodeward does otherwise, docs/drain.md says so.
 */
@Timeout(120)
final class DrainConformanceTest {
  private static final String EMPTY_DIR = "volumes: [{name: scratch, emptyDir: {}}]";
  private static final String RC = owner("v1", "ReplicationController", "rc");
  private static final String RS = owner("apps/v1", "ReplicaSet", "rs");
  private static final String JOB = owner("batch/v1", "Job", "job");
  private static final String DS = owner("apps/v1", "DaemonSet", "ds");
  private static final String MISSING_DS = owner("apps/v1", "DaemonSet", "missing-ds");
  private static final String SUCCEEDED = "phase: Succeeded";
  private static final String FAILED = "phase: Failed";
  private static final String NAKED_ERROR =
      "Pods that declare no controller (use --force to override): default/bar";

  @TempDir private Path directory;
  private DrainScene scene;

  @BeforeEach
  void open() throws IOException {
    scene = new DrainScene(directory);
  }

  @AfterEach
  void close() throws IOException {
    scene.close();
  }

  /** What becomes of pod default/bar. */
  enum Fate {
    GOES,
    STAYS,
    /** It stays, and nothing is evicted. */
    FORBIDS
  }

  record Row(
      String name, String owner, String spec, String status, Fate fate, String text, String flags) {
    @Override
    public String toString() {
      return name;
    }
  }

  static List<Row> table() {
    return List.of(
        new Row("D1 RC-managed pod", RC, "", RUNNING, Fate.GOES, "", ""),
        new Row(
            "D2 DS-managed pod",
            DS,
            "",
            RUNNING,
            Fate.FORBIDS,
            "DaemonSet-managed Pods (use --ignore-daemonsets to ignore): default/bar",
            ""),
        new Row("D3 DS-managed terminated pod", DS, "", SUCCEEDED, Fate.GOES, "", ""),
        new Row("D4 orphaned pod", "", "", RUNNING, Fate.FORBIDS, NAKED_ERROR, ""),
        new Row(
            "D5 orphaned pod with --force",
            "",
            "",
            RUNNING,
            Fate.GOES,
            "Warning: deleting Pods that declare no controller: default/bar",
            "--force"),
        new Row(
            "D6 DS-managed pod, ignored",
            DS,
            "",
            RUNNING,
            Fate.STAYS,
            "Warning: ignoring DaemonSet-managed Pods: default/bar",
            "--ignore-daemonsets"),
        new Row(
            "D7 DS-managed pod with emptyDir, ignored",
            DS,
            EMPTY_DIR,
            RUNNING,
            Fate.STAYS,
            "Warning: ignoring DaemonSet-managed Pods: default/bar",
            "--ignore-daemonsets"),
        new Row(
            "D8 Job-managed pod with emptyDir",
            JOB,
            EMPTY_DIR,
            RUNNING,
            Fate.GOES,
            "Warning: deleting Pods with local storage: default/bar",
            "--force --delete-emptydir-data=true"),
        new Row("D9 Job-managed terminated pod", JOB, EMPTY_DIR, SUCCEEDED, Fate.GOES, "", ""),
        new Row("D10 RS-managed pod", RS, "", RUNNING, Fate.GOES, "", ""),
        new Row("D11 naked pod", "", "", RUNNING, Fate.FORBIDS, NAKED_ERROR, ""),
        new Row("D12 naked pod with --force", "", "", RUNNING, Fate.GOES, "", "--force"),
        new Row(
            "D13 naked pod with emptyDir and --force",
            "",
            EMPTY_DIR,
            RUNNING,
            Fate.FORBIDS,
            "Pods with local storage (use --delete-emptydir-data to override): default/bar",
            "--force"),
        new Row("D14 terminated pod with emptyDir", "", EMPTY_DIR, FAILED, Fate.GOES, "", ""),
        new Row(
            "D15 pod with emptyDir, --force and --delete-emptydir-data",
            "",
            EMPTY_DIR,
            RUNNING,
            Fate.GOES,
            "Warning: deleting Pods with local storage: default/bar;"
                + " deleting Pods that declare no controller: default/bar",
            "--force --delete-emptydir-data"),
        new Row(
            "add: mirror pod",
            "annotations: {kubernetes.io/config.mirror: abc},",
            EMPTY_DIR,
            RUNNING,
            Fate.STAYS,
            "",
            ""),
        new Row(
            "add: pod of a DaemonSet that is gone",
            MISSING_DS,
            "",
            RUNNING,
            Fate.FORBIDS,
            "cannot delete daemonsets.apps \"missing-ds\" not found: default/bar",
            "--ignore-daemonsets"),
        new Row(
            "add: pod of a DaemonSet that is gone, with --force",
            MISSING_DS,
            "",
            RUNNING,
            Fate.GOES,
            "",
            "--ignore-daemonsets --force"),
        new Row(
            "add: DaemonSet of extensions/v1beta1 is a controller like any other",
            owner("extensions/v1beta1", "DaemonSet", "ds"),
            "",
            RUNNING,
            Fate.GOES,
            "",
            ""),
        new Row(
            "add: --pod-selector that does not match",
            RS,
            "",
            RUNNING,
            Fate.STAYS,
            "",
            "--pod-selector=app=other"),
        new Row(
            "add: --pod-selector that matches",
            RS + labels("web"),
            "",
            RUNNING,
            Fate.GOES,
            "",
            "--pod-selector=app=web"));
  }

  @ParameterizedTest(name = "{0}, evicted")
  @MethodSource("table")
  void drainEvicts(Row row) {
    drain(row, "POST", "/eviction", "DELETE", "evicted");
  }

  @ParameterizedTest(name = "{0}, deleted")
  @MethodSource("table")
  void drainDeletes(Row row) {
    drain(row, "DELETE", "/pods/bar", "POST", "deleted", "--disable-eviction");
  }

  private void drain(
      Row row, String method, String ending, String never, String done, String... more) {
    scene.pod("bar", row.owner, row.spec, row.status);
    var args = new ArrayList<>(List.of("drain", "node"));
    args.addAll(row.flags.isEmpty() ? List.of() : List.of(row.flags.split(" ")));
    args.addAll(List.of(more));

    Ended ended = scene.run(args.toArray(String[]::new));

    assertThat(ended.code()).describedAs("%s", ended).isEqualTo(row.fate == Fate.FORBIDS ? 1 : 0);
    assertThat(scene.has("bar")).isEqualTo(row.fate != Fate.GOES);
    assertThat(scene.requests(method, ending)).hasSize(row.fate == Fate.GOES ? 1 : 0);
    assertThat(scene.requests(never, "")).isEmpty();
    assertThat(scene.unschedulable()).isTrue();
    assertThat(ended.out().getFirst()).isEqualTo("node/node cordoned");
    assertThat(String.join("\n", ended.err())).contains(row.text);
    if (row.fate != Fate.FORBIDS) {
      assertThat(ended.out().getLast()).isEqualTo("node/node drained");
    }
    if (row.fate == Fate.GOES) {
      assertThat(ended.out()).contains("pod/bar " + done);
    }
    assertThat(scene.requests("GET", "/api/v1/pods"))
        .isNotEmpty()
        .allMatch(r -> r.query().get("fieldSelector").equals("spec.nodeName=node"));
  }

  @Test
  void d16AnEmptyNodeIsDrained() {
    Ended ended = scene.run("drain", "node");

    assertThat(ended.code()).isZero();
    assertThat(ended.out()).containsExactly("node/node cordoned", "node/node drained");
    assertThat(ended.err()).isEmpty();
  }

  @ParameterizedTest(name = "D17 requests to remove a pod fail, disable-eviction={0}")
  @ValueSource(booleans = {false, true})
  void d17AFailingApiServerIsTriedUntilTimeIsUp(boolean deletes) {
    scene.pod("bar");
    scene.api.answerText(r -> r.path().contains("/pods/bar"), 503, "no upstream");

    Ended ended = scene.run("drain", "node", "--timeout=3s", "--disable-eviction=" + deletes);

    assertThat(ended.code()).isEqualTo(3);
    assertThat(scene.has("bar")).isTrue();
    assertThat(scene.unschedulable()).isTrue();
    assertThat(ended.err())
        .anyMatch(l -> l.contains("no upstream") && l.contains("will retry after"))
        .contains("There are pending nodes to be drained:", " node");
  }

  record CordonRow(
      String name, String command, String args, boolean before, int code, int patches) {
    @Override
    public String toString() {
      return name;
    }
  }

  static Stream<CordonRow> cordons() {
    return Stream.of(
        new CordonRow("C1 node/node syntax", "cordon", "node/node", false, 0, 1),
        new CordonRow("C2 uncordon for real", "uncordon", "node", true, 0, 1),
        new CordonRow("C3 uncordon does nothing", "uncordon", "node", false, 0, 0),
        new CordonRow("C4 cordon does nothing", "cordon", "node", true, 0, 0),
        new CordonRow("C5 cordon for real", "cordon", "node", false, 0, 1),
        new CordonRow("C6 cordon missing node", "cordon", "node nowhere", false, 1, 0),
        new CordonRow("C7 uncordon missing node", "uncordon", "nowhere node", true, 1, 0),
        new CordonRow("C8 cordon several nodes", "cordon", "node other", false, 0, 2),
        new CordonRow("C9 uncordon several nodes", "uncordon", "node other", true, 0, 2),
        new CordonRow("U cordon by --selector", "cordon", "-l pool=a", false, 0, 1),
        new CordonRow("Y cordon --dry-run", "cordon", "node --dry-run", false, 0, 0));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cordons")
  void cordons(CordonRow row) {
    scene.api.put("{kind: Node, metadata: {name: other, labels: {pool: a}}}");
    scene.unschedulable("node", row.before);
    scene.unschedulable("other", row.before);

    Ended ended =
        scene.run(
            Stream.concat(Stream.of(row.command), Stream.of(row.args.split(" ")))
                .toArray(String[]::new));

    assertThat(ended.code()).describedAs("%s", ended).isEqualTo(row.code);
    List<Request> patches =
        scene.api.requests().stream().filter(r -> r.method().equals("PATCH")).toList();
    assertThat(patches).hasSize(row.patches);
    assertThat(patches).allMatch(p -> p.body().contains("unschedulable"));
    if (row.code != 0) {
      assertThat(ended.err()).containsExactly("agent: nodes \"nowhere\" not found");
    } else {
      String done = row.command + "ed" + (row.args.endsWith("--dry-run") ? " (dry run)" : "");
      boolean nothing = row.before == row.command.equals("cordon");
      assertThat(ended.out()).allMatch(l -> l.endsWith((nothing ? " already " : " ") + done));
    }
  }

  @Test
  void p2APatchThatIsRefusedIsToldAndTheOtherNodesAreTried() {
    scene.api.put("{kind: Node, metadata: {name: other}}");
    scene.api.answer(
        r -> r.method().equals("PATCH") && r.path().endsWith("/node"), 403, "Forbidden", "no");

    Ended ended = scene.run("cordon", "node", "other");

    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.err())
        .singleElement()
        .asString()
        .startsWith("error: unable to cordon node \"node\"");
    assertThat(ended.out()).containsExactly("node/other cordoned");
    assertThat(scene.unschedulable()).isFalse();
  }

  @Test
  void aNodeThatCannotBeCordonedIsDrainedAllTheSame() {
    scene.pod("bar");
    scene.api.answer(r -> r.method().equals("PATCH"), 403, "Forbidden", "no");

    Ended ended = scene.run("drain", "node");

    assertThat(ended.code()).isZero();
    assertThat(ended.err()).anyMatch(l -> l.startsWith("error: unable to cordon node \"node\""));
    assertThat(scene.has("bar")).isFalse();
  }

  @Test
  void aNodeAndASelectorAreWrongUsage() {
    Ended ended = scene.run("drain", "node", "-l", "a=b");

    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.err().getFirst())
        .isEqualTo("cannot specify both a node name and a --selector option");
    assertThat(scene.unschedulable()).isFalse();
  }

  @Test
  void allNodesOfASelectorAreCordonedFirstAndThenDrained() {
    scene.api.put("{kind: Node, metadata: {name: other, labels: {pool: a}}}");
    scene.api.edit("nodes", "", "node", n -> n.withObject("/metadata/labels").put("pool", "a"));
    scene.pod("bar", "", "", RUNNING);

    Ended ended = scene.run("drain", "--selector", "pool in (a)");

    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.out())
        .containsExactly("node/node cordoned", "node/other cordoned", "node/other drained");
    assertThat(ended.err())
        .containsExactly(
            "error: unable to drain node \"node\" due to error: cannot delete "
                + NAKED_ERROR
                + ", continuing command...",
            "There are pending nodes to be drained:",
            " node");
  }

  // --- waiting

  @Test
  void w1EveryPodIsWaitedFor() throws Exception {
    scene.kubelet(Kubelet.IS_STUCK);
    List<JsonNode> pods =
        Stream.of("a", "b", "c", "d", "e", "f", "g", "h").map(scene::pod).toList();
    var drain = scene.start("drain", "node");
    eventually("all are evicted", () -> scene.requests("POST", "/eviction").size() == 8);

    assertThat(drain.isDone()).isFalse();
    pods.forEach(scene::end);

    assertThat(drain.get().code()).isZero();
    // Waiting is the watch's: no request asks whether a pod is there.
    assertThat(scene.requests("GET", "")).noneMatch(r -> r.path().contains("/pods/"));
  }

  @Test
  void w2AnotherPodOfTheSameNameElsewhereMeansGone() throws Exception {
    scene.kubelet(Kubelet.IS_STUCK);
    JsonNode pod = scene.pod("bar");
    var drain = scene.start("drain", "node");
    eventually("it is evicted", () -> !scene.requests("POST", "/eviction").isEmpty());

    scene.end(pod);
    scene.api.put(
        "{kind: Pod, metadata: {name: bar}, spec: {nodeName: other}, status: {phase: Running}}");

    assertThat(drain.get().code()).isZero();
    assertThat(scene.has("bar")).isTrue();
    assertThat(scene.requests("POST", "/eviction")).hasSize(1);
  }

  @Test
  void w3APodThatNeverGoesEndsWithThreeAndIsNamed() {
    scene.kubelet(Kubelet.IS_STUCK);
    scene.pod("bar");

    Ended ended = scene.run("drain", "node", "--timeout", "1s");

    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.err())
        .contains(
            "agent: node node is not drained, time is up: default/bar: evicted, has not ended yet");
  }

  @Test
  void w5APodThatWasToBeGoneLongAgoIsSkipped() {
    scene.kubelet(Kubelet.IS_STUCK);
    scene.pod("bar");
    scene.terminating("bar", Duration.ofSeconds(100));

    Ended ended = scene.run("drain", "node", "--skip-wait-for-delete-timeout=10");

    assertThat(ended.code()).isZero();
    assertThat(scene.requests("POST", "/eviction")).isEmpty();
  }

  @Test
  void w5bAPodThatBecomesOldEnoughWhileItIsWaitedForIsSkippedThen() {
    scene.kubelet(Kubelet.IS_STUCK);
    scene.pod("bar");
    scene.terminating("bar", Duration.ZERO);

    Ended ended = scene.run("drain", "node", "--skip-wait-for-delete-timeout=1");

    assertThat(ended.code()).isZero();
  }

  @Test
  void w6AnApiServerThatIsAwayForAMomentDoesNotFailTheDrain() throws Exception {
    scene.kubelet(Kubelet.IS_STUCK);
    JsonNode pod = scene.pod("bar");
    var drain = scene.start("drain", "node");
    eventually("it is evicted", () -> !scene.requests("POST", "/eviction").isEmpty());

    scene.api.answerText(r -> true, 500, "oops");
    scene.api.dropConnections();
    scene.end(pod);
    eventually("it is asked in vain", () -> scene.requests("GET", "/pods").size() > 2);
    assertThat(drain.isDone()).isFalse();
    scene.api.answerNormally();

    assertThat(drain.get().code()).isZero();
  }

  // --- what is sent

  @Test
  void o1EvictionsCarryTheGraceAndTheUid() throws Exception {
    JsonNode pod = scene.pod("bar");

    scene.run("drain", "node", "--grace-period=10");

    assertThat(json(scene.requests("POST", "/eviction").getFirst().body()))
        .isEqualTo(
            json(
                """
                {"apiVersion": "policy/v1", "kind": "Eviction",
                 "metadata": {"namespace": "default", "name": "bar"},
                 "deleteOptions": {"gracePeriodSeconds": 10, "preconditions": {"uid": "%s"}}}
                """
                    .formatted(pod.at("/metadata/uid").asText())));
  }

  @Test
  void o3WithEvictionDisabledPodsAreDeletedWhateverTheirBudget() throws Exception {
    JsonNode pod = scene.pod("bar");
    scene.budget("never", "bar", 0);

    Ended ended = scene.run("drain", "node", "--disable-eviction", "--grace-period=0");

    assertThat(ended.code()).isZero();
    JsonNode options = json(scene.requests("DELETE", "/pods/bar").getFirst().body());
    assertThat(options.path("gracePeriodSeconds").asInt()).isZero();
    assertThat(options.at("/preconditions/uid")).isEqualTo(pod.at("/metadata/uid"));
  }

  @ParameterizedTest(name = "Y1/Y2 server dry run, disable-eviction={0}")
  @ValueSource(booleans = {false, true})
  void aServerDryRunDoesNotWait(boolean deletes) {
    scene.pod("bar");

    Ended ended = scene.run("drain", "node", "--dry-run=server", "--disable-eviction=" + deletes);

    assertThat(ended.code()).isZero();
    assertThat(scene.has("bar")).isTrue();
    assertThat(scene.unschedulable()).isFalse();
    assertThat(scene.api.requests())
        .filteredOn(r -> !r.method().equals("GET"))
        .singleElement()
        .satisfies(r -> assertThat(r.body()).contains("\"dryRun\":[\"All\"]"));
    assertThat(ended.out().getLast()).isEqualTo("node/node drained (server dry run)");
  }

  @Test
  void aClientDryRunSendsNothing() {
    scene.pod("bar");

    Ended ended = scene.run("drain", "node", "--dry-run=client");

    assertThat(ended.code()).isZero();
    assertThat(ended.out())
        .containsExactly(
            "node/node cordoned (dry run)",
            "evicting pod default/bar (dry run)",
            "node/node drained (dry run)");
    assertThat(scene.api.requests()).allMatch(r -> r.method().equals("GET"));
  }

  // --- namespaces that end

  @Test
  void n1InANamespaceThatEndsThePodsEndIsWaitedFor() throws Exception {
    scene.pod("bar");
    scene.api.edit(
        "namespaces", "", "default", n -> n.withObject("/status").put("phase", "Terminating"));
    var drain = scene.start("drain", "node");
    eventually("it is refused", () -> !scene.requests("POST", "/eviction").isEmpty());

    scene.terminating("bar", Duration.ZERO);

    assertThat(drain.get().code()).isZero();
  }

  @Test
  void n2InANamespaceThatEndsAPodThatDoesNotIsNamedWhenTimeIsUp() {
    scene.pod("bar");
    scene.api.edit(
        "namespaces", "", "default", n -> n.withObject("/status").put("phase", "Terminating"));

    Ended ended = scene.run("drain", "node", "--timeout=3s");

    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.err())
        .anyMatch(l -> l.contains("default/bar: blocked: namespace default is being terminated"));
  }

  // --- pods that are to be gone already

  @ParameterizedTest(name = "S1-S3 deleted {0} s ago, limit 20 s")
  @ValueSource(ints = {-1, 1, 100})
  void s(int ago) {
    scene.pod("bar");
    if (ago >= 0) {
      scene.kubelet(Kubelet.IS_STUCK);
      scene.terminating("bar", Duration.ofSeconds(ago));
    }

    Ended ended =
        scene.run(
            "drain",
            "node",
            "--skip-wait-for-delete-timeout=20",
            ago == 1 ? "--timeout=2s" : "--timeout=60s");

    // Not deleted: evicted. A second ago: waited for until time is up. Long ago: skipped.
    assertThat(ended.code()).isEqualTo(ago == 1 ? 3 : 0);
    assertThat(scene.requests("POST", "/eviction")).hasSize(ago < 0 ? 1 : 0);
  }

  // --- what kubectl's tests do not ask

  @Test
  void addABlockedPodGoesAsSoonAsItsBudgetLetsIt() throws Exception {
    scene.pod("bar");
    scene.budget("few", "bar", 0);
    var drain = scene.start("drain", "node");
    eventually(
        "its budget is watched",
        () -> scene.requests("GET", "/poddisruptionbudgets").stream().anyMatch(Request::webSocket));
    int tries = scene.requests("POST", "/eviction").size();

    scene.budget("few", "bar", 1);
    Ended ended = drain.get();

    assertThat(ended.code()).isZero();
    assertThat(scene.requests("POST", "/eviction").size()).isGreaterThan(tries);
    assertThat(ended.err())
        .anyMatch(
            l ->
                l.matches(
                    "error when evicting pods/\"bar\" -n \"default\" \\(will retry after \\S+\\): "
                        + "The disruption budget few needs 1 healthy pods and has 1 currently"));
    eventually("nobody watches the budget any more", () -> scene.api.watches() == 0);
  }

  @Test
  void addRetryAfterIsHonoured() {
    scene.pod("bar");
    scene.api.answer(r -> r.path().endsWith("/eviction"), 429, Map.of("Retry-After", "60"), "busy");

    Ended ended = scene.run("drain", "node", "--timeout=3s");

    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.err().getFirst()).contains("(will retry after 60s): busy");
    assertThat(scene.requests("POST", "/eviction")).hasSize(1);
  }

  @Test
  void addABudgetThatNeverAllowsItIsNamedWhenTimeIsUp() {
    scene.pod("bar");
    scene.budget("never", "bar", 0);

    Ended ended = scene.run("drain", "node", "--timeout=3s");

    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.err()).anyMatch(l -> l.contains("time is up") && l.contains("never"));
    assertThat(scene.has("bar")).isTrue();
  }

  @Test
  void addA404OnEvictionMeansGone() {
    scene.pod("bar");
    scene.api.answer(
        r -> {
          boolean eviction = r.path().endsWith("/eviction");
          if (eviction) {
            scene.api.delete("pods", "default", "bar");
          }
          return false;
        },
        500,
        "",
        "");

    assertThat(scene.run("drain", "node").code()).isZero();
  }

  @Test
  void addAnApiServerWithoutEvictionsIsNotADrainedNode() {
    scene.pod("bar");
    scene.api.answer(
        r -> r.path().endsWith("/eviction"),
        404,
        "NotFound",
        "the server could not find the requested resource");

    Ended ended = scene.run("drain", "node");

    assertThat(ended.code()).isEqualTo(1);
    assertThat(scene.has("bar")).isTrue();
  }

  @Test
  void addTwoBudgetsOnOnePodAreBlockedAndBothNamed() throws Exception {
    scene.pod("bar");
    scene.budget("one", "bar", 5);
    scene.budget("two", "bar", 5);
    var drain = scene.start("drain", "node", "--timeout=3s");

    Ended ended = drain.get();

    assertThat(ended.code()).isEqualTo(3);
    assertThat(ended.err())
        .anyMatch(
            l ->
                l.contains("time is up: default/bar: blocked: 2 disruption budgets")
                    && l.endsWith("one, two"));
  }

  @Test
  void addOfTwoBudgetsOneIsTakenAwayAndThePodGoes() throws Exception {
    scene.pod("bar");
    scene.budget("one", "bar", 5);
    scene.budget("two", "bar", 5);
    var drain = scene.start("drain", "node");
    eventually(
        "they are watched",
        () -> scene.requests("GET", "/poddisruptionbudgets").stream().anyMatch(Request::webSocket));

    scene.api.delete("poddisruptionbudgets", "default", "two");

    assertThat(drain.get().code()).isZero();
  }

  @Test
  void addAnother403IsForGoodAndTheOthersGo() {
    scene.pod("bar");
    scene.pod("web");
    scene.api.answer(
        r -> r.path().endsWith("/pods/bar/eviction"), 403, "Forbidden", "denied by policy");

    Ended ended = scene.run("drain", "node");

    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.err())
        .contains("error when evicting pods/\"bar\" -n \"default\": denied by policy (403)");
    assertThat(scene.has("bar")).isTrue();
    assertThat(scene.has("web")).isFalse();
  }

  @Test
  void addA500OnEvictionOnceDoesNotFailTheDrain() {
    scene.pod("bar");
    var once = new java.util.concurrent.atomic.AtomicBoolean();
    scene.api.answer(
        r -> r.path().endsWith("/eviction") && once.compareAndSet(false, true),
        500,
        "InternalError",
        "etcdserver: leader changed");

    Ended ended = scene.run("drain", "node");

    assertThat(ended.code()).isZero();
    assertThat(ended.err()).singleElement().asString().contains("leader changed");
    assertThat(scene.requests("POST", "/eviction")).hasSize(2);
  }

  @Test
  void addAPodMadeAnewElsewhereDuringTheBackoffIsNotEvicted() throws Exception {
    JsonNode pod = scene.pod("bar");
    scene.budget("never", "bar", 0);
    var drain = scene.start("drain", "node");
    eventually("it is blocked", () -> !scene.requests("POST", "/eviction").isEmpty());

    scene.end(pod);
    scene.api.put(
        "{kind: Pod, metadata: {name: bar, labels: {app: bar}}, spec: {nodeName: other}, status:"
            + " {phase: Running}}");
    scene.budget("never", "bar", 1);

    assertThat(drain.get().code()).isZero();
    assertThat(
            scene
                .api
                .get("pods", "default", "bar")
                .orElseThrow()
                .path("metadata")
                .has("deletionTimestamp"))
        .isFalse();
  }

  @ParameterizedTest(name = "add: LIST in pages of 2, 410 on the second page: {0}")
  @ValueSource(booleans = {false, true})
  void addTheListComesInPages(boolean expires) {
    Stream.of("a", "b", "c", "d", "e").forEach(scene::pod);
    if (expires) {
      var once = new java.util.concurrent.atomic.AtomicBoolean();
      scene.api.answer(
          r -> r.query().containsKey("continue") && once.compareAndSet(false, true),
          410,
          "Expired",
          "the provided continue parameter is too old");
    }

    Ended ended = scene.run("drain", "node", "--chunk-size=2");

    assertThat(ended.code()).isZero();
    assertThat(scene.api.list("pods")).isEmpty();
    assertThat(scene.requests("GET", "/api/v1/pods"))
        .anyMatch(r -> r.query().containsKey("continue") && r.query().get("limit").equals("2"));
  }

  @Test
  void addAPodThatAppearsAfterTheListIsEvictedToo() throws Exception {
    scene.kubelet(Kubelet.IS_STUCK);
    JsonNode bar = scene.pod("bar");
    var drain = scene.start("drain", "node");
    eventually("it is evicted", () -> !scene.requests("POST", "/eviction").isEmpty());

    JsonNode late = scene.pod("late");
    eventually("the late one too", () -> scene.requests("POST", "/eviction").size() == 2);
    scene.end(bar);
    scene.end(late);

    assertThat(drain.get().code()).isZero();
  }

  private static JsonNode json(String text) throws IOException {
    return new ObjectMapper().readTree(text);
  }
}
