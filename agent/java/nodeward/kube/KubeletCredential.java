package nodeward.kube;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.AuthInfo;
import io.fabric8.kubernetes.api.model.ExecConfig;
import io.fabric8.kubernetes.api.model.NamedAuthInfo;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.internal.KubeConfigUtils;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the node's kubelet shows to the API server, read from its kubeconfig anew each time, since a
 * kubelet's certificate is replaced in place long before its end. It is a client certificate, a
 * token, or what a credential program prints, as {@code aws eks get-token} does on EKS. The program
 * is run by us and not by fabric8, which has no time limit for it and logs what it printed.
 */
final class KubeletCredential {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final List<Path> places;
  private final KubeClient.Program program;

  KubeletCredential(List<Path> places, KubeClient.Program program) {
    this.places = List.copyOf(places);
    this.program = program;
  }

  /** The API server, and how to know it, without any credential. */
  Config server() throws IOException {
    Path file = file();
    Config config = Config.empty();
    io.fabric8.kubernetes.api.model.Config parsed = parse(file);
    parsed.setUsers(new ArrayList<>());
    merge(config, parsed, file);
    // Not empty, so that nothing is read from the file again behind our back at a refusal.
    config.setOauthTokenProvider(() -> "");
    return config;
  }

  /** All of it, with the credential of the moment. */
  Config read() throws IOException {
    Path file = file();
    Config config = Config.empty();
    io.fabric8.kubernetes.api.model.Config parsed = parse(file);
    // fabric8 would run the credential program while it merges.
    Optional<ExecConfig> exec = takeExec(parsed);
    merge(config, parsed, file);
    Optional<AuthInfo> user = user(parsed, config);
    String tokenFile = user.map(AuthInfo::getTokenFile).orElse("");
    if (!tokenFile.isEmpty() && isEmpty(config.getAutoOAuthToken())) {
      config.setAutoOAuthToken(Files.readString(file.resolveSibling(tokenFile)).strip());
    }
    if (exec.isPresent()) {
      ask(exec.get(), file, config);
    } else {
      ClientCertificate.settle(config);
    }
    if (isEmpty(config.getClientCertData()) && isEmpty(config.getAutoOAuthToken())) {
      throw new IOException("the kubelet's kubeconfig " + file + " holds no credential");
    }
    return config;
  }

  @Override
  public String toString() {
    return places.stream().filter(Files::exists).findFirst().orElse(places.getFirst()).toString();
  }

  private Path file() throws IOException {
    for (Path place : places) {
      if (Files.exists(place)) {
        if (!Files.isReadable(place)) {
          throw new IOException("the kubelet's kubeconfig " + place + " is not readable");
        }
        return place;
      }
    }
    throw new IOException(
        "the kubelet's kubeconfig is in none of %s: kubernetes.kubeletKubeconfigs"
            .formatted(String.join(", ", places.stream().map(Path::toString).toList())));
  }

  private static io.fabric8.kubernetes.api.model.Config parse(Path file) throws IOException {
    try {
      return KubeConfigUtils.parseConfig(file.toFile());
    } catch (RuntimeException e) {
      // Without the cause: a parser shows the lines that it stumbles over, and those are secret.
      throw new IOException("the kubelet's kubeconfig " + file + " is not one");
    }
  }

  private static void merge(Config config, io.fabric8.kubernetes.api.model.Config parsed, Path file)
      throws IOException {
    KubeConfigUtils.merge(config, null, parsed);
    if (config.getCurrentContext() == null) {
      throw new IOException(
          "the kubelet's kubeconfig %s: there is no context that current-context names"
              .formatted(file));
    }
  }

  private static Optional<ExecConfig> takeExec(io.fabric8.kubernetes.api.model.Config parsed) {
    Optional<ExecConfig> taken = Optional.empty();
    Config named = Config.empty();
    var copy = new io.fabric8.kubernetes.api.model.Config();
    copy.setContexts(parsed.getContexts());
    copy.setCurrentContext(parsed.getCurrentContext());
    KubeConfigUtils.merge(named, null, copy);
    for (NamedAuthInfo each : parsed.getUsers()) {
      if (each.getUser() != null && each.getUser().getExec() != null) {
        if (isCurrent(each, named)) {
          taken = Optional.of(each.getUser().getExec());
        }
        each.getUser().setExec(null);
      }
    }
    return taken;
  }

  private static Optional<AuthInfo> user(
      io.fabric8.kubernetes.api.model.Config parsed, Config config) {
    return parsed.getUsers().stream()
        .filter(u -> u.getUser() != null && isCurrent(u, config))
        .map(NamedAuthInfo::getUser)
        .findFirst();
  }

  private static boolean isCurrent(NamedAuthInfo user, Config config) {
    return config.getCurrentContext() != null
        && user.getName().equals(config.getCurrentContext().getContext().getUser());
  }

  /** As client.authentication.k8s.io/v1 and v1beta1 have it. */
  private void ask(ExecConfig exec, Path file, Config config) throws IOException {
    var command = new ArrayList<String>();
    String name = exec.getCommand();
    // A path with a slash is relative to the kubeconfig, as client-go takes it.
    command.add(name.contains("/") ? file.resolveSibling(name).toString() : name);
    command.addAll(exec.getArgs());
    var environment = new HashMap<String, String>();
    exec.getEnv().forEach(e -> environment.put(e.getName(), e.getValue()));
    environment.put(
        "KUBERNETES_EXEC_INFO",
        "{\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\",\"spec\":{\"interactive\":false}}"
            .formatted(exec.getApiVersion()));
    JsonNode status;
    try {
      status = JSON.readTree(program.run(command, environment)).path("status");
    } catch (JsonProcessingException e) {
      throw new IOException(name + " of kubeconfig " + file + " printed no ExecCredential");
    } catch (IOException e) {
      throw new IOException(
          "the kubelet's credential program (kubeconfig %s): %s".formatted(file, e.getMessage()),
          e);
    }
    String token = status.path("token").asText("");
    if (!token.isEmpty()) {
      config.setAutoOAuthToken(token);
      return;
    }
    String certificate = status.path("clientCertificateData").asText("");
    String key = status.path("clientKeyData").asText("");
    if (certificate.isEmpty() || key.isEmpty()) {
      throw new IOException(
          name + " of kubeconfig " + file + " printed neither a token nor a certificate");
    }
    ClientCertificate.set(config, certificate, key);
  }

  private static boolean isEmpty(@Nullable String text) {
    return text == null || text.isEmpty();
  }
}
