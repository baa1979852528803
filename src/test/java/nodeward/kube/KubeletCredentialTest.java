package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.client.Config;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KubeletCredentialTest {
  private static final String CERTIFICATE =
      "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n";
  private static final String KEY =
      "-----BEGIN EC PRIVATE KEY-----\nQkJC\n-----END EC PRIVATE KEY-----\n";

  @TempDir Path directory;

  @Test
  void certificateAndKeyInOneFileBehindALinkAreReadAnewEachTime() throws IOException {
    Path pki = Files.createDirectory(directory.resolve("pki"));
    Path link = pki.resolve("kubelet-client-current.pem");
    Files.writeString(pki.resolve("1.pem"), CERTIFICATE + KEY);
    Files.writeString(pki.resolve("2.pem"), (CERTIFICATE + KEY).replace("QUFB", "Q0ND"));
    Files.createSymbolicLink(link, Path.of("1.pem"));
    KubeletCredential credential =
        credential(
            "client-certificate: pki/kubelet-client-current.pem,"
                + " client-key: pki/kubelet-client-current.pem");

    Config first = credential.read();
    Files.delete(link);
    Files.createSymbolicLink(link, Path.of("2.pem"));
    Config second = credential.read();

    assertThat(text(first.getClientCertData())).isEqualTo(CERTIFICATE);
    assertThat(text(first.getClientKeyData())).isEqualTo(KEY);
    assertThat(first.getClientKeyAlgo()).isEqualTo("EC");
    assertThat(first.getClientCertFile()).isNull();
    assertThat(text(second.getClientCertData())).isEqualTo(CERTIFICATE.replace("QUFB", "Q0ND"));
  }

  @Test
  void aTokenFileIsReadBesideTheKubeconfig() throws IOException {
    Files.writeString(directory.resolve("token"), "t-1\n");

    assertThat(credential("tokenFile: token").read().getAutoOAuthToken()).isEqualTo("t-1");
  }

  @Test
  void aProgramsCertificateIsTakenToo() throws IOException {
    var credential =
        new KubeletCredential(
            List.of(kubeconfig("exec: {apiVersion: client.authentication.k8s.io/v1, command: c}")),
            (command, environment) ->
                "{\"status\":{\"clientCertificateData\":\"%s\",\"clientKeyData\":\"%s\"}}"
                    .formatted(CERTIFICATE, KEY)
                    .replace("\n", "\\n"));

    Config config = credential.read();

    assertThat(text(config.getClientCertData())).isEqualTo(CERTIFICATE);
    assertThat(text(config.getClientKeyData())).isEqualTo(KEY);
  }

  @Test
  void theServerIsKnownWithoutAnyCredential() throws IOException {
    Config config = credential("token: t").server();

    assertThat(config.getMasterUrl()).startsWith("https://api.example:6443");
    assertThat(config.getCaCertFile()).isEqualTo(directory.resolve("ca.crt").toString());
    assertThat(config.getAutoOAuthToken()).isNull();
    assertThat(config.getOauthTokenProvider().getToken()).isEmpty();
  }

  private KubeletCredential credential(String user) throws IOException {
    return new KubeletCredential(List.of(kubeconfig(user)), (command, environment) -> "");
  }

  private Path kubeconfig(String user) throws IOException {
    return Files.writeString(
        directory.resolve("kubeconfig"),
        """
        apiVersion: v1
        kind: Config
        clusters:
        - {name: c, cluster: {server: "https://api.example:6443", certificate-authority: ca.crt}}
        users: [{name: u, user: {%s}}]
        contexts: [{name: x, context: {cluster: c, user: u}}]
        current-context: x
        """
            .formatted(user));
  }

  private static String text(String base64) {
    return new String(Base64.getDecoder().decode(base64), StandardCharsets.US_ASCII);
  }
}
