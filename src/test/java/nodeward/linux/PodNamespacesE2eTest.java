package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nodeward.conntrack.Holders;
import nodeward.conntrack.PodTablesPage;
import nodeward.linux.FakeCri.Box;
import nodeward.packaging.Run;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Tables of the real kernel in network namespaces of their own, entered by the agent's thread.
 * Needs root, util-linux, iproute2 and the conntrack tool.
 */
@Tag("e2e")
class PodNamespacesE2eTest {
  private static final int CART = 0x0a020007; // 10.2.0.7
  private static final int ELSEWHERE = 0x0a09_0000;

  @TempDir private Path directory;

  @Test
  void eachTableIsReadInItsNamespaceAndTheOwnOneIsNotLeft() throws Exception {
    assertThat(run("", "read", "ip netns exec cart conntrack -C; conntrack -C"))
        .containsExactly(
            "pods=2 flows=1340 unread=[]",
            "shop/cart client=1200 server=100",
            "shop/web client=40 server=0",
            "own table 0",
            "1300",
            "0");
  }

  @Test
  void withoutTheCapabilityItSaysWhichAndWhere() throws Exception {
    assertThat(run("setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin --", "refused", ":"))
        .singleElement()
        .asString()
        .startsWith("setns to /run/netns/cart (this needs CAP_SYS_ADMIN, which nodeward.service")
        .endsWith("not permitted (EPERM)");
  }

  private List<String> run(String with, String mode, String after) throws Exception {
    String java = ProcessHandle.current().info().command().orElseThrow();
    String script =
        """
        mount -t tmpfs tmpfs /run
        ip link set lo up
        ip netns add cart
        ip netns add web
        ip netns add idle
        %s "$0" --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow \
          -cp "$1" nodeward.linux.PodNamespacesE2eTest %s "$2"
        %s
        """
            .formatted(with, mode, after);
    var command = new ArrayList<>(List.of("unshare", "--net", "--mount", "--propagation"));
    command.addAll(List.of("private", "sh", "-euc", script, java));
    command.addAll(List.of(System.getProperty("java.class.path"), directory.toString()));
    return Run.ok(command.toArray(String[]::new))
        .lines()
        .filter(line -> !line.contains(" INFO "))
        .toList();
  }

  /** What runs beside the namespaces: a runtime that knows them, and the look into them. */
  public static void main(String... arguments) throws Exception {
    Path socket = Path.of(arguments[1]).resolve("cri.sock");
    try (var runtime = FakeUnixServer.containerd(socket)) {
      runtime.sandboxes().put(Box.ready("a", "shop", "cart", "10.2.0.7"));
      runtime.sandboxes().put(Box.ready("b", "shop", "web", "10.2.0.8"));
      runtime.sandboxes().put(Box.ready("c", "shop", "idle", "10.2.0.9"));
      for (var box : Map.of("a", "cart", "b", "web", "c", "idle").entrySet()) {
        runtime
            .sandboxes()
            .info(
                box.getKey(),
                "{\"runtimeSpec\":{\"linux\":{\"namespaces\":[{\"type\":\"network\",\"path\":\""
                    + namespace(box.getValue())
                    + "\"}]}}}");
      }
      var page = new PodTablesPage(new PodNamespaces(socket, Path.of("/proc")));
      if (arguments[0].equals("refused")) {
        try {
          page.shown(Holders.By.POD, 10);
        } catch (IOException e) {
          System.out.println(e.getMessage());
        }
      } else {
        read(page);
      }
    }
    System.exit(0);
  }

  private static void read(PodTablesPage page) throws Exception {
    TableFiller.fillIn(namespace("cart"), 1200, CART, ELSEWHERE);
    TableFiller.fillIn(namespace("cart"), 100, ELSEWHERE + 1, CART);
    TableFiller.fillIn(namespace("web"), 40, CART + 1, ELSEWHERE);
    Map<String, Object> shown = page.shown(Holders.By.POD, 10);
    System.out.printf(
        "pods=%s flows=%s unread=%s%n", shown.get("pods"), shown.get("flows"), shown.get("unread"));
    for (Object each : (List<?>) shown.get("rows")) {
      var row = (Map<?, ?>) each;
      System.out.printf(
          "%s client=%s server=%s%n", row.get("name"), row.get("client"), row.get("server"));
    }
    int[] own = {0};
    new KernelConntrack(Path.of("/proc")).walk(_ -> own[0]++);
    System.out.println("own table " + own[0]);
  }

  private static Path namespace(String name) {
    return Path.of("/run/netns/" + name);
  }
}
