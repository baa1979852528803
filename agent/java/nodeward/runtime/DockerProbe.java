package nodeward.runtime;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import nodeward.config.Config;

/**
 * Pings docker, but only while its pid file says that it runs: where systemd listens on docker's
 * socket, to connect would start a daemon that nobody wants.
 */
public final class DockerProbe implements RuntimeProbe {
  private final Path pidFile;
  private final DockerApi docker;

  public DockerProbe(Config.ContainerRuntime config, DockerApi docker) {
    this.pidFile = config.dockerPidFile();
    this.docker = docker;
  }

  @Override
  public String runtime() {
    return "docker";
  }

  @Override
  public String reason(Probed.Bad cause) {
    return switch (cause) {
      case Probed.Failed _ -> "DockerUnhealthy";
      case Probed.Hung _ -> "DockerHung";
    };
  }

  @Override
  public Probed probe(Duration limit) {
    if (!Files.exists(pidFile)) {
      return new Probed.Absent("docker does not run, there is no " + pidFile);
    }
    try {
      String version = docker.ping(limit);
      return new Probed.Healthy(version.isEmpty() ? "docker" : "docker API " + version);
    } catch (IOException e) {
      return Probed.bad(e);
    }
  }
}
