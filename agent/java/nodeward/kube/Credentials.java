package nodeward.kube;

import io.fabric8.kubernetes.client.Config;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import nodeward.config.Config.Kubernetes.Identity;

/**
 * Where the agent's identity on the API server comes from, unless it is the kubelet's: the
 * configured kubeconfig, else the one that KUBECONFIG names, else the ServiceAccount of the pod it
 * runs in, or only those of them that the configuration asks for. Nothing else is looked at, so
 * that a stray {@code ~/.kube/config} never speaks for a node.
 */
final class Credentials {
  private static final Path SERVICE_ACCOUNT =
      Path.of("/var/run/secrets/kubernetes.io/serviceaccount");

  private final Identity identity;
  private final String configured;
  private final Map<String, String> environment;
  private final Path serviceAccount;

  Credentials(Identity identity, String configured, Map<String, String> environment) {
    this(identity, configured, environment, SERVICE_ACCOUNT);
  }

  Credentials(
      Identity identity, String configured, Map<String, String> environment, Path serviceAccount) {
    this.identity = identity;
    this.configured = configured;
    this.environment = Map.copyOf(environment);
    this.serviceAccount = serviceAccount;
  }

  Config read() throws IOException {
    Optional<Path> kubeconfig = kubeconfig();
    if (kubeconfig.isPresent()) {
      return read(kubeconfig.get());
    }
    String host = environment.getOrDefault("KUBERNETES_SERVICE_HOST", "");
    if (identity != Identity.KUBECONFIG
        && !host.isEmpty()
        && Files.isReadable(serviceAccount.resolve("token"))) {
      return ofPod(host);
    }
    String noKubeconfig = "no kubeconfig: neither kubernetes.kubeconfig nor KUBECONFIG is set";
    String noServiceAccount = "there is no ServiceAccount in " + serviceAccount;
    throw new IOException(
        switch (identity) {
          case KUBECONFIG -> noKubeconfig;
          case INCLUSTER -> noServiceAccount + ": kubernetes.identity is inCluster";
          case AUTO, KUBELET -> noKubeconfig + ", and " + noServiceAccount;
        });
  }

  @Override
  public String toString() {
    return kubeconfig().map(k -> "kubeconfig " + k).orElse("ServiceAccount in " + serviceAccount);
  }

  private Optional<Path> kubeconfig() {
    if (identity == Identity.INCLUSTER) {
      return Optional.empty();
    }
    String file = configured.isEmpty() ? environment.getOrDefault("KUBECONFIG", "") : configured;
    return file.isEmpty() ? Optional.empty() : Optional.of(Path.of(file));
  }

  private Config read(Path kubeconfig) throws IOException {
    String whence = configured.isEmpty() ? "KUBECONFIG" : "kubernetes.kubeconfig";
    if (!Files.isReadable(kubeconfig)) {
      throw new IOException(
          "kubeconfig %s (from %s) %s"
              .formatted(
                  kubeconfig,
                  whence,
                  Files.exists(kubeconfig) ? "is not readable" : "does not exist"));
    }
    Config config;
    try {
      config = Config.fromKubeconfig(kubeconfig.toFile());
      ClientCertificate.settle(config);
    } catch (NoSuchFileException | AccessDeniedException e) {
      throw new IOException(
          "kubeconfig %s (from %s): %s does not exist or is not readable"
              .formatted(kubeconfig, whence, e.getFile()),
          e);
    } catch (RuntimeException e) {
      throw Failures.of("kubeconfig %s (from %s)".formatted(kubeconfig, whence), e);
    }
    if (config.getCurrentContext() == null) {
      throw new IOException(
          "kubeconfig %s (from %s): there is no context that current-context names"
              .formatted(kubeconfig, whence));
    }
    return config;
  }

  private Config ofPod(String host) {
    String literal = host.contains(":") ? "[" + host + "]" : host;
    Config config = Config.empty();
    config.setMasterUrl(
        "https://"
            + literal
            + ":"
            + environment.getOrDefault("KUBERNETES_SERVICE_PORT", "443")
            + "/");
    config.setCaCertFile(serviceAccount.resolve("ca.crt").toString());
    config.setOauthTokenProvider(new TokenFile(serviceAccount.resolve("token"))::token);
    return config;
  }
}
