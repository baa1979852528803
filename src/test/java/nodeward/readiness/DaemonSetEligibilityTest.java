package nodeward.readiness;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import nodeward.node.NodeView;
import nodeward.node.Placement;
import nodeward.node.Placement.Affinity;
import nodeward.node.Placement.Expression;
import nodeward.node.Placement.Term;
import nodeward.node.Placement.Toleration;
import nodeward.node.Taint;
import nodeward.readiness.DaemonSetEligibility.Eligible;
import nodeward.readiness.DaemonSetEligibility.Excluded;
import nodeward.readiness.DaemonSetEligibility.Staying;
import nodeward.readiness.DaemonSetEligibility.Waiting;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DaemonSetEligibilityTest {
  private static final String GATE = "readiness.k8s.io/nodeward";
  private static final Placement ANYWHERE = placement(Affinity.NONE, List.of(), "");

  // --- node selector

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "''                | ''                        | ''",
        "gpu=true          | gpu=true role=worker      | ''",
        "gpu=true          | gpu=false                 | its nodeSelector wants gpu=true",
        "gpu=true          | ''                        | its nodeSelector wants gpu=true",
        "gpu=true role=web | role=worker               | its nodeSelector wants gpu=true and"
            + " role=web",
        "gpu=true role=web | role=web                  | its nodeSelector wants gpu=true",
        "gpu=              | gpu=                      | ''",
        "gpu=              | ''                        | its nodeSelector wants gpu=",
      })
  void everyLabelOfTheNodeSelectorIsWanted(String selector, String labels, String why) {
    var placement = new Placement("", map(selector), Affinity.NONE, List.of(), List.of(), false);

    assertThat(judge(placement, node(labels))).isEqualTo(excludedUnlessEmpty(why));
  }

  // --- node affinity

  /** Terms are separated by {@code ;}, expressions by {@code &}; fields begin with {@code @}. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "zone In a,b                   | zone=b       | true",
        "zone In a,b                   | zone=c       | false",
        "zone In a,b                   | ''           | false",
        "zone NotIn a,b                | zone=c       | true",
        "zone NotIn a,b                | zone=a       | false",
        "zone NotIn a,b                | ''           | true",
        "zone Exists                   | zone=        | true",
        "zone Exists                   | ''           | false",
        "zone DoesNotExist             | ''           | true",
        "zone DoesNotExist             | zone=a       | false",
        "cpus Gt 4                     | cpus=5       | true",
        "cpus Gt 4                     | cpus=4       | false",
        "cpus Gt 4                     | cpus=10      | true",
        "cpus Gt 4                     | ''           | false",
        "cpus Gt 4                     | cpus=many    | false",
        "cpus Gt 4,5                   | cpus=9       | false",
        "cpus Gt x                     | cpus=9       | false",
        "cpus Lt 4                     | cpus=3       | true",
        "cpus Lt 4                     | cpus=-3      | true",
        "cpus Lt 4                     | cpus=4       | false",
        "cpus Lt 4                     | ''           | false",
        "zone Near a                   | zone=a       | false",
        "zone In a & gpu Exists        | zone=a       | false",
        "zone In a & gpu Exists        | zone=a gpu=1 | true",
        "zone In a ; gpu Exists        | gpu=1        | true",
        "zone In a ; gpu Exists        | zone=b       | false",
        "@metadata.name In node-1      | ''           | true",
        "@metadata.name In node-2      | ''           | false",
        "@metadata.name NotIn node-2   | ''           | true",
        "@metadata.name NotIn node-1   | ''           | false",
        "@metadata.name Exists         | ''           | false",
        "@metadata.name In node-1,b    | ''           | false",
        "@metadata.uid In node-1       | ''           | false",
        "zone In a & @metadata.name In node-1 | zone=a | true",
        "zone In a & @metadata.name In node-1 | zone=b | false",
        "zone In a & @metadata.name In node-2 | zone=a | false",
        "''                            | zone=a       | false",
        "' ; zone In a'                | zone=a       | true",
      })
  void aTermOfTheRequiredAffinityMustMatchWhole(String terms, String labels, boolean eligible) {
    Placement placement = placement(Affinity.REQUIRED, terms(terms), "");

    DaemonSetEligibility judged = judge(placement, node(labels));

    assertThat(judged instanceof Eligible).isEqualTo(eligible);
    assertThat(judged).isNotInstanceOf(Waiting.class);
  }

  @Test
  void aRequiredAffinityWithoutTermsMatchesNothing() {
    Placement placement = placement(Affinity.REQUIRED, List.of(), "");

    assertThat(judge(placement, node("zone=a")))
        .isEqualTo(new Excluded("its required node affinity has no terms, which no node matches"));
  }

  @Test
  void theReasonNamesWhatTheAffinityWants() {
    Placement placement =
        placement(
            Affinity.REQUIRED, terms("zone In a,b & gpu Exists ; @metadata.name In node-2"), "");

    assertThat(judge(placement, node("zone=a")))
        .isEqualTo(
            new Excluded(
                "its node affinity wants zone In (a, b) and gpu Exists, or"
                    + " metadata.name In (node-2)"));
  }

  @Test
  void aNewLabelMakesADaemonSetEligibleAndItsLossMakesItIneligible() {
    Placement placement = placement(Affinity.REQUIRED, terms("gpu Exists"), "");

    assertThat(judge(placement, node(""))).isInstanceOf(Excluded.class);
    assertThat(judge(placement, node("gpu=1"))).isInstanceOf(Eligible.class);
    assertThat(judge(placement, node(""))).isInstanceOf(Excluded.class);
  }

  // --- taints

  /** Tolerations are {@code key operator value effect} with {@code -} for empty ones. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "''                                 | team=a:NoSchedule       | false",
        "''                                 | team=a:NoExecute        | false",
        "''                                 | team=a:PreferNoSchedule | true",
        "- Exists - -                       | team=a:NoExecute        | true",
        "- Exists - NoSchedule              | team=a:NoExecute        | false",
        "- Exists - NoSchedule              | team=a:NoSchedule       | true",
        "team Exists - -                    | team=a:NoSchedule       | true",
        "team Exists - NoExecute            | team=a:NoSchedule       | false",
        "other Exists - -                   | team=a:NoSchedule       | false",
        "team Equal a -                     | team=a:NoSchedule       | true",
        "team Equal b -                     | team=a:NoSchedule       | false",
        "team Equal - -                     | team=a:NoSchedule       | false",
        "team Equal - -                     | team:NoSchedule         | true",
        "team Near a -                      | team=a:NoSchedule       | false",
        "- Equal a -                        | team=a:NoSchedule       | true",
        "- Equal b -                        | team=a:NoSchedule       | false",
        "team Exists - PreferNoSchedule     | team=a:NoSchedule       | false",
        "other Exists - -,team Equal a -    | team=a:NoSchedule       | true",
        "''                                 | " + GATE + "=pending:NoSchedule   | false",
        GATE + " Exists - -                 | " + GATE + "=pending:NoSchedule   | true",
      })
  void aTaintIsToleratedByKeyValueAndEffect(String tolerations, String taint, boolean tolerated) {
    Placement placement = placement(Affinity.NONE, List.of(), tolerations);

    assertThat(DaemonSetEligibility.tolerates(placement, Taint.parse(taint))).isEqualTo(tolerated);
  }

  @ParameterizedTest
  @CsvSource({
    "not-ready, NoExecute, true, true",
    "not-ready, NoSchedule, false, false",
    "unreachable, NoExecute, true, true",
    "unreachable, NoSchedule, false, false",
    "disk-pressure, NoSchedule, true, true",
    "memory-pressure, NoSchedule, true, true",
    "pid-pressure, NoSchedule, true, true",
    "pid-pressure, NoExecute, false, false",
    "unschedulable, NoSchedule, true, true",
    "network-unavailable, NoSchedule, false, true",
    "network-unavailable, NoExecute, false, false",
    "unschedulable, NoExecute, false, false",
    "out-of-service, NoExecute, false, false",
  })
  void theControllersOwnTolerationsCount(
      String name, String effect, boolean tolerated, boolean onHostNetwork) {
    var taint = new Taint("node.kubernetes.io/" + name, "", effect, "");
    var host = new Placement("", Map.of(), Affinity.NONE, List.of(), List.of(), true);

    assertThat(DaemonSetEligibility.tolerates(ANYWHERE, taint)).isEqualTo(tolerated);
    assertThat(DaemonSetEligibility.tolerates(host, taint)).isEqualTo(onHostNetwork);
  }

  @ParameterizedTest
  @CsvSource({
    "readiness.k8s.io/nodeward=pending:NoSchedule",
    "example.com/older-key:NoExecute",
    "nodeward.dev/terminating=spot:NoSchedule",
    "team=a:PreferNoSchedule",
    "node.kubernetes.io/unschedulable:NoSchedule",
  })
  void taintsOfOurOwnAndHarmlessOnesKeepNoPodAway(String taint) {
    assertThat(judge(ANYWHERE, node("", taint))).isEqualTo(new Eligible());
  }

  @Test
  void aForeignTaintThatIsNotToleratedExcludesTheDaemonSet() {
    NodeView node = node("", "readiness.k8s.io/nodeward:NoSchedule", "team=a:NoSchedule");

    assertThat(judge(ANYWHERE, node))
        .isEqualTo(new Staying("it does not tolerate taint team=a:NoSchedule"));
    assertThat(judge(placement(Affinity.NONE, List.of(), "team Exists - -"), node))
        .isEqualTo(new Eligible());
    assertThat(judge(ANYWHERE, node("", "team=a:NoExecute")))
        .isEqualTo(new Excluded("it does not tolerate taint team=a:NoExecute"));
  }

  /** Whatever taint it is that evicts a pod, one that passes included: none stays. */
  @Test
  void besideATaintThatEvictsNoPodStays() {
    NodeView node = node("", "team=a:NoSchedule", "ebs.csi.aws.com/agent-not-ready:NoExecute");

    assertThat(judge(ANYWHERE, node))
        .isEqualTo(new Excluded("it does not tolerate taint team=a:NoSchedule"));
  }

  @Test
  void aTemplateThatNamesANodeIsForThatOneAlone() {
    Placement here = new Placement("node-1", Map.of(), Affinity.NONE, List.of(), List.of(), false);
    Placement there = new Placement("node-2", Map.of(), Affinity.NONE, List.of(), List.of(), false);

    assertThat(judge(here, node(""))).isEqualTo(new Eligible());
    assertThat(judge(there, node(""))).isEqualTo(new Excluded("its template names node node-2"));
  }

  /** Or else the gate would open before the node is ready, for want of anything to wait for. */
  @ParameterizedTest
  @CsvSource({
    "node.kubernetes.io/not-ready:NoSchedule",
    "node.kubernetes.io/network-unavailable:NoSchedule",
    "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule",
    "node.cilium.io/agent-not-ready=true:NoExecute",
    "ebs.csi.aws.com/agent-not-ready:NoExecute",
    "karpenter.sh/unregistered:NoExecute",
    "startup-taint.cluster-autoscaler.kubernetes.io/network:NoSchedule",
    "readiness.k8s.io/somebody-elses:NoSchedule",
    "node.kubernetes.io/unreachable:NoSchedule",
    "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
    "node.cloudprovider.kubernetes.io/shutdown:NoSchedule",
    "node.cluster.x-k8s.io/uninitialized:NoSchedule",
    "node.alpha.kubernetes.io/notReady-workload:NoSchedule",
    "efs.csi.aws.com/agent-not-ready:NoExecute",
    "cni.istio.io/not-ready:NoSchedule",
    "karpenter.sh/disrupted:NoSchedule",
    "karpenter.sh/disruption=disrupting:NoSchedule",
    "ToBeDeletedByClusterAutoscaler=1234:NoSchedule",
    "ignore-taint.cluster-autoscaler.kubernetes.io/cilium-agent-not-ready:NoExecute",
    "status-taint.cluster-autoscaler.kubernetes.io/cold:NoSchedule",
    "nidhogg.uswitch.com/kube-system.kube2iam:NoSchedule",
  })
  void aTaintThatGoesByItselfIsWaitedFor(String taint) {
    assertThat(judge(ANYWHERE, node("", taint)))
        .isEqualTo(new Waiting("it does not tolerate taint " + taint));
  }

  /** A gate that waited for these would never open. */
  @ParameterizedTest
  @CsvSource({
    "node.kubernetes.io/os=windows:NoSchedule",
    "node.kubernetes.io/dedicated=db:NoSchedule",
    "node-role.kubernetes.io/control-plane:NoSchedule",
    "karpenter.sh/unregistered-pool:NoSchedule",
    "not-ready:NoSchedule",
    "example.com/never-ready:NoSchedule",
    "CriticalAddonsOnly=true:NoSchedule",
  })
  void aTaintThatSaysWhomTheNodeIsForLasts(String taint) {
    assertThat(judge(ANYWHERE, node("", taint)))
        .isEqualTo(new Staying("it does not tolerate taint " + taint));
  }

  @Test
  void aReasonThatLastsComesBeforeOneThatPasses() {
    String notReady = "node.kubernetes.io/not-ready:NoSchedule";

    assertThat(judge(ANYWHERE, node("", notReady, "team=a:NoSchedule")))
        .isEqualTo(new Staying("it does not tolerate taint team=a:NoSchedule"));
    assertThat(judge(placement(Affinity.REQUIRED, terms("gpu Exists"), ""), node("", notReady)))
        .isEqualTo(new Excluded("its node affinity wants gpu Exists"));
  }

  // --- the scene

  private static DaemonSetEligibility judge(Placement placement, NodeView node) {
    return DaemonSetEligibility.of(placement, node, Set.of(GATE, "example.com/older-key"));
  }

  private static DaemonSetEligibility excludedUnlessEmpty(String why) {
    return why.isEmpty() ? new Eligible() : new Excluded(why);
  }

  private static Placement placement(Affinity affinity, List<Term> terms, String tolerations) {
    return new Placement(
        "",
        Map.of(),
        affinity,
        terms,
        split(tolerations, ",").map(DaemonSetEligibilityTest::toleration).toList(),
        false);
  }

  private static Toleration toleration(String text) {
    List<String> parts = split(text, " ").map(p -> p.equals("-") ? "" : p).toList();
    return new Toleration(parts.get(0), parts.get(1), parts.get(2), parts.get(3));
  }

  private static List<Term> terms(String text) {
    return Arrays.stream(text.split(";")).map(DaemonSetEligibilityTest::term).toList();
  }

  private static Term term(String text) {
    var labels = new ArrayList<Expression>();
    var fields = new ArrayList<Expression>();
    split(text, "&").forEach(e -> (e.startsWith("@") ? fields : labels).add(expression(e)));
    return new Term(labels, fields);
  }

  private static Expression expression(String text) {
    List<String> parts = split(text.replaceFirst("^@", ""), " ").toList();
    List<String> values = parts.size() < 3 ? List.of() : split(parts.get(2), ",").toList();
    return new Expression(parts.get(0), parts.get(1), values);
  }

  private static NodeView node(String labels, String... taints) {
    return new NodeView(
        "node-1",
        "uid-1",
        "1",
        "",
        "",
        false,
        Stream.of(taints).map(Taint::parse).toList(),
        map(labels),
        Map.of(),
        List.of());
  }

  private static Map<String, String> map(String text) {
    var map = new HashMap<String, String>();
    split(text, " ").map(e -> e.split("=", 2)).forEach(e -> map.put(e[0], e[1]));
    return map;
  }

  private static Stream<String> split(String text, String at) {
    return Arrays.stream(text.split(at)).map(String::strip).filter(s -> !s.isEmpty());
  }
}
