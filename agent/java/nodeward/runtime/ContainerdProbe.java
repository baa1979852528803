package nodeward.runtime;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import nodeward.config.Config;

/**
 * Asks containerd what kubelet asks it: its version, whether it is ready, and for its sandboxes,
 * which is where it hangs first. Without its socket it does not run.
 */
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
    return cause instanceof Probed.Slow ? "RuntimeSlow" : "ContainerdUnhealthy";
  }

  @Override
  public Probed probe(Duration limit) {
    if (!Files.exists(socket)) {
      return new Probed.Absent("containerd does not run, there is no " + socket);
    }
    var left = new Deadline(limit);
    try {
      String what = cri.version(left.left()).toString();
      String notReady = cri.notReady(left.left());
      if (!notReady.isEmpty()) {
        return new Probed.Failed(what + " is not ready: " + notReady);
      }
      cri.list(left.left());
      return new Probed.Healthy(what);
    } catch (IOException e) {
      return Probed.bad(e);
    }
  }
}
