package nodeward.conntrack;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nodeward.conntrack.FakeFlows.Kind;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;

class PodTablesPageTest {
  private static final Pod CART = FakeNode.pod("shop", "cart", "10.2.0.7");
  private static final Pod WEB = FakeNode.pod("shop", "web", "10.2.0.8");

  private final SequencedMap<Pod, FakeFlows> tables = new LinkedHashMap<>();
  private List<String> unread = List.of();

  @Test
  void aFlowBelongsToThePodWhoseTableItIsIn() throws IOException {
    tables.put(
        CART,
        new FakeFlows()
            .add(5, "10.2.0.7", "10.2.0.8", Kind.REPLIED)
            .add(1, "127.0.0.1", "127.0.0.1", Kind.TIME_WAIT));
    tables.put(
        WEB,
        new FakeFlows()
            .add(5, "10.2.0.7", "10.2.0.8", Kind.REPLIED)
            .add(4, "10.2.0.8", "10.9.0.1", Kind.UNREPLIED));

    SequencedMap<String, Object> shown = shown(Holders.By.POD, 10);

    assertThat(shown)
        .containsEntry("pods", 2)
        .containsEntry("flows", 15L)
        .containsEntry("unreplied", 4L)
        .containsEntry("timeWait", 1L)
        .containsEntry("torn", false);
    assertThat(rows(shown))
        .extracting(row -> row.get("name") + " " + row.get("client") + " " + row.get("server"))
        .containsExactly("shop/web 4 5", "shop/cart 6 0");
  }

  @Test
  void destinationsAreThoseOfAllTables() throws IOException {
    tables.put(CART, new FakeFlows().add(2, "10.2.0.7", "10.9.0.1", Kind.REPLIED));
    tables.put(WEB, new FakeFlows().add(3, "10.2.0.8", "10.9.0.1", Kind.REPLIED));

    assertThat(rows(shown(Holders.By.DESTINATION, 1)))
        .singleElement()
        .isEqualTo(Map.of("name", "10.9.0.1:443/tcp", "flows", 5L, "error", 0L));
  }

  @Test
  void whatCouldNotBeReadOrWasTornIsSaid() throws IOException {
    var torn = new FakeFlows();
    torn.tear(1);
    tables.put(CART, torn);
    unread = List.of("shop/web: why");

    assertThat(shown(Holders.By.POD, 10))
        .containsEntry("torn", true)
        .containsEntry("unread", List.of("shop/web: why"))
        .containsEntry("rows", List.of());
  }

  private SequencedMap<String, Object> shown(Holders.By by, int most) throws IOException {
    return new PodTablesPage(
            taker -> {
              var walk = FlowTable.Walk.WHOLE;
              for (var table : tables.entrySet()) {
                if (table.getValue().walk(taker.of(table.getKey())) == FlowTable.Walk.TORN) {
                  walk = FlowTable.Walk.TORN;
                }
              }
              return new PodTables.Walked(walk, unread);
            })
        .shown(by, most);
  }

  private static List<Map<?, ?>> rows(Map<String, Object> shown) {
    return ((List<?>) shown.get("rows")).stream().<Map<?, ?>>map(row -> (Map<?, ?>) row).toList();
  }
}
