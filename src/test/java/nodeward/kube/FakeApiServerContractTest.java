package nodeward.kube;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

class FakeApiServerContractTest extends ApiServerContract {
  @TempDir static Path directory;
  private static FakeApiServer api;

  @BeforeAll
  static void start() throws IOException {
    api = FakeApiServer.start();
    Files.writeString(directory.resolve("kubeconfig"), api.kubeconfig());
  }

  @AfterAll
  static void stop() throws IOException {
    api.close();
  }

  @Override
  Path kubeconfig() {
    return directory.resolve("kubeconfig");
  }

  @Override
  void killApiServer() throws IOException {
    api.stop();
  }

  @Override
  void startApiServer() throws IOException {
    api.restart();
  }
}
