package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import nodeward.linux.CriSandboxes.Placed;
import nodeward.linux.FakeCri.Box;
import nodeward.linux.FakeCri.Network;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What can be told of it without entering a namespace; {@code PodTablesE2eTest} enters some. */
class PodNamespacesTest {
  private static final Duration LONG = Duration.ofSeconds(20);

  @TempDir private Path directory;
  private Path socket;
  private FakeUnixServer server;
  private FakeCri cri;

  @BeforeEach
  void listen() throws IOException {
    socket = directory.resolve("containerd.sock");
    server = FakeUnixServer.containerd(socket);
    cri = server.sandboxes();
  }

  @AfterEach
  void close() {
    server.close();
  }

  @Test
  void theRuntimeTellsWhereASandboxIs() throws IOException {
    cri.put(Box.ready("a", "shop", "cart", "10.0.0.5"));
    cri.info(
        "a",
        """
        {"pid": 4711, "runtimeSpec": {"linux": {"namespaces": [
          {"type": "pid"}, {"type": "network", "path": "/run/netns/cni-1"}]}}}
        """);
    cri.put(Box.ready("b", "shop", "web", "10.0.0.6"));

    List<Placed> placed = new CriSandboxes(socket).placed(LONG);

    assertThat(placed)
        .extracting(p -> p.sandbox().name() + " " + p.namespace() + " " + p.pid())
        .containsExactly(
            "cart " + Optional.of(Path.of("/run/netns/cni-1")) + " 4711",
            "web " + Optional.empty() + " 0");
  }

  @Test
  void aRuntimeThatTellsSomethingElseThanJsonIsAnError() {
    cri.put(Box.ready("a", "shop", "cart", "10.0.0.5"));
    cri.info("a", "{nonsense");

    assertThatThrownBy(() -> new CriSandboxes(socket).placed(LONG)).isInstanceOf(IOException.class);
  }

  @Test
  void podsOfTheNodesNetworkAreLeftOutAndOthersWithoutAPlaceAreNamed() throws IOException {
    cri.put(Box.ready("a", "kube-system", "proxy").with(Network.NODE));
    cri.put(Box.ready("b", "shop", "web", "10.0.0.6"));

    assertThat(tables().walk(_ -> _ -> {}).unread())
        .containsExactly("shop/web: the container runtime does not tell its network namespace");
  }

  @Test
  void aPodThatHasEndedMeanwhileIsNotMissed() throws IOException {
    cri.put(Box.ready("a", "shop", "cart", "10.0.0.5"));
    cri.info("a", "{\"pid\": 4711}");

    assertThat(tables().walk(_ -> _ -> {}).unread()).isEmpty();
  }

  @Test
  void whatIsNoNamespaceIsToldForItsPodAlone() throws IOException {
    Files.createDirectories(directory.resolve("proc/4711/ns"));
    Files.writeString(directory.resolve("proc/4711/ns/net"), "");
    cri.put(Box.ready("a", "shop", "cart", "10.0.0.5"));
    cri.info("a", "{\"pid\": 4711}");

    assertThat(tables().walk(_ -> _ -> {}).unread())
        .containsExactly("shop/cart: setns: invalid argument (EINVAL)");
  }

  @Test
  void withoutARuntimeThereIsAnError() {
    assertThatThrownBy(
            () -> new PodNamespaces(directory.resolve("none"), directory).walk(_ -> _ -> {}))
        .isInstanceOf(NoSuchFileException.class);
  }

  private PodNamespaces tables() {
    return new PodNamespaces(socket, directory.resolve("proc"));
  }
}
