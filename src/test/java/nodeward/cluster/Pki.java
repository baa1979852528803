package nodeward.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * The certificate authority of one control plane: keys and certificates as PEM files in one
 * directory, made by openssl because the JDK cannot issue any.
 */
final class Pki {
  private static final String DAYS = "30";

  private final Path directory;

  Pki(Path directory) throws IOException {
    this.directory = Files.createDirectories(directory);
    // Without a configuration of its own openssl would mark every certificate as an authority.
    Files.writeString(
        config(),
        """
        [req]
        distinguished_name = name
        [name]
        """);
    request("ca", "/CN=nodeward-test-ca", List.of("-addext", "basicConstraints=critical,CA:TRUE"));
  }

  /** A server certificate for the names, in openssl's form (DNS:name,IP:address). */
  void issueServer(String file, String names) throws IOException {
    issue(file, "/CN=" + file, "serverAuth", List.of("-addext", "subjectAltName=" + names));
  }

  /** A client certificate: Kubernetes reads the user from CN and the groups from O. */
  void issueClient(String file, String user, List<String> groups) throws IOException {
    var subject = new StringBuilder();
    groups.forEach(group -> subject.append("/O=").append(group));
    issue(file, subject.append("/CN=").append(user).toString(), "clientAuth", List.of());
  }

  Path certificate(String file) {
    return directory.resolve(file + ".crt");
  }

  Path key(String file) {
    return directory.resolve(file + ".key");
  }

  /** The key in the older of its two PEM forms, the one kubelets write and fabric8 reads. */
  String kubeletStyleKey(String file) throws IOException {
    return Command.run("openssl", "ec", "-in", key(file).toString());
  }

  private void issue(String file, String subject, String usage, List<String> more)
      throws IOException {
    var options =
        new ArrayList<>(
            List.of(
                "-CA",
                certificate("ca").toString(),
                "-CAkey",
                key("ca").toString(),
                "-addext",
                "basicConstraints=CA:FALSE",
                "-addext",
                "extendedKeyUsage=" + usage));
    options.addAll(more);
    request(file, subject, options);
  }

  private void request(String file, String subject, List<String> options) throws IOException {
    var command =
        new ArrayList<>(
            List.of(
                "openssl",
                "req",
                "-x509",
                "-config",
                config().toString(),
                "-days",
                DAYS,
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                key(file).toString(),
                "-out",
                certificate(file).toString(),
                "-subj",
                subject));
    command.addAll(options);
    Command.run(command, "");
  }

  private Path config() {
    return directory.resolve("openssl.cnf");
  }

  /** For a client of this JVM that trusts the CA and has the certificate of the name. */
  SSLContext tls(String name) throws IOException {
    try {
      KeyStore store = KeyStore.getInstance("PKCS12");
      store.load(null, null);
      store.setCertificateEntry("ca", read("ca"));
      store.setKeyEntry(name, privateKey(name), new char[0], new Certificate[] {read(name)});
      var keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      keys.init(store, new char[0]);
      var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      trust.init(store);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
      return context;
    } catch (GeneralSecurityException e) {
      throw new IOException("cannot read the certificate of " + name, e);
    }
  }

  private Certificate read(String file) throws IOException, GeneralSecurityException {
    try (var in = Files.newInputStream(certificate(file))) {
      return CertificateFactory.getInstance("X.509").generateCertificate(in);
    }
  }

  private PrivateKey privateKey(String file) throws IOException, GeneralSecurityException {
    String pem = Files.readString(key(file)).replaceAll("-----[A-Z ]+-----|\\s", "");
    return KeyFactory.getInstance("EC")
        .generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem)));
  }
}
