package nodeward.kube;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import nodeward.component.Time;
import nodeward.kube.TlsFront.Issued;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Handshakes with a server that turns everybody away who has no certificate of its authority. */
class ClientCertificateTest {
  @TempDir Path directory;
  private FakeApiServer api;
  private TlsFront front;

  /** How people have their keys: openssl writes the one of PKCS #8, Go and kubeadm the others. */
  enum Form {
    EC_RFC_5915("EC -groupname secp256r1", "EC PRIVATE KEY"),
    EC_PKCS_8("EC -groupname secp256r1", "PRIVATE KEY"),
    EC_384_PKCS_8("EC -groupname secp384r1", "PRIVATE KEY"),
    RSA_PKCS_1("RSA -keysize 2048", "RSA PRIVATE KEY"),
    RSA_PKCS_8("RSA -keysize 2048", "PRIVATE KEY");

    private final String algorithm;
    private final String kind;

    Form(String algorithm, String kind) {
      this.algorithm = algorithm;
      this.kind = kind;
    }

    private String pem(Issued user) {
      byte[] pkcs8 = user.key().getEncoded();
      return TlsFront.pem(
          kind,
          switch (this) {
            case EC_RFC_5915 -> TlsFront.sec1(user.key());
            // What is before the key itself has the same length for each key of this size.
            case RSA_PKCS_1 -> Arrays.copyOfRange(pkcs8, 26, pkcs8.length);
            case EC_PKCS_8, EC_384_PKCS_8, RSA_PKCS_8 -> pkcs8;
          });
    }
  }

  @BeforeEach
  void start() throws Exception {
    api = FakeApiServer.start();
    front =
        new TlsFront(directory, new InetSocketAddress(api.uri().getHost(), api.uri().getPort()));
    front.insist();
  }

  @AfterEach
  void stop() throws IOException {
    front.close();
    api.close();
  }

  @ParameterizedTest
  @EnumSource
  void isShownWithAKeyOfEachForm(Form form) throws Exception {
    Issued user = front.issue("user", form.algorithm);

    assertThat(read(front.kubeconfig(user.certificate(), form.pem(user)))).isEmpty();
  }

  @ParameterizedTest
  @EnumSource
  void isReadFromOneFileWithItsKey(Form form) throws Exception {
    Issued user = front.issue("user", form.algorithm);
    Path both = directory.resolve("kubelet-client-current.pem");
    Files.writeString(both, user.certificate() + form.pem(user));
    String kubeconfig =
        front
            .kubeconfig("", "")
            .replace("client-certificate-data: ", "client-certificate: " + both.getFileName())
            .replace("client-key-data: ", "client-key: " + both);

    assertThat(read(kubeconfig)).isEmpty();
  }

  @Test
  void withoutOneTheServerTurnsAway() {
    assertThatThrownBy(() -> read(front.kubeconfig())).isInstanceOf(IOException.class);
  }

  @Test
  void aFileThatIsMissingIsNamed() {
    String kubeconfig =
        front
            .kubeconfig("", "")
            .replace("client-certificate-data: ", "client-certificate: gone.pem")
            .replace("client-key-data: ", "client-key: gone.pem");

    assertThatThrownBy(() -> read(kubeconfig))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("kubernetes.kubeconfig")
        .hasMessageContaining(directory.resolve("gone.pem") + " does not exist");
  }

  @Test
  void aKeyThatIsNoneIsToldWithoutItsText() throws Exception {
    String key = "-----BEGIN EC PRIVATE KEY-----\nU0VDUkVU\n-----END EC PRIVATE KEY-----\n";
    String kubeconfig = front.kubeconfig(front.issue("user", "RSA").certificate(), key);

    assertThatThrownBy(() -> read(kubeconfig))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("cannot use kubeconfig")
        .hasMessageNotContainingAny("U0VDUkVU", "SECRET");
  }

  /** The Node, which is not there: the answer of a server that let us in. */
  private Optional<?> read(String kubeconfig) throws IOException {
    Path file = Files.writeString(directory.resolve("config"), kubeconfig);
    var config = Scene.config(file.toString(), Duration.ofSeconds(5), Duration.ofSeconds(5));
    try (var kube = Scene.client(config, "1.2.3", Map.of(), new CollectorRegistry())) {
      return new OwnNode(kube, "n", Time.SYSTEM).read();
    }
  }
}
