package nodeward.runtime;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import nodeward.config.Config;

/** Asks containerd for its version, the way kubelet does; without its socket it does not run. */
public final class ContainerdProbe implements RuntimeProbe {
  private final Path socket;
  private final CriApi cri;

  public ContainerdProbe(Config.ContainerRuntime config, CriApi cri) {
    this.socket = config.containerdSocket();
    this.cri = cri;
  }

  @Override
  public String runtime() {
    return "containerd";
  }

  @Override
  public String reason(Probed.Bad cause) {
    return "ContainerdUnhealthy";
  }

  @Override
  public Probed probe(Duration limit) {
    if (!Files.exists(socket)) {
      return new Probed.Absent("containerd does not run, there is no " + socket);
    }
    try {
      return new Probed.Healthy(cri.version(limit).toString());
    } catch (IOException e) {
      return Probed.bad(e);
    }
  }
}
