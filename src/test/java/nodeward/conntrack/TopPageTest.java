package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import nodeward.component.FakeTime;
import nodeward.node.FakeNode;
import org.junit.jupiter.api.Test;

class TopPageTest {
  private final FakeFlows flows = new FakeFlows();
  private final FakeNode node = new FakeNode("node-1");
  private final TopPage page = new TopPage(new FlowCount(flows, node.asPods(), new FakeTime()));

  @Test
  void withoutParametersItShowsTenPods() throws IOException {
    for (int i = 1; i <= 12; i++) {
      node.put(FakeNode.pod("shop", "cart-" + i, "10.2.0." + i));
      flows.add(i, "10.2.0." + i, "1.1.1.1", FakeFlows.Kind.REPLIED);
    }

    var rows = (List<?>) page.shown(Map.of()).get("rows");

    assertThat(rows).hasSize(10);
    assertThat(rows.getFirst()).asString().contains("name=shop/cart-12, flows=12");
  }

  @Test
  void theParametersChooseRowsAndTheirNumber() throws IOException {
    flows.add(3, "10.0.0.1", "1.1.1.1", FakeFlows.Kind.REPLIED);
    flows.add(2, "10.0.0.1", "2.2.2.2", FakeFlows.Kind.REPLIED);

    var shown = page.shown(Map.of("by", "destination", "most", "1"));

    assertThat(shown).containsEntry("flows", 5L);
    assertThat(shown.get("rows"))
        .isEqualTo(List.of(Map.of("name", "1.1.1.1:443/tcp", "flows", 3L, "error", 0L)));
  }

  @Test
  void wrongParametersAreSaid() {
    assertThatThrownBy(() -> page.shown(Map.of("by", "ip")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("by is none of pod, workload, destination");
    assertThatThrownBy(() -> page.shown(Map.of("most", "-1")))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
