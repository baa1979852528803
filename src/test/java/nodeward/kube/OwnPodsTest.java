package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import nodeward.node.Pod;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OwnPodsTest {
  @TempDir Path directory;
  private Scene scene;

  @BeforeEach
  void open() throws IOException {
    scene = new Scene(directory);
    for (int i = 0; i < 5; i++) {
      scene.putPod("pod-" + i, Scene.NODE);
    }
  }

  @AfterEach
  void close() throws Exception {
    scene.close();
  }

  @Test
  void aReadAsksForPagesOf500() throws IOException {
    scene.pods.read();

    assertThat(scene.api.requests())
        .extracting(FakeApiServer.Request::query)
        .allSatisfy(
            q ->
                assertThat(q)
                    .containsEntry("limit", "500")
                    .containsEntry("fieldSelector", "spec.nodeName=node-1"))
        .hasSize(1);
  }

  @Test
  void aListThatExpiresBetweenPagesIsReadAllOver() throws IOException {
    var pages = new AtomicInteger();
    scene.api.answer(
        r -> r.query().containsKey("continue") && pages.incrementAndGet() == 2,
        410,
        "Expired",
        "The provided continue parameter is too old");

    var pods = new OwnPods(scene.kube, Scene.NODE, 2).read();

    assertThat(pods)
        .extracting(Pod::name)
        .containsExactly("pod-0", "pod-1", "pod-2", "pod-3", "pod-4");
    assertThat(scene.api.requests()).hasSize(6);
  }
}
