package nodeward.kube;

import java.io.IOException;
import java.nio.file.Path;
import nodeward.cluster.ControlPlane;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;

/** kube-apiserver and etcd, and nothing else. */
@Tag("e2e")
class RealApiServerContractTest extends ApiServerContract {
  @TempDir static Path directory;
  private static ControlPlane plane;

  @BeforeAll
  static void start() throws IOException {
    plane = ControlPlane.start(directory);
  }

  @AfterAll
  static void stop() {
    plane.close();
  }

  @Override
  Path kubeconfig() throws IOException {
    return plane.adminKubeconfig();
  }

  @Override
  void killApiServer() {
    plane.killApiServer();
  }

  @Override
  void startApiServer() throws IOException {
    plane.startApiServer();
  }
}
