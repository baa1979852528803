package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Taint;
import org.junit.jupiter.api.Test;

class NodePatchTest {
  private static final Taint OURS = new Taint("ours", "", "NoSchedule", "");
  private static final Taint FOREIGN = new Taint("f", "v", "NoExecute", "2026-11-21T08:00:00Z");

  @Test
  void taintsThatWereAndStayAreTested() throws IOException {
    NodeView seen = node(List.of(FOREIGN, OURS), Map.of(), Map.of("a/b", "1"));

    expect(
        NodeChange.of(seen).withoutTaint("ours").withAnnotation("x.dev/a~b", "2"),
        NodePatch.JSON_PATCH,
        """
        [{"op":"test","path":"/metadata/uid","value":"uid-1"},
         {"op":"test","path":"/spec/taints","value":[
           {"key":"f","value":"v","effect":"NoExecute","timeAdded":"2026-11-21T08:00:00Z"},
           {"key":"ours","effect":"NoSchedule"}]},
         {"op":"replace","path":"/spec/taints","value":[
           {"key":"f","value":"v","effect":"NoExecute","timeAdded":"2026-11-21T08:00:00Z"}]},
         {"op":"add","path":"/metadata/annotations/x.dev~1a~0b","value":"2"}]
        """);
  }

  @Test
  void aCordonBesideTaintsIsTestedByTheResourceVersion() throws IOException {
    NodeView seen = node(List.of(FOREIGN), Map.of("l/k", "1"), Map.of());

    expect(
        NodeChange.of(seen).withTaint(OURS).cordoned().withoutLabel("l/k"),
        NodePatch.JSON_PATCH,
        """
        [{"op":"test","path":"/metadata/uid","value":"uid-1"},
         {"op":"test","path":"/spec/taints","value":[
           {"key":"f","value":"v","effect":"NoExecute","timeAdded":"2026-11-21T08:00:00Z"}]},
         {"op":"replace","path":"/spec/taints","value":[
           {"key":"f","value":"v","effect":"NoExecute","timeAdded":"2026-11-21T08:00:00Z"},
           {"key":"ours","effect":"NoSchedule"}]},
         {"op":"test","path":"/metadata/resourceVersion","value":"7"},
         {"op":"add","path":"/spec/unschedulable","value":true},
         {"op":"remove","path":"/metadata/labels/l~1k"}]
        """);
  }

  @Test
  void theFirstTaintTheLastTaintAndAMissingMapGoByTheResourceVersion() throws IOException {
    expect(
        NodeChange.of(node(List.of(), Map.of(), Map.of())).withTaint(OURS),
        NodePatch.MERGE_PATCH,
        """
        {"metadata":{"resourceVersion":"7"},"spec":{"taints":[{"key":"ours","effect":"NoSchedule"}]}}
        """);
    expect(
        NodeChange.of(node(List.of(OURS), Map.of(), Map.of())).withoutTaint("ours"),
        NodePatch.MERGE_PATCH,
        """
        {"metadata":{"resourceVersion":"7"},"spec":{"taints":null}}
        """);
    expect(
        NodeChange.of(node(List.of(FOREIGN, OURS), Map.of(), Map.of()))
            .withoutTaint("ours")
            .withAnnotation("a/b", "1"),
        NodePatch.MERGE_PATCH,
        """
        {"metadata":{"resourceVersion":"7","annotations":{"a/b":"1"}},
         "spec":{"taints":[
           {"key":"f","value":"v","effect":"NoExecute","timeAdded":"2026-11-21T08:00:00Z"}]}}
        """);
  }

  @Test
  void withoutATaintInItAChangeGoesByTheResourceVersion() throws IOException {
    NodeView seen = node(List.of(OURS), Map.of("keep", "1", "drop", "1"), Map.of("a", "1"));

    expect(
        NodeChange.of(seen).cordoned().withoutLabel("drop").withLabel("new", "2"),
        NodePatch.MERGE_PATCH,
        """
        {"metadata":{"resourceVersion":"7","labels":{"drop":null,"new":"2"}},
         "spec":{"unschedulable":true}}
        """);
    expect(
        NodeChange.of(seen).withoutAnnotation("a"),
        NodePatch.MERGE_PATCH,
        """
        {"metadata":{"resourceVersion":"7","annotations":{"a":null}}}
        """);
  }

  private static void expect(NodeChange change, String contentType, String body)
      throws IOException {
    NodePatch patch = NodePatch.of(change);
    assertThat(patch.contentType()).isEqualTo(contentType);
    assertThat(patch.body()).isEqualTo(new ObjectMapper().readTree(body));
  }

  private static NodeView node(
      List<Taint> taints, Map<String, String> labels, Map<String, String> annotations) {
    return new NodeView("n", "uid-1", "7", "", "", false, taints, labels, annotations, List.of());
  }
}
